"""Many backups, each of which is hit at another moment: its agent, its guardian or both are killed
or stopped. Whatever it was, writers go on, and nothing is left frozen.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.freezing import await_gone, guardians_of
from support.guest import Guest, running_guest
from support.loop import loop_mount
from support.patience import FAR, PATIENCE
from support.writer import Writer

from vmtpy import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.loop import LoopMount

SEED = 20
TURNS = 8  # of each kind
SPAN = 0.08  # seconds from the start command over which the hits are spread; a backup takes half
SNAPSHOT = 0.02  # seconds that the host takes
LIMIT = 1.0  # seconds, where it is to strike
CONFIG = "[quiesce]\ntimeout = {}\n[guest_info]\nenabled = false\n"


@pytest.fixture(scope="module")
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as mount:
        yield mount


@pytest.fixture(scope="module")
def writer(mount: LoopMount) -> Iterator[Writer]:
    with Writer(mount.path / "log") as writer:
        yield writer


def moments() -> list[float]:
    """Spread over the whole run, at random within equal parts."""
    source = random.Random(SEED)
    return [(number + source.random()) * SPAN / TURNS for number in range(TURNS)]


class Backup:
    """The host's part of one."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.committed = 0.0
        self.asked = False
        guest.device.send_command("vmbackup.start 0")

    def play(self, seconds: float) -> None:
        """Lets time pass, and does meanwhile what a host does."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            self.turn(now)

    def finish(self) -> list[bytes]:
        """Until the guest says that it is over; all that it said."""
        deadline = time.monotonic() + 60
        while self.guest.events()[-1:] != [b"req.done 0 "]:
            assert time.monotonic() < deadline, f"{self.guest.events()} {self.guest.text()}"
            self.turn(time.monotonic())
        return self.guest.events()

    def turn(self, now: float) -> None:
        self.guest.read()
        if not self.committed and b"prov.snapshotCommit 0 " in self.guest.events():
            self.committed = now
        if self.committed and not self.asked and now >= self.committed + SNAPSHOT:
            self.guest.device.send_command("vmbackup.snapshotDone")
            self.asked = True


def hit(
    mount: LoopMount,
    writer: Writer,
    log: Path,
    deed: Callable[[Backup, list[int]], None],
    limit: float = FAR,
) -> None:
    """One backup a moment, and the deed at that moment, after which writers go on."""
    for moment in moments():
        with running_guest([mount], log, CONFIG.format(limit)) as guest:
            pid = guest.pid
            backup = Backup(guest)
            backup.play(moment)
            guardians = guardians_of(pid)
            deed(backup, guardians)
            writer.wait_for_more()
            for guardian in guardians:
                await_gone(guardian)
        await_no_marker(pid)
        assert not mount.thaw(), f"left frozen by a hit after {moment:.4f} s"


def test_an_agent_killed_at_any_moment_lets_writers_go_on_at_once(
    mount: LoopMount, writer: Writer, tmp_path: Path
) -> None:
    def deed(backup: Backup, _: list[int]) -> None:
        os.kill(backup.guest.pid, signal.SIGKILL)

    hit(mount, writer, tmp_path / "log", deed)


def test_a_guardian_killed_at_any_moment_ends_the_freeze(
    mount: LoopMount, writer: Writer, tmp_path: Path
) -> None:
    def deed(backup: Backup, guardians: list[int]) -> None:
        signal_all(guardians, signal.SIGKILL)
        if guardians:
            writer.wait_for_more()
        backup.finish()

    hit(mount, writer, tmp_path / "log", deed)


@pytest.mark.parametrize("agent_first", [True, False])
@pytest.mark.parametrize("cure", [["thaw"], ["run", "--include", "/nonexistent"]])
def test_when_both_are_killed_the_next_start_or_vmtpy_thaw_thaws(
    cure: list[str], agent_first: bool, mount: LoopMount, writer: Writer, tmp_path: Path
) -> None:
    def deed(backup: Backup, guardians: list[int]) -> None:
        guest = backup.guest
        victims = [guest.pid, *guardians] if agent_first else [*guardians, guest.pid]
        signal_all(victims, signal.SIGKILL)
        assert guest.host.wait(time.monotonic() + PATIENCE)
        run(cure)

    hit(mount, writer, tmp_path / "log", deed)


def await_no_marker(pid: int) -> None:
    """The guardian removes it when it has thawed. Without one, nothing had been frozen yet."""
    mine = f"freeze-{pid}-"
    deadline = time.monotonic() + PATIENCE
    while list(Path("/run/vmtpy").glob(mine + "*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    for found in _core.thaw_from_markers(_core.real_system()):
        assert mine not in found.marker or found.result == _core.Rescue.NOT_FROZEN, found.text


def signal_all(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def run(cure: list[str]) -> None:
    """A vmtpy after a death, until it has thawed."""
    if cure == ["thaw"]:
        command = [sys.executable, "-m", "vmtpy", "thaw"]
        subprocess.run(command, check=False, timeout=PATIENCE, capture_output=True)
        return
    guest = Guest([], Path(os.devnull), "", "", *cure[1:])
    guest.host.start()
    guest.until(guest.device.tclo_seen)
    guest.end()


def test_an_agent_stopped_at_any_moment_is_thawed_at_the_limit_and_refuses_the_snapshot(
    mount: LoopMount, writer: Writer, tmp_path: Path
) -> None:
    def deed(backup: Backup, _: list[int]) -> None:
        guest = backup.guest
        os.kill(guest.pid, signal.SIGSTOP)
        writer.wait_for_more()
        os.kill(guest.pid, signal.SIGCONT)
        events = backup.finish()
        given_up = any(event.startswith((b"req.aborted", b"req.error")) for event in events)
        if given_up and backup.asked:
            guest.until(lambda: len(guest.replies()) == 2)  # to the start, and to this
            assert guest.replies()[-1].startswith(b"ERROR ")

    hit(mount, writer, tmp_path / "log", deed, LIMIT)


def test_a_guardian_stopped_at_any_moment_does_not_disturb_the_backup(
    mount: LoopMount, writer: Writer, tmp_path: Path
) -> None:
    def deed(backup: Backup, guardians: list[int]) -> None:
        signal_all(guardians, signal.SIGSTOP)
        events = backup.finish()
        errors = [event for event in events if event.startswith((b"req.error", b"req.aborted"))]
        assert all(b"fork" in error for error in errors), errors  # stopped before it stood guard

    hit(mount, writer, tmp_path / "log", deed)
