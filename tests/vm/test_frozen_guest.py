"""What may happen to a virtual machine while its filesystem is frozen: suspended, reset, its clock
stepped, its memory used up. Nothing stays frozen, and the host is told the truth.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from support.vm_backup import busy_guest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.qemu import Root
    from support.vm_backup import BusyGuest

pytestmark = pytest.mark.timeout(900)

SUSPENDED = 40.0
LIMITED = "[quiesce]\ntimeout = 15\nfilesystem_timeout = 120\n"


@pytest.fixture(scope="module")
def guest(root: Root, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyGuest]:
    """One machine for all tests here that leave it as it was."""
    image = tmp_path_factory.mktemp("guest") / "disk.qcow2"
    with busy_guest(root, image, disk, "synced", "buffered", "churn") as made:
        yield made


def uptime(guest: BusyGuest) -> float:
    """The guest's monotonic clock."""
    return float(guest.machine.python("import time; print(time.monotonic())").out)


def test_a_clock_stepped_by_hours_while_frozen_changes_nothing(guest: BusyGuest) -> None:
    host = guest.freeze()
    now = int(guest.machine.check("date", "+%s"))
    frozen = guest.acknowledged.now()
    for hours in (5, -5, 0):
        guest.machine.check("date", "-s", f"@{now + hours * 3600}")
        time.sleep(1.0)  # for whatever might take the step for time gone by
    for kind, number in guest.acknowledged.now().items():
        assert number <= frozen[kind] + 1  # the word of one may have been on its way
    guest.release()
    assert guest.machine.wait(host) == 0
    assert guest.phases()["backup ended"]["outcome"] == "done"
    assert guest.events() == ["reset", "prov.snapshotCommit", "req.genericManifest", "req.done"]
    guest.acknowledged.wait_for_more()


def test_an_agent_that_the_oom_killer_ends_while_frozen_is_survived_by_its_guardian(
    guest: BusyGuest,
) -> None:
    host = guest.freeze()
    agent = guest.agent()
    frozen = guest.acknowledged.now()
    guest.machine.run("python", "/opt/guest/hog.py", str(agent))  # itself killed, perhaps
    guest.acknowledged.wait_for_more()  # before the limit
    assert f"Out of memory: Killed process {agent} " in guest.machine.check("dmesg")
    assert guest.acknowledged.now()["synced"] > frozen["synced"]
    assert guest.markers() == []
    guest.release()
    assert guest.machine.wait(host) == -9


def test_after_a_suspend_and_resume_the_limit_strikes_and_the_host_is_told(
    guest: BusyGuest,
) -> None:
    host = guest.freeze(LIMITED)
    began = time.monotonic()
    before = uptime(guest)
    guest.machine.qmp.execute("stop")
    time.sleep(SUSPENDED)
    guest.machine.qmp.execute("cont")
    # The guest's clocks stood still meanwhile: the limit is one of the guest's own time.
    ran = uptime(guest) - before
    assert time.monotonic() - began - ran > SUSPENDED / 2
    guest.acknowledged.wait_for_more()
    assert guest.events() == ["reset", "prov.snapshotCommit", "req.aborted", "req.done"]
    guest.release()  # too late: the host may not keep that snapshot
    assert guest.machine.wait(host) == 0
    assert guest.phases()["backup ended"]["outcome"] == "rolled back"


def test_a_machine_that_is_reset_while_frozen_boots_with_nothing_frozen(
    root: Root, disk: Path, tmp_path: Path
) -> None:
    image = tmp_path / "disk.qcow2"
    with busy_guest(root, image, disk, "synced", "buffered", "churn") as guest:
        guest.freeze()
        before = guest.acknowledged.now()
        assert guest.markers() != []
        guest.machine.qmp.execute("system_reset")
        guest.machine.wait_for_boot()
        assert guest.markers() == []
        checked = guest.machine.run("e2fsck", "-f", "-p", "/dev/vda", timeout=300)
        assert checked.code == 0, checked
        guest.machine.check("mount", "-t", "ext4", "/dev/vda", "/data")
        guest.machine.check("sh", "-c", "echo written > /data/new && sync")
        found = json.loads(
            guest.machine.check("python", "/opt/guest/writers.py", "--check", "/data")
        )
    assert all(found[kind] >= number for kind, number in before.items()), (found, before)
