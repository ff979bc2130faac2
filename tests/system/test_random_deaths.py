"""Backups of a filesystem in use, each of which is hit at a random moment: its agent, its guardian
or both are killed, or one of them is stopped for a while. Whatever it was: every copy that the
guest confirmed is clean and complete, writers go on, nothing is left frozen or changed.

VMTPY_STRESS is the number of backups, 6 by default; VMTPY_SEED the first seed, by which a failure,
which names its own, is repeated. How long writers had to wait is printed (pytest -s).
"""

from __future__ import annotations

import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.deaths import RUN, Backup, Hit, Striker, markers_of
from support.freezing import await_gone
from support.guest import Guest, running_guest
from support.kernel_log import KernelLog
from support.loop import loop_mount
from support.patience import FAR, PATIENCE
from support.rcu import own_switch
from support.writer import Writer, check_log

from vmtpy.demo import disk
from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loop import LoopMount

BACKUPS = int(os.environ.get("VMTPY_STRESS", "6"))
FIRST_SEED = int(os.environ.get("VMTPY_SEED", "1"))
LIMIT = 1.0  # seconds, where somebody is stopped; else nobody may wait for it
CONFIG = "[quiesce]\ntimeout = {}\n[guest_info]\nenabled = false\n"
# Seconds within which writers must go on, however busy the machine is; before a watchdog thaws.
AT_WORST = 15.0


UNFREEZE_FAILED = re.compile(r"in btrfs_unfreeze:\d+: errno=-4 .*got modified unexpectedly")


class Mounts:
    """One filesystem of each type, made when it is first wanted."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[LoopMount, ExitStack]] = {}

    def take(self, fs: str) -> LoopMount:
        if fs not in self._made:
            stack = ExitStack()
            self._made[fs] = (stack.enter_context(loop_mount(fs, size=512 << 20)), stack)
        return self._made[fs][0]

    def drop(self, fs: str) -> None:
        """The next one is a new one."""
        self._made.pop(fs)[1].close()

    def close(self) -> None:
        for fs in list(self._made):
            self.drop(fs)


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    with closing(Mounts()) as made:
        yield made


@pytest.fixture
def log() -> Iterator[KernelLog]:
    with closing(KernelLog()) as made:
        yield made


@pytest.mark.stress
@pytest.mark.timeout(60 + 15 * BACKUPS)
def test_whoever_dies_or_stops_at_whatever_moment_writers_go_on_and_copies_are_good(
    mounts: Mounts, log: KernelLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: dict[str, list[float]] = {}
    failures: list[str] = []
    confirmed = shut = 0
    for seed in range(FIRST_SEED, FIRST_SEED + BACKUPS):
        hit = Hit.draw(seed, LIMIT)
        mount = mounts.take(hit.fs)
        log.lines()
        try:
            waited, good = back_up(hit, mount, tmp_path)
        except (AssertionError, OSError, VmtError) as error:
            if shut_by_kernel(hit, mount, log.lines()):
                shut += 1
            else:
                failures.append(f"{hit}: {error}")
                repair(mount)
            try:
                mounts.drop(hit.fs)
            except AssertionError as error:
                failures.append(f"{hit}: {error}")
            continue
        waits.setdefault(hit.deed, []).append(waited)
        confirmed += good
    with capsys.disabled():
        print(f"\n{BACKUPS} backups from seed {FIRST_SEED} on, {confirmed} copies confirmed")
        for deed, seconds in sorted(waits.items()):
            middle, most = statistics.median(seconds) * 1000, max(seconds) * 1000
            print(f"{deed}: {len(seconds)}, writers went on after {middle:.1f} ms (median)", end="")
            print(f", {most:.1f} ms at most")
        if shut:
            print(f"btrfs made read-only by the kernel, as its thaw was killed: {shut}")
    assert not failures, "\n".join(failures)


def back_up(hit: Hit, mount: LoopMount, directory: Path) -> tuple[float, bool]:
    """One backup with its hit. Seconds until writers went on, and whether it was confirmed."""
    copy = directory / "copy.img"
    copy.unlink(missing_ok=True)
    limit = LIMIT if hit.deed.startswith("stop") else FAR
    switch = directory / "switch"
    switch.write_text("0\n")
    inside = shlex.join(own_switch(switch))
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], directory / "log", CONFIG.format(limit), inside) as guest,
    ):
        agent = guest.pid
        backup = Backup(guest, mount, writer, copy)
        striker = Striker(hit, guest, backup, lambda: cure(hit, directory, switch))
        striker.start()
        survives = hit.deed not in ("kill agent", "kill both")
        backup.play(over=lambda: striker.done and not survives)
        waited = striker.finish()
        for guardian in striker.guardians:
            await_gone(guardian)
    check_nothing_left(agent, mount, switch)
    if backup.confirmed:
        check_copy(copy, hit.fs, backup.written)
    bound = hit.stopped if hit.deed == "stop agent" else 0
    assert waited < AT_WORST + bound
    return waited, backup.confirmed


def shut_by_kernel(hit: Hit, mount: LoopMount, logged: list[str]) -> bool:
    """When the thread is killed that thaws a btrfs, the kernel's look at the superblock fails with
    EINTR and it makes the filesystem read-only, for which it logs that reason. Nobody in user space
    can help that; it is not frozen.
    """
    device = f"(device {Path(mount.device).name}"
    told = any(device in line and UNFREEZE_FAILED.search(line) for line in logged)
    read_only = os.statvfs(mount.path).f_flag & os.ST_RDONLY != 0
    return told and hit.deed.startswith("kill") and read_only and not mount.thaw()


def repair(mount: LoopMount) -> None:
    """After a failure: so that the next backup begins as the first."""
    mount.thaw()
    for marker in RUN.glob("freeze-*"):
        marker.unlink()


def cure(hit: Hit, directory: Path, switch: Path) -> None:
    """The vmtpy that is run at once after both have been killed; a single run must do."""
    if hit.cure == ("thaw",):
        command = [*own_switch(switch), sys.executable, "-m", "vmtpy", "thaw"]
        done = subprocess.run(
            command, check=False, timeout=PATIENCE, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return
    guest = Guest([], directory / "cure", "", shlex.join(own_switch(switch)), *hit.cure[1:])
    guest.host.start()
    guest.until(guest.device.tclo_seen)
    guest.end()


def check_nothing_left(agent: int, mount: LoopMount, switch: Path) -> None:
    """The guardian is gone or there never was one: all is as before the backup."""
    assert not mount.thaw(), "left frozen"
    deadline = time.monotonic() + PATIENCE
    while markers_of(agent) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [marker.read_text() for marker in markers_of(agent)] == []
    assert switch.read_text() == "0\n", "rcu_expedited is left changed"


def check_copy(copy: Path, fs: str, written: int) -> None:
    """Clean for the filesystem's own checker, and with all that had been acknowledged."""
    verdict = disk.check(copy, fs, orphans=False)
    assert verdict.clean, f"{verdict.verdict}\n{verdict.output}"
    with disk.read_only(copy, fs) as path:
        assert check_log(path / "log") >= written
