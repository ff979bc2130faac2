"""What the guardian puts back when the agent has died, and what it leaves to others: the switch
rcu_expedited, the marker, filesystems that somebody else has frozen.

The agent runs in a mount namespace in which a plain file lies in the switch's place.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.freezing import FreezingProcess, await_gone
from support.loop import loop_mount, require_program
from support.patience import PATIENCE, await_true
from support.rcu import RCU, own_switch

from vmtpy import _core
from vmtpy._host import StoppingSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loop import LoopMount

LIMIT = 1.5  # seconds; a busy machine begins its first FIFREEZE well before


@pytest.fixture(scope="module")
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as one:
        yield one


class Scene:
    """An agent that stops at `places`, its marker and its switch."""

    def __init__(
        self, mounts: list[LoopMount], directory: Path, *places: str, **options: float
    ) -> None:
        require_program("nsenter")
        for mount in mounts:
            mount.check_ours()
        self.switch = directory / "switch"
        self.switch.write_text("0\n")
        self.run = directory / "run"
        self.stops = StoppingSystem(_core.real_system(), str(directory / "stops"))
        for place in places:
            self.stops.stop(place)
        self.agent = FreezingProcess(
            [mount.path for mount in mounts],
            self.run,
            wrapper=own_switch(self.switch),
            stops=directory / "stops",
            **options,
        )

    def __enter__(self) -> Scene:
        self.agent.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.agent.__exit__(*exception)

    def await_stop(self, place: str) -> None:
        await_true(lambda: self.stops.stopped(place))

    def kill(self) -> None:
        """Ends the agent; returns when its guardian has done what it had to."""
        guardian = self.agent.guardian()
        self.agent.process.kill()
        self.agent.process.wait(timeout=PATIENCE)
        await_gone(guardian)

    def markers(self) -> list[str]:
        """The texts of the markers that are there."""
        return [path.read_text() for path in self.run.glob("freeze-*")]


def waits_for_an_end(guardian: int) -> bool:
    """It waits for the end of the session, now without a time limit: in futex(2) for what is marked
    FUTEX_WAITERS, which the number of thaws that it waits for before is not.
    """
    call = Path(f"/proc/{guardian}/syscall").read_text().split()
    return call[0] == "202" and int(call[4], 16) == 0 and int(call[3], 16) & 0x80000000 != 0


def test_a_switch_that_somebody_else_has_set_meanwhile_is_left_to_them(
    mount: LoopMount, tmp_path: Path
) -> None:
    with Scene([mount], tmp_path, "before thaw") as scene:
        assert scene.agent.line() == "frozen"
        scene.agent.release()
        scene.await_stop("before thaw")  # by now it is long since put back
        assert scene.switch.read_text() == "0\n"
        scene.switch.write_text("1\n")
        scene.kill()
        assert scene.switch.read_text() == "1\n"
        assert scene.markers() == []
    assert not mount.thaw()


def test_the_marker_stays_when_the_switch_cannot_be_put_back(
    mount: LoopMount, tmp_path: Path
) -> None:
    with Scene([mount], tmp_path, "after freeze") as scene:
        scene.await_stop("after freeze")
        assert scene.switch.read_text() == "1\n"
        remount = ["mount", "-o", "remount,bind,ro", str(RCU)]
        subprocess.run(["nsenter", f"--mount=/proc/{scene.agent.pid}/ns/mnt", *remount], check=True)
        scene.kill()
        assert scene.switch.read_text() == "1\n"
        [marker] = scene.markers()
        assert "\nrcu_expedited 0\n" in marker
    assert not mount.thaw()


def test_the_marker_stays_while_an_agent_that_is_late_may_still_set_the_switch(
    mount: LoopMount, tmp_path: Path
) -> None:
    """The guardian has acted at the limit; then both die, and only the marker knows."""
    with Scene([mount], tmp_path, "before write_file", "after write_file", timeout=LIMIT) as scene:
        scene.await_stop("before write_file")
        guardian = scene.agent.guardian()
        await_true(lambda: waits_for_an_end(guardian))
        assert len(scene.markers()) == 1
        scene.stops.let_go("before write_file")
        scene.await_stop("after write_file")
        assert scene.switch.read_text() == "1\n"
        os.kill(guardian, signal.SIGKILL)
        scene.agent.process.kill()
        scene.agent.process.wait(timeout=PATIENCE)
        [marker] = scene.markers()
        assert "\nrcu_expedited 0\n" in marker
    assert not mount.thaw()


def test_an_agent_that_is_late_leaves_no_marker_of_what_the_guardian_has_thawed(
    mount: LoopMount, tmp_path: Path
) -> None:
    """It gets stuck before its own thaw."""
    with Scene([mount], tmp_path, "before thaw", timeout=LIMIT, expedite_rcu=False) as scene:
        scene.await_stop("before thaw")
        guardian = scene.agent.guardian()
        await_true(lambda: waits_for_an_end(guardian))
        assert scene.markers() == []
        assert not mount.thaw()


def test_a_thaw_of_the_guardian_that_fails_is_tried_again(mount: LoopMount, tmp_path: Path) -> None:
    """strace makes the first ioctl of each of its threads fail."""
    require_program("strace")
    trace = tmp_path / "trace"
    with Scene([mount], tmp_path) as scene:
        assert scene.agent.line() == "frozen"
        guardian = scene.agent.guardian()
        status = Path(f"/proc/{guardian}/status")
        strace = ["strace", "-f", "-qq", "-o", str(trace), "-p", str(guardian)]
        strace += ["-e", "trace=ioctl", "-e", "inject=ioctl:error=EBUSY:when=1"]
        with subprocess.Popen(strace, stderr=subprocess.PIPE, text=True) as tracer:
            await_true(
                lambda: tracer.poll() is not None or "TracerPid:\t0\n" not in status.read_text()
            )
            if tracer.poll() is not None:
                assert tracer.stderr is not None
                pytest.skip(f"needs the right to trace: {tracer.stderr.read()}")
            scene.kill()
            tracer.wait(PATIENCE)
    results = [line.split(" = ")[1].split()[0] for line in trace.read_text().splitlines()]
    assert results == ["-1", "0"]
    assert not mount.thaw()


def test_what_ends_other_processes_of_the_agent_does_not_reach_the_guardian(
    mount: LoopMount, tmp_path: Path
) -> None:
    with Scene([mount], tmp_path) as scene:
        assert scene.agent.line() == "frozen"
        guardian = scene.agent.guardian()
        assert os.getsid(guardian) == guardian  # nor is it in the terminal's group
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            os.kill(guardian, number)
        scene.kill()
        assert scene.markers() == []
    assert not mount.thaw()


def test_the_number_of_a_dead_guardian_stays_its_own_until_the_session_is_over(
    mount: LoopMount, tmp_path: Path
) -> None:
    """Signals are sent to that number, and must not reach another process."""
    with Scene([mount], tmp_path, "before thaw") as scene:
        assert scene.agent.line() == "frozen"
        guardian = scene.agent.guardian()
        os.kill(guardian, signal.SIGKILL)
        scene.await_stop("before thaw")  # its death has been seen
        stat = Path(f"/proc/{guardian}/stat").read_text().rpartition(")")[2].split()
        assert stat[:2] == ["Z", str(scene.agent.pid)]
        scene.stops.let_go("before thaw")
        await_true(lambda: not Path(f"/proc/{guardian}").exists())
    assert not mount.thaw()


@pytest.mark.parametrize("place", ["before thaw", "before remove_file"])
def test_what_somebody_else_has_frozen_stays_frozen_when_the_agent_dies(
    place: str, mount: LoopMount, tmp_path: Path
) -> None:
    """Frozen before and accepted, or frozen as soon as this agent had thawed it."""
    with loop_mount("ext4") as other:
        if place == "before thaw":
            mount.freeze()
        with Scene([mount, other], tmp_path, place, already_frozen="ACCEPT") as scene:
            assert scene.agent.line() == "frozen"
            scene.agent.release()
            scene.await_stop(place)
            if place == "before remove_file":
                mount.freeze()
            scene.kill()
        assert mount.thaw()
        assert not other.thaw()
