"""A snapshot that device-mapper takes below us and a freeze must not overlap: wait, or say so."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from support.bench import Bench
from support.patience import FAR, await_true

from vmtpy._core import Outcome, Phase
from vmtpy._host import FaultySystem, SimulatedDisk, StoppingSystem

if TYPE_CHECKING:
    from pathlib import Path

HOME = "/sys/dev/block/253:1/dm"
MAPPED = {"/a": ["253:0"], "/b": ["253:1", "253:2"]}


def make_disk(suspended: str) -> SimulatedDisk:
    """/a on one volume, /b on a volume over another."""
    disk = SimulatedDisk(["/a", "/b"])
    for number in ("253:0", "253:1", "253:2"):
        disk.put_file(f"/sys/dev/block/{number}/dm/suspended", "0\n")
    disk.put_file(f"{HOME}/name", "vg-home\n")
    disk.put_file(f"{HOME}/suspended", suspended)
    return disk


def test_what_stands_on_a_suspended_device_is_not_frozen_and_the_device_is_named() -> None:
    disk = make_disk("1\n")
    system = FaultySystem(disk)
    record = Bench(disk=disk, system=system, mapped=MAPPED).advance_to_end()
    assert (record.outcome, record.path) == (Outcome.FAILED, "/b")
    told = (
        "/b: vg-home (253:1) is suspended by device-mapper, perhaps for another snapshot: "
        "take the two at different times"
    )
    assert record.error == told
    assert record.first_freeze == 0
    assert not {"sync", "freeze"} & set(system.calls())  # a syncfs would wait for the device, too


def test_a_device_that_is_resumed_in_time_is_waited_for() -> None:
    disk = make_disk("1\n")
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system, mapped=MAPPED, filesystem_timeout=FAR)
    await_true(lambda: "read_file" in system.calls())
    bench.clock.advance(1.5)
    assert bench.session.phase() == Phase.PREPARING
    disk.put_file(f"{HOME}/suspended", "0\n")
    bench.advance_until(lambda: bench.session.phase() == Phase.FROZEN, step=0.01)
    bench.session.release()
    assert bench.end().outcome == Outcome.RELEASED


def test_a_device_that_is_suspended_during_the_presync_is_noticed_before_the_freeze() -> None:
    disk = make_disk("0\n")
    disk.hold_syncs("/a")
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system, mapped=MAPPED)
    await_true(lambda: "sync" in system.calls())
    disk.put_file(f"{HOME}/suspended", "1\n")
    for _ in range(3):  # as many rounds as there may be
        disk.let_sync_go("/a")
    record = bench.advance_to_end()
    assert (record.outcome, record.path) == (Outcome.FAILED, "/b")
    assert "freeze" not in system.calls()
    assert bench.markers() == []


def test_a_snapshot_that_begins_between_look_and_freeze_is_waited_for(tmp_path: Path) -> None:
    disk = make_disk("0\n")
    stops = StoppingSystem(disk, str(tmp_path / "stops"))
    stops.stop("before create_file")
    bench = Bench(disk=disk, system=stops, mapped=MAPPED, filesystem_timeout=FAR)
    await_true(lambda: stops.stopped("before create_file"))
    disk.put_file(f"{HOME}/suspended", "1\n")
    disk.refuse_freeze("/b", errno.EBUSY)  # device-mapper has it frozen
    stops.let_go("before create_file")
    await_true(lambda: disk.frozen("/a"))
    bench.clock.advance(0.5)
    assert bench.session.phase() == Phase.FREEZING
    disk.refuse_freeze("/b", 0)
    disk.put_file(f"{HOME}/suspended", "0\n")
    bench.advance_until(lambda: bench.session.phase() == Phase.FROZEN, step=0.01)
    bench.session.release()
    assert bench.end().outcome == Outcome.RELEASED


def test_what_someone_else_has_frozen_is_no_snapshot() -> None:
    disk = make_disk("0\n")
    disk.refuse_freeze("/b", errno.EBUSY)
    record = Bench(disk=disk, mapped=MAPPED).end()
    assert record.error == "FIFREEZE /b: already frozen by someone else"


def test_an_abort_does_not_wait_for_the_resume() -> None:
    system = FaultySystem(disk := make_disk("1\n"))
    bench = Bench(disk=disk, system=system, mapped=MAPPED)
    await_true(lambda: "read_file" in system.calls())
    bench.session.abort("enough")
    assert bench.end().error == "enough"


@pytest.mark.parametrize("suspended", ["0\n", ""])
def test_devices_at_work_hinder_nobody(suspended: str) -> None:
    bench = Bench(disk=make_disk(suspended), mapped=MAPPED)
    bench.reach(Phase.FROZEN)
