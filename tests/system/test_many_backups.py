"""Many backups of one agent in a row, for real: it does not grow.

VMTPY_STRESS=20 makes a thousand of them: about half a minute.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.guest import running_guest
from support.loop import loop_mount, require_loop
from support.patience import await_true

if TYPE_CHECKING:
    from support.guest import Guest

BACKUPS = 50 * int(os.environ.get("VMTPY_STRESS", "5"))
WARM_UP = 100  # until what is taken once has been
# Threads that come to run side by side, as on a busy machine, would have malloc make further ones.
ONE_ARENA = "env MALLOC_ARENA_MAX=1"
# A machine that stands still for seconds ends none of so many backups.
LONG = "[quiesce]\nfilesystem_timeout = 20\n"


def measure(pid: int) -> tuple[int, int, int]:
    """Resident KiB, descriptors, threads."""
    status = Path(f"/proc/{pid}/status").read_text()
    numbers = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.M))
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(numbers["VmRSS"]), descriptors, int(numbers["Threads"])


def has_no_more_than(pid: int, descriptors: int, threads: int) -> bool:
    """The threads of the last backup may still be ending."""
    now = measure(pid)
    return now[1] <= descriptors and now[2] <= threads


def back_up(guest: Guest) -> None:
    guest.entries.clear()
    guest.freeze()
    assert guest.command("vmbackup.snapshotDone") == b"OK "
    guest.done()


@pytest.mark.stress
@pytest.mark.timeout(60 + 2 * (WARM_UP + BACKUPS))
def test_many_backups_in_a_row_cost_no_memory_descriptors_or_threads(tmp_path: Path) -> None:
    require_loop("ext4")
    with (
        loop_mount("ext4") as mount,
        running_guest([mount], tmp_path / "log", LONG, ONE_ARENA) as guest,
    ):
        for _ in range(WARM_UP):
            back_up(guest)
        memory, descriptors, threads = measure(guest.pid)
        for _ in range(BACKUPS):
            back_up(guest)
        await_true(lambda: has_no_more_than(guest.pid, descriptors, threads))
        after, *_ = measure(guest.pid)
        print(f"{memory} KiB before, {after} KiB after {BACKUPS} backups")  # shown with -s
        assert after - memory < 256
        guest.until(lambda: guest.text().count("quiesced: ") == BACKUPS + WARM_UP)
        assert guest.end() == 0
