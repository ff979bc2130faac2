"""The proof of the driver's author: a virtual machine is thrown away while it writes, its snapshot
boots in a new one, and fsck and every record must be content.

Outside, QEMU takes a disk-only snapshot at the commit, while the guest runs on. The test without
quiescing shows that the proof can fail.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support.qemu import Ran, VirtualMachine, virtual_machine
from support.vm_backup import busy_guest

if TYPE_CHECKING:
    from pathlib import Path

    from support.qemu import Root
    from support.vm_backup import BusyGuest

pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True)
class Verdict:
    """What a new machine finds in a snapshot.

    Attributes:
        first: `e2fsck -f -n`, before anything has changed the disk.
        boot: `e2fsck -f -p`, as at boot.
        again: `e2fsck -f -n` after that.
        found: records by writer, or what is wrong with them.
        lost: what is missing of what was acknowledged before the snapshot.
    """

    first: Ran
    boot: Ran
    again: Ran
    found: dict[str, Any]
    lost: list[str]

    @property
    def clean(self) -> bool:
        """No complaint, no repair, no journal to recover, nothing lost."""
        untouched = self.first.code == 0 and "recover" not in self.first.out + self.boot.out
        return untouched and self.boot.code == 0 and self.again.code == 0 and not self.lost

    def repairs(self) -> list[str]:
        """What fsck did at boot: its lines but the last, which only counts."""
        return self.boot.out.splitlines()[:-1]


def take_snapshot(machine: VirtualMachine, work: Path) -> None:
    """The disk's image stays as it is now; the guest goes on in a layer above."""
    machine.qmp.execute(
        "blockdev-snapshot-sync",
        **{"node-name": "disk0", "snapshot-file": str(work / "after.qcow2")},
        **{"snapshot-node-name": "after", "format": "qcow2"},
    )


def back_up(guest: BusyGuest, work: Path) -> dict[str, int]:
    """A quiesced snapshot; the guest runs on. What had been acknowledged before it."""
    host = guest.freeze()
    before = guest.acknowledged.now()
    take_snapshot(guest.machine, work)
    guest.release()
    assert guest.machine.wait(host) == 0, guest.machine.read("/run/emulate")
    assert guest.phases()["backup ended"]["outcome"] == "done", guest.phases()
    guest.acknowledged.wait_for_more()
    return before


def judge(root: Root, snapshot: Path, acknowledged: dict[str, int]) -> Verdict:
    """Boots a snapshot in a new machine: fsck, mount, records."""
    with virtual_machine(root, snapshot) as machine:
        first = machine.run("e2fsck", "-f", "-n", "/dev/vda", timeout=300)
        boot = machine.run("e2fsck", "-f", "-p", "/dev/vda", timeout=300)
        again = machine.run("e2fsck", "-f", "-n", "/dev/vda", timeout=300)
        machine.check("mount", "-t", "ext4", "/dev/vda", "/data")
        found = json.loads(machine.check("python", "/opt/guest/writers.py", "--check", "/data"))
    lost = [
        f"{kind}: {number} records were acknowledged, there: {found.get(kind)}"
        for kind, number in acknowledged.items()
        if not isinstance(found.get(kind), int) or found[kind] < number
    ]
    return Verdict(first, boot, again, found, lost)


def test_the_snapshot_of_a_busy_guest_boots_clean_and_complete(
    root: Root, disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "disk.qcow2"
    with busy_guest(root, image, disk, "synced", "buffered", "churn") as guest:
        before = back_up(guest, tmp_path)
        phases = guest.phases()
        guest.machine.quit()  # thrown away while it writes
    verdict = judge(root, image, before)
    assert verdict.clean, verdict
    assert verdict.repairs() == []
    start = phases["start"]["ms"]
    moments = {name: round(phase["ms"] - start) for name, phase in phases.items()}
    with capsys.disabled():
        print(f"\nms from the host's start, under software emulation: {moments}")


def test_files_that_were_deleted_but_open_are_orphans_which_fsck_clears(
    root: Root, disk: Path, tmp_path: Path
) -> None:
    image = tmp_path / "disk.qcow2"
    with busy_guest(root, image, disk, "synced", "buffered", "deleted") as guest:
        before = back_up(guest, tmp_path)
        guest.machine.quit()
    verdict = judge(root, image, before)
    assert "recover" not in verdict.first.out + verdict.boot.out, verdict
    assert len(verdict.repairs()) == 6, verdict
    assert all("Clearing orphaned inode" in line for line in verdict.repairs()), verdict
    assert verdict.again.code == 0, verdict
    assert verdict.lost == []


def test_without_quiescing_the_same_proof_fails(root: Root, disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    with busy_guest(root, image, disk, "synced", "buffered", "churn") as guest:
        before = guest.acknowledged.now()
        take_snapshot(guest.machine, tmp_path)
        guest.machine.quit()
    verdict = judge(root, image, before)
    assert not verdict.clean, verdict
    assert "recover" in verdict.first.out, verdict
