"""On a kernel that refuses pidfd_open, close_range and all else that came after Linux 4.18: freeze,
guardian, hooks and the emulated host work as ever.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.freezing import FreezingProcess, await_gone, guardians_of
from support.guest import running_guest
from support.hooks import seen, write_script
from support.loop import loop_mount
from support.old_kernel import OLD
from support.patience import FAR, PATIENCE
from support.rcu import await_rcu_restored
from support.writer import Writer


def test_the_calls_of_later_kernels_are_refused() -> None:
    program = """
import os
for call in (lambda: os.pidfd_open(os.getpid()), os.getpid):
    try:
        call()
        print(0)
    except OSError as error:
        print(error.errno)
"""
    done = subprocess.run(
        [*OLD, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.split() == [str(errno.ENOSYS), "0"]


def test_a_freeze_is_released_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        FreezingProcess([mount.path], tmp_path, wrapper=OLD) as agent,
    ):
        assert agent.line() == "frozen"
        guardian = agent.guardian()
        agent.release()
        assert agent.line() == "RELEASED "
        writer.wait_for_more()
        await_gone(guardian)
        assert guardians_of(agent.pid) == []
        assert list(tmp_path.iterdir()) == []


def test_a_guardian_that_is_killed_ends_the_freeze_and_the_snapshot_is_refused(
    tmp_path: Path,
) -> None:
    with (
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        FreezingProcess([mount.path], tmp_path, wrapper=OLD, timeout=FAR) as agent,
    ):
        assert agent.line() == "frozen"
        guardian = agent.guardian()
        os.kill(guardian, signal.SIGKILL)
        line = agent.line()
        assert (
            line
            == f"FAILED the guardian, process {guardian}, has died, so vmtpy has thawed everything"
        )
        writer.wait_for_more()
        assert guardians_of(agent.pid) == []


def test_an_agent_that_is_killed_has_its_filesystems_thawed(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount, Writer(mount.path / "log") as writer:
        with FreezingProcess([mount.path], tmp_path, wrapper=OLD, timeout=FAR) as agent:
            assert agent.line() == "frozen"
            guardian = agent.guardian()
            time.sleep(0.05)  # the writer is waiting by now
            agent.process.kill()
            writer.wait_for_more()
            await_gone(guardian)
        assert not mount.thaw()
        assert list(tmp_path.iterdir()) == []
        await_rcu_restored()


@pytest.mark.parametrize("wrapper", [[], OLD], ids=["this kernel", "old kernel"])
def test_the_guardian_holds_the_mount_points_and_nothing_else(
    wrapper: list[str], tmp_path: Path
) -> None:
    with (
        loop_mount("ext4") as mount,
        loop_mount("ext4") as other,
        FreezingProcess([mount.path, other.path], tmp_path, wrapper=wrapper) as agent,
    ):
        assert agent.line() == "frozen"
        held = sorted(entry.readlink() for entry in Path(f"/proc/{agent.guardian()}/fd").iterdir())
        assert held == sorted([mount.path, other.path])
        agent.release()
        assert agent.line() == "RELEASED "


def test_the_agent_runs_hooks_and_takes_part_in_a_snapshot(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.d"
    hooks.mkdir(mode=0o755)
    write_script(hooks / "a", "(sleep 3) & echo said")
    config = f'[status]\nsocket = ""\n[hooks]\ndirectory = "{hooks}"\n'
    with (
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", config, " ".join(OLD)) as guest,
    ):
        guest.freeze()
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        assert not any(event.startswith((b"req.error", b"req.aborted")) for event in guest.events())
        assert seen(hooks) == ["a freeze", "a thaw"]
        assert "hook a freeze: said" in guest.text()

        guest.entries.clear()
        guest.freeze()
        [guardian] = guardians_of(guest.pid)
        os.kill(guardian, signal.SIGKILL)
        writer.wait_for_more()
        assert not guest.command("vmbackup.snapshotDone").startswith(b"OK ")


def test_a_signal_reaches_the_emulated_program() -> None:
    body = "trap 'exit 3' TERM; echo started; while :; do sleep 0.1; done"
    program = ["sh", "-c", body]
    with subprocess.Popen(
        [*OLD, sys.executable, "-m", "vmtpy", "emulate", "--", *program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as emulator:
        try:
            assert emulator.stdout is not None
            assert emulator.stdout.readline() == b"started\n"
            emulator.terminate()
            assert emulator.wait(timeout=PATIENCE) == 3
        finally:
            emulator.kill()
