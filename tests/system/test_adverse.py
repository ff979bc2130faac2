"""An agent in a bad place: its interpreter holds the GIL for good; /run is full or read-only."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from support.guest import running_guest
from support.loop import loop_mount, require_program
from support.patience import FAR
from support.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.loop import LoopMount

# `vmtpy run`, with a thread that stops the interpreter for good once something is frozen.
STUCK = """
import ctypes, sys, threading, time
from vmtpy import agent as module
from vmtpy.__main__ import main
from vmtpy._core import BackupState

class Agent(module.Agent):
    def run(self, *arguments, **options):
        threading.Thread(target=self.stick, daemon=True).start()
        super().run(*arguments, **options)

    def stick(self):
        while self._native.backup_state != BackupState.FROZEN:
            time.sleep(0.001)
        sleep = ctypes.PyDLL(None).sleep
        open(sys.argv[0] + ".sleeps", "w").close()
        sleep(600)

from vmtpy.cli import run
run.Agent = Agent
sys.exit(main(sys.argv[sys.argv.index("run"):]))
"""
CONFIG = "[quiesce]\ntimeout = {}\n"


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as mount:
        yield mount


@pytest.fixture
def stuck(tmp_path: Path) -> str:
    """Words in front of the agent's command that put the program above in its place."""
    program = tmp_path / "stuck.py"
    program.write_text(STUCK)
    return f"{sys.executable} {program}"


@pytest.mark.parametrize("ending", ["done", "abort", "SIGTERM", "limit", "SIGKILL"])
def test_an_interpreter_that_is_stuck_does_not_keep_anything_frozen(
    ending: str, stuck: str, mount: LoopMount, tmp_path: Path
) -> None:
    limit = 4 if ending == "limit" else FAR
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", CONFIG.format(limit), stuck) as guest,
    ):
        guest.freeze()
        guest.until((tmp_path / "stuck.py.sleeps").exists)
        if ending == "done":
            assert guest.command("vmbackup.snapshotDone") == b"OK "
        elif ending == "abort":
            assert guest.command("vmbackup.abort") == b"OK "
        elif ending == "SIGTERM":
            os.kill(guest.pid, signal.SIGTERM)
        elif ending == "SIGKILL":
            os.kill(guest.pid, signal.SIGKILL)
        writer.wait_for_more()
        if ending in ("SIGTERM", "limit"):
            guest.until(
                lambda: any(event.startswith(b"req.aborted 4 ") for event in guest.events())
            )
        assert b"req.done 0 " not in guest.events()  # that would have been Python's part
        if ending != "SIGKILL":
            os.kill(guest.pid, signal.SIGKILL)
    assert not mount.thaw()


@pytest.mark.parametrize("run", ["mount -t tmpfs -o size=4k,nr_inodes=1", "mount -t tmpfs -o ro"])
@pytest.mark.parametrize("ending", ["done", "SIGKILL"])
def test_a_run_that_is_full_or_read_only_costs_the_marker_and_nothing_else(
    run: str, ending: str, mount: LoopMount, tmp_path: Path
) -> None:
    require_program("unshare")
    inside = f"unshare -m sh -c '{run} none /run && exec \"$@\"' sh"
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", CONFIG.format(FAR), inside) as guest,
    ):
        guest.freeze()
        if ending == "done":
            assert guest.command("vmbackup.snapshotDone") == b"OK "
            guest.done()
            guest.until(lambda: "no marker for `vmtpy thaw`" in guest.text())
            assert not any(
                event.startswith((b"req.error", b"req.abort")) for event in guest.events()
            )
        else:
            os.kill(guest.pid, signal.SIGKILL)
            writer.wait_for_more()
    assert not mount.thaw()
