"""What is told of a backup when it is over, by log, status and guestinfo; what was left out."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.machine import Machine

from vmtpy import _core, backup_report
from vmtpy._core import Cause, Outcome
from vmtpy.cli import status as command
from vmtpy.config import GuestInfoConfig
from vmtpy.log import INFO, WARNING
from vmtpy.quiesce import pacing, partial
from vmtpy.services import disks, nics
from vmtpy.testing import EmulatedHost, SimulatedGuest
from vmtpy.testing.guest import QUIET

if TYPE_CHECKING:
    from pathlib import Path

SET = b"info-set guestinfo.vmtpy.backup "


class Guest(SimulatedGuest):
    """A whole agent on a simulated disk, whose other mounts are made up."""

    def __init__(self, path: Path, **guest_info: bool) -> None:
        self.host = EmulatedHost()
        config = QUIET._replace(guest_info=GuestInfoConfig(**guest_info))  # type: ignore[arg-type]
        super().__init__(self.host, config, paths=["/boot"])
        machine = Machine(path)
        machine.mount("/", "zfs", "0:24", "rpool/ROOT/os_1")
        machine.mount("/nas", "nfs4", "0:25", "nas:/", super_options="ro")
        machine.mount("/run", "tmpfs", "0:26", "tmpfs")
        self.plan = _core.Plan(self.disk.native.filesystems(), machine.plan().left_out)
        self.agent._quiesce._planner = lambda _: self.plan

    def report(self) -> bytes:
        """What the host has been told."""
        self.host.wait_until(lambda: "vmtpy.backup" in self.host.guestinfo)
        return self.host.guestinfo["vmtpy.backup"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own network and disks are not asked."""
    monkeypatch.setattr(nics, "read", nics.Network)
    monkeypatch.setattr(disks, "read", list)


def test_a_good_backup_of_a_part_says_so_in_log_record_status_and_guestinfo(
    tmp_path: Path,
) -> None:
    with Guest(tmp_path) as guest:
        guest.host.backup()
        told = json.loads(guest.report())
        status: dict[str, Any] = guest.agent.status()
    assert told == status["backup_report"], "status --json has the same object"
    assert told.pop("time").endswith("Z")
    assert told.pop("held_ms") >= 0
    assert told == {
        "outcome": "released",
        "error": "",
        "filesystems": ["/boot"],
        "filesystems_count": 1,
        "paced": [],
        "left_out": [{"path": "/", "type": "zfs", "cause": "unsupported"}],
        "left_out_count": 1,
    }
    assert status["last_backup"]["left_out"] == [
        {
            "path": "/",
            "device": "0:24",
            "type": "zfs",
            "reason": "zfs cannot be frozen",
            "cause": "unsupported",
        }
    ]
    line = (
        "the snapshot is partial; these filesystems are writable and not frozen: "
        "/ (zfs: zfs cannot be frozen)"
    )
    assert line in guest.warnings
    shown = dict(command.lines(status))
    assert shown["not in it"] == "/ (zfs): writable, but cannot be frozen"


def test_it_is_told_when_all_is_over_for_the_host(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        guest.host.backup()
        guest.report()
        requests = guest.host.requests
    done = requests.index(b"vmbackup.eventSet req.done 0 ")
    (told,) = (place for place, request in enumerate(requests) if request.startswith(SET))
    assert told > done
    assert len(requests[told]) <= len(SET) + backup_report.MOST


def test_a_backup_that_failed_is_told_with_its_error(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        guest.plan = _core.Plan([], guest.plan.left_out)
        guest.host.backup()
        told = json.loads(guest.report())
    assert told["outcome"] == "failed"
    assert "there is nothing to freeze; /: zfs cannot be frozen" in told["error"]
    assert told["held_ms"] is None


@pytest.mark.parametrize("switch", ["enabled", "backup"])
def test_it_can_be_switched_off(tmp_path: Path, switch: str) -> None:
    with Guest(tmp_path, **{switch: False}) as guest:
        guest.host.backup()
    assert not any(request.startswith(SET) for request in guest.host.requests)
    assert guest.agent.status()["backup_report"], "the status has it all the same"


def test_an_agent_that_ends_right_after_a_backup_tells_it_before(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        guest.host.backup()
    assert sum(request.startswith(SET) for request in guest.host.requests) == 1


def test_a_host_that_refuses_it_is_not_asked_again(tmp_path: Path) -> None:
    with Guest(tmp_path) as guest:
        guest.host.refuse("info-set", "Permission denied")
        guest.host.backup()
        guest.host.wait_until(
            lambda: any(request.startswith(SET) for request in guest.host.requests)
        )
        guest.host.wait_until(lambda: any("the report of the backup" in line for line in guest.log))
    assert sum(request.startswith(SET) for request in guest.host.requests) == 1


def left(path: str, cause: Cause = Cause.FUSE, kind: str = "fuse.x") -> SimpleNamespace:
    return SimpleNamespace(path=path, type=kind, cause=cause, reason="why")


def ran(path: str, paced: float = 0.0, rate: float = 40.0) -> Any:  # noqa: ANN401 (as record())
    """What happened to a filesystem whose disk takes `rate` MiB/s."""
    return SimpleNamespace(
        path=path,
        paced=paced,
        dirty_before=500 << 20,
        dirty_left=3 << 20,
        disk_rate=rate * (1 << 20),
        writer_rate=100.0 * (1 << 20),
        expected_hold=0.075,
        freeze=0.0821,
    )


def record(**facts: object) -> Any:  # noqa: ANN401 (a RunRecord is made by C++ only)
    usual = {
        "outcome": Outcome.RELEASED,
        "error": "",
        "started_unix_ns": 1_700_000_000_123_456_789,
        "first_freeze": 10.0,
        "all_thawed": 10.07244,
        "filesystems": [],
        "left_out": [],
        "dirty_source": "debugfs",
    }
    return SimpleNamespace(**usual | facts)


def test_the_report_as_it_is_on_the_wire() -> None:
    made = backup_report.report(record(filesystems=[ran("/srv")], left_out=[left("/x")]))
    assert backup_report.encode(made) == (
        b'{"time":"2023-11-14T22:13:20Z","outcome":"released","error":"","held_ms":72.4,'
        b'"filesystems":["/srv"],"filesystems_count":1,"paced":[],'
        b'"left_out":[{"path":"/x","type":"fuse.x","cause":"fuse"}],"left_out_count":1}'
    )


def test_the_report_has_whose_writers_were_slowed_down_and_the_log_says_why() -> None:
    made = record(filesystems=[ran("/boot"), ran("/srv", paced=33.14)])
    assert backup_report.report(made)["paced"] == [
        {
            "path": "/srv",
            "paced": 33.1,
            "dirty_before": 500 << 20,
            "dirty_left": 3 << 20,
            "disk_rate": 40 << 20,
            "writer_rate": 100 << 20,
            "expected_hold": 0.075,
            "freeze": 0.082,
            "source": "debugfs",
        }
    ]
    assert pacing(made) == [
        (
            INFO,
            "/srv: writers were slowed down for 33.1 s, as they dirty 100 MiB/s and the disk takes "
            "40: 500 MiB were dirty before and 3.0 left; its freeze took 82 ms, 75 were expected "
            "(by debugfs)",
        )
    ]


def test_the_log_names_no_rate_of_a_disk_that_was_never_busy() -> None:
    ((_, line),) = pacing(record(filesystems=[ran("/srv", paced=0.5, rate=0.0)]))
    assert line.startswith(
        "/srv: writers were slowed down for 0.5 s, as the disk might have been too slow for them: "
    )


def test_lists_that_are_too_long_are_cut_and_counted() -> None:
    many = [ran(f"/srv/volume-{n:04}") for n in range(1000)]
    made = backup_report.report(
        record(filesystems=many, left_out=[left(f"/{n}") for n in range(99)])
    )
    assert len(backup_report.encode(made)) <= 4096
    assert (made["filesystems_count"], made["left_out_count"]) == (1000, 99)
    told, missed = made["filesystems"], made["left_out"]
    assert isinstance(told, list)
    assert isinstance(missed, list)
    assert 50 < len(told) < 1000
    assert 20 < len(missed) < 99


PATHS = st.text(
    st.characters(codec="utf-8") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    max_size=5000,
)


@given(
    error=PATHS,
    filesystems=st.lists(PATHS, max_size=20),
    left_out=st.lists(st.tuples(PATHS, st.sampled_from(list(Cause)))),
)
def test_whatever_happened_it_is_at_most_4_kib_of_json(
    error: str, filesystems: list[str], left_out: list[tuple[str, Cause]]
) -> None:
    made = backup_report.report(
        record(
            error=error,
            filesystems=[ran(path) for path in filesystems],
            left_out=[left(path, cause) for path, cause in left_out],
        )
    )
    wire = backup_report.encode(made)
    assert len(wire) <= 4096
    assert wire.isascii()
    assert json.loads(wire) == made
    assert made["filesystems_count"] == len(filesystems)


def test_the_log_tells_what_was_missed_from_what_was_not_wanted() -> None:
    lines = partial(
        record(
            left_out=[
                *(left(f"/{n}") for n in range(7)),
                left("/opt", Cause.EXCLUDED, "ext4"),
            ]
        )
    )
    assert [level for level, _ in lines] == [WARNING, INFO]
    assert lines[0][1].startswith(
        "the snapshot is partial; these filesystems are writable and not frozen: /0 (fuse.x: why)"
    )
    assert lines[0][1].endswith("/4 (fuse.x: why); 2 more (see `vmtpy plan`)")
    assert (
        lines[1][1]
        == "filesystems not frozen, as configured or as the host asked: /opt (ext4: why)"
    )
    assert partial(record()) == []
