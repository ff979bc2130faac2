"""Whoever dies while filesystems are frozen, they are thawed: real processes, real signals."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.freezing import FreezingProcess, await_gone, guardians_of, in_freeze, state_of
from support.holder import SPLICE, WRITE, holding
from support.loop import LoopMount, loop_mount
from support.patience import FAR, PATIENCE, await_true
from support.rcu import RCU, await_rcu_restored
from support.writer import Writer

from vmtpy import _core
from vmtpy._core import Rescue

if TYPE_CHECKING:
    from collections.abc import Iterator

FILESYSTEMS = ["ext4", "xfs", "btrfs"]
LIMIT = 4.0  # seconds: a busy machine has frozen well before
BUDGET = 3.0  # seconds: a busy machine has frozen what can be frozen well before


# Stops a process again and again, as long as there is one.
KEEP_STOPPED = """
import os, signal, sys
try:
    os.kill(int(sys.argv[1]), signal.SIGSTOP)
    print("stopped", flush=True)
    while True:
        os.kill(int(sys.argv[1]), signal.SIGSTOP)
except ProcessLookupError:
    pass
"""


@contextmanager
def frozen(mount: LoopMount, run_directory: Path, **options: float) -> Iterator[FreezingProcess]:
    """A process that holds `mount` frozen."""
    mount.check_ours()
    with FreezingProcess(
        [mount.path], run_directory, **{"timeout": FAR, "filesystem_timeout": FAR, **options}
    ) as agent:
        assert agent.line() == "frozen"
        yield agent


def markers(run_directory: Path) -> list[str]:
    return [entry.name for entry in run_directory.iterdir()]


def await_no_marker(run_directory: Path) -> None:
    await_true(lambda: not markers(run_directory))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
@pytest.mark.parametrize("fs", FILESYSTEMS)
def test_an_agent_that_is_killed_while_frozen_has_its_filesystems_thawed_at_once(
    fs: str, number: signal.Signals, tmp_path: Path
) -> None:
    with loop_mount(fs) as mount, Writer(mount.path / "log") as writer:
        with frozen(mount, tmp_path) as agent:
            guardian = agent.guardian()
            time.sleep(0.05)  # the writer is waiting by now
            os.kill(agent.pid, number)
            writer.wait_for_more()
            await_gone(guardian)
        assert not mount.thaw()
        assert markers(tmp_path) == []
        await_rcu_restored()


@pytest.mark.parametrize("code", ["os._exit(0)", "os.execv('/bin/sleep', ['sleep', '30'])"])
def test_an_agent_that_ends_or_becomes_another_program_has_its_filesystems_thawed(
    code: str, tmp_path: Path
) -> None:
    program = f"""
import os, sys
from vmtpy import _core
plan = _core.make_plan(_core.PlanRequest(include=[sys.argv[1]]))
options = _core.FreezeOptions(run_directory=sys.argv[2])
session = _core.FreezeSession(_core.real_system(), None, plan.filesystems, options)
session.start()
session.wait_for(_core.Phase.FROZEN, 60)
print("frozen", flush=True)
sys.stdin.readline()
{code}
"""
    with loop_mount("ext4") as mount, Writer(mount.path / "log") as writer:
        with subprocess.Popen(
            [sys.executable, "-c", program, str(mount.path), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as agent:
            try:
                assert agent.stdin is not None
                assert agent.stdout is not None
                assert agent.stdout.readline() == b"frozen\n"
                agent.stdin.write(b"\n")
                agent.stdin.flush()
                writer.wait_for_more()
            finally:
                agent.kill()
        await_no_marker(tmp_path)


def test_a_crash_does_not_wait_for_its_core_dump(tmp_path: Path) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if pattern.startswith(("|", "/")):
        pytest.skip("needs a core_pattern that writes to the working directory")
    with (
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        FreezingProcess([mount.path], tmp_path, cwd=mount.path, timeout=FAR) as agent,
    ):
        resource.prlimit(agent.pid, resource.RLIMIT_CORE, (1 << 30, 1 << 30))
        assert agent.line() == "frozen"
        os.kill(agent.pid, signal.SIGSEGV)
        writer.wait_for_more()


def test_an_interpreter_that_is_stuck_does_not_delay_the_thaw(tmp_path: Path) -> None:
    began = time.monotonic()
    with (
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        FreezingProcess([mount.path], tmp_path, timeout=LIMIT, stuck=FAR) as agent,
    ):
        assert agent.line() == "frozen"
        writer.wait_for_more()
        assert time.monotonic() >= began + LIMIT
        assert agent.silent(), "the interpreter was not stuck"


def test_an_agent_that_is_stopped_has_its_filesystems_thawed_at_the_limit(tmp_path: Path) -> None:
    began = time.monotonic()
    with (
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        frozen(mount, tmp_path, timeout=LIMIT) as agent,
    ):
        os.kill(agent.pid, signal.SIGSTOP)
        writer.wait_for_more()
        assert time.monotonic() >= began + LIMIT
        await_no_marker(tmp_path)
        os.kill(agent.pid, signal.SIGCONT)
        assert agent.line() == f"EXPIRED the limit of {LIMIT:g} s has passed"


def test_a_guardian_that_dies_ends_the_freeze(tmp_path: Path) -> None:
    with (
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        frozen(mount, tmp_path) as agent,
    ):
        guardian = agent.guardian()
        os.kill(guardian, signal.SIGKILL)
        writer.wait_for_more()
        line = agent.line()
        assert (
            line
            == f"FAILED the guardian, process {guardian}, has died, so vmtpy has thawed everything"
        )
        assert guardians_of(agent.pid) == []


@pytest.mark.parametrize("fs", FILESYSTEMS)
def test_the_marker_thaws_when_agent_and_guardian_have_both_died(fs: str, tmp_path: Path) -> None:
    with loop_mount(fs) as mount, Writer(mount.path / "log") as writer:
        with frozen(mount, tmp_path) as agent:
            guardian = agent.guardian()
            os.kill(agent.pid, signal.SIGSTOP)  # it would notice the death of its guardian
            os.kill(guardian, signal.SIGKILL)
            agent.process.kill()
            agent.process.wait(timeout=PATIENCE)
            await_gone(guardian)
        before = writer.acknowledged
        time.sleep(0.05)
        assert writer.acknowledged <= before + 1
        [result] = _core.thaw_from_markers(_core.real_system(), tmp_path)
        assert (result.result, result.path) == (Rescue.THAWED, str(mount.path))
        writer.wait_for_more()
        assert markers(tmp_path) == []


def test_the_marker_of_a_living_agent_is_left_alone_unless_forced(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount, frozen(mount, tmp_path) as agent:
        [result] = _core.thaw_from_markers(_core.real_system(), tmp_path)
        assert result.result == Rescue.REFUSED
        assert result.text == f"process {agent.pid} is alive and holds this freeze: {mount.path}"
        [result] = _core.thaw_from_markers(_core.real_system(), tmp_path, force=True)
        assert result.result == Rescue.THAWED
        assert not mount.thaw()
        agent.release()
        assert agent.line().startswith(f"LOST FITHAW {mount.path}")


def test_nothing_of_an_inner_image_stays_frozen_when_the_agent_dies(tmp_path: Path) -> None:
    with (
        loop_mount("ext4", size=512 << 20) as outer,
        loop_mount("ext4", directory=outer.path) as inner,
        Writer(outer.path / "log") as outer_writer,
        Writer(inner.path / "log") as inner_writer,
        FreezingProcess([outer.path, inner.path], tmp_path) as agent,
    ):
        assert agent.line() == "frozen"
        agent.process.kill()
        inner_writer.wait_for_more()
        outer_writer.wait_for_more()


@pytest.mark.parametrize("code", [SPLICE, WRITE], ids=["splice", "write"])
@pytest.mark.parametrize("fs", FILESYSTEMS)
def test_who_keeps_a_filesystem_from_freezing_is_named(fs: str, code: str, tmp_path: Path) -> None:
    with (
        loop_mount(fs) as mount,
        loop_mount("ext4") as other,
        Writer(other.path / "log") as other_writer,
        holding(mount.path / "held", code) as holder,
        FreezingProcess([mount.path, other.path], tmp_path, filesystem_timeout=BUDGET) as agent,
    ):
        line = agent.line()
        assert line.startswith(
            f"FAILED FIFREEZE {mount.path}: not frozen within {BUDGET:g} s, held by "
        )
        assert f"process {holder.pid} (python" in line
        inside = " in splice; " if code == SPLICE else " in write; "
        assert f"{inside}its writers have waited for " in line
        assert line.endswith(" s and wait on until the kernel has let them go")
        other_writer.wait_for_more()
        assert not other.thaw()
        assert markers(tmp_path) != []
        holder.kill()
        await_no_marker(tmp_path)
        assert not mount.thaw()


def test_what_freezes_after_the_agent_was_killed_is_thawed(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount:
        writer = Writer(mount.path / "log")
        with (
            holding(mount.path / "spliced") as holder,
            FreezingProcess([mount.path], tmp_path, filesystem_timeout=0.3) as agent,
        ):
            assert agent.line().startswith("FAILED")
            guardian = agent.guardian()
            agent.process.kill()
            time.sleep(0.3)
            [result] = _core.thaw_from_markers(_core.real_system(), tmp_path, patience=0.1)
            assert result.result == Rescue.FAILED
            assert "is still in FIFREEZE" in result.text
            holder.kill()
            writer.wait_for_more()
            await_gone(guardian)
        writer.stop()
        assert not mount.thaw()
        assert markers(tmp_path) == []


@pytest.mark.parametrize("fs", FILESYSTEMS)
def test_an_agent_killed_inside_a_stuck_freeze_has_it_thawed_when_that_returns(
    fs: str, tmp_path: Path
) -> None:
    """Its other filesystem is thawed at once, although a thread of it is stuck in the kernel, and
    so neither its memory nor its descriptors have been given back.
    """
    with (
        loop_mount(fs) as mount,
        loop_mount("ext4") as other,
        Writer(other.path / "log") as other_writer,
    ):
        with (
            holding(mount.path / "spliced") as holder,
            FreezingProcess(
                [mount.path, other.path], tmp_path, filesystem_timeout=FAR, timeout=FAR
            ) as agent,
        ):
            await_stuck_thread(agent.pid)
            guardian = agent.guardian()
            agent.process.kill()
            other_writer.wait_for_more()
            assert markers(tmp_path) != []
            holder.kill()
            await_gone(guardian)
        (mount.path / "file").write_bytes(b"thawed")
        assert not mount.thaw()
        assert not other.thaw()
        assert markers(tmp_path) == []
        await_rcu_restored()


def test_the_marker_puts_back_rcu_expedited_too(tmp_path: Path) -> None:
    """Agent and guardian are killed inside the freeze, while the switch is set."""
    with loop_mount("ext4") as mount:
        await_rcu_restored()
        with (
            holding(mount.path / "spliced") as holder,
            FreezingProcess([mount.path], tmp_path, filesystem_timeout=FAR, timeout=FAR) as agent,
        ):
            await_stuck_thread(agent.pid)
            guardian = agent.guardian()
            os.kill(guardian, signal.SIGKILL)
            agent.process.kill()
            assert RCU.read_text() == "1\n"
            holder.kill()
            agent.process.wait(timeout=PATIENCE)
            await_gone(guardian)
        [result] = _core.thaw_from_markers(_core.real_system(), tmp_path)
        assert (result.result, result.path) == (Rescue.THAWED, str(mount.path))
        await_rcu_restored()
        assert markers(tmp_path) == []


def await_stuck_thread(pid: int) -> None:
    """Waits until a thread of the process has been in an uninterruptible wait for some time."""
    deadline = time.monotonic() + PATIENCE
    seen = 0
    while seen < 20:
        states = [
            stat.read_text().rpartition(")")[2].split()[0]
            for stat in Path(f"/proc/{pid}/task").glob("*/stat")
        ]
        seen = seen + 1 if "D" in states and guardians_of(pid) else 0
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_freezes_after_the_limit_of_a_stopped_agent_is_thawed(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount, Writer(mount.path / "log") as writer:
        with (
            holding(mount.path / "spliced") as holder,
            FreezingProcess([mount.path], tmp_path, filesystem_timeout=FAR, timeout=LIMIT) as agent,
        ):
            await_true(lambda: bool(guardians_of(agent.pid)) and in_freeze(agent.pid))
            os.kill(agent.pid, signal.SIGSTOP)
            await_rcu_restored()  # by the guardian, which acts at the limit
            holder.kill()
            writer.wait_for_more()
            os.kill(agent.pid, signal.SIGCONT)
            assert agent.line().startswith("EXPIRED")
        assert not mount.thaw()
        await_no_marker(tmp_path)


def test_a_guardian_that_is_stopped_is_made_to_go_on_and_stands_guard(tmp_path: Path) -> None:
    with (
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        frozen(mount, tmp_path) as agent,
    ):
        guardian = agent.guardian()
        os.kill(guardian, signal.SIGSTOP)
        assert agent.line() == "SIGCHLD"  # of a stop the kernel always tells, of an exit not
        await_true(lambda: state_of(guardian) != "T")
        agent.process.kill()
        writer.wait_for_more()
        await_gone(guardian)


def test_a_guardian_that_is_stopped_at_the_very_end_does_not_outlive_the_session(
    tmp_path: Path,
) -> None:
    """Whose process ends as soon as it has been told that all is thawed."""
    with loop_mount("ext4") as mount, frozen(mount, tmp_path) as agent:
        guardian = agent.guardian()
        keep_stopped = subprocess.Popen(
            [sys.executable, "-c", KEEP_STOPPED, str(guardian)], stdout=subprocess.PIPE
        )
        with keep_stopped:
            assert keep_stopped.stdout is not None
            assert keep_stopped.stdout.readline() == b"stopped\n"
            agent.release()
            while (line := agent.line()) == "SIGCHLD":
                pass
            assert line == "RELEASED "
            agent.process.kill()
            await_gone(guardian)
            keep_stopped.kill()  # which a zombie that nobody takes would not end
