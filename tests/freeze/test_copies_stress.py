"""Copies taken one after the other from a filesystem on which everything happens at once: each one
is clean for its own checker and has every record that was written before it. Those of one log are
not fsynced: a copy of an unfrozen filesystem, clean as it may be, has not got them.

VMTPY_STRESS is the number of copies of each filesystem, 5 by default.
"""

from __future__ import annotations

import os

import pytest
from support.churn import Churn
from support.loop import loop_mount
from support.writer import Writer, check_log

import vmtpy
from vmtpy._core import Outcome
from vmtpy.demo import disk

COPIES = int(os.environ.get("VMTPY_STRESS", "5"))


@pytest.mark.stress
@pytest.mark.timeout(60 + 10 * COPIES)
@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_every_copy_of_a_busy_filesystem_is_clean_and_complete(fs: str) -> None:
    with (
        loop_mount(fs, size=512 << 20) as mount,
        Writer(mount.path / "synced") as synced,
        Writer(mount.path / "unsynced", sync=False) as unsynced,
        Churn(mount.path / "one", seed=1),
        Churn(mount.path / "two", seed=2),
    ):
        copied = mount.image.with_name("copy.img")
        for number in range(1, COPIES + 1):
            mount.check_ours()
            unsynced.wait_for_more()
            synced.wait_for_more()
            try:
                with vmtpy.freeze([mount.path], timeout=20, filesystem_timeout=15) as session:
                    written = {log.path.name: log.acknowledged for log in (synced, unsynced)}
                    disk.copy(mount.image, copied)
                assert session.record.outcome == Outcome.RELEASED
                verdict = disk.check(copied, fs, orphans=False)
                assert verdict.clean, f"copy {number}: {verdict.verdict}\n{verdict.output}"
                with disk.read_only(copied, fs) as path:
                    for name, records in written.items():
                        assert check_log(path / name) >= records, f"copy {number}: {name}"
            finally:
                copied.unlink(missing_ok=True)
