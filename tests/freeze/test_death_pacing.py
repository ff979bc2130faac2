"""An agent that dies while it slows writers down leaves no bound on anybody's dirty pages."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.freezing import FreezingProcess, await_gone, guardians_of
from support.loop import loop_mount
from support.patience import PATIENCE, await_true
from support.slow_disk import (
    FOUND,
    IMAGE,
    WITH_DEBUGFS,
    bounds,
    full_speed,
    paced,
    slow,
)

from vmtpy import _core
from vmtpy._host import StoppingSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loop import LoopMount

# What a session writes while it slows writers down: the bound, that it is strict, a lower bound;
# each but the second with the least beside the most.
WRITES = 7
RESTORES = 4  # files, at the end of it
GLOBAL = [Path("/proc/sys/vm/dirty_bytes"), Path("/proc/sys/vm/dirty_ratio")]


@pytest.fixture(scope="module")
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4", size=IMAGE) as one:
        yield one


def await_ended(agent: FreezingProcess, guardians: list[int]) -> None:
    """The agent is dead, its guardians have done what they had to."""
    agent.process.kill()
    agent.process.wait(timeout=PATIENCE)
    for guardian in guardians:
        await_gone(guardian)


def check_nothing_left(mount: LoopMount, run: Path) -> None:
    await_true(lambda: bounds(mount) == FOUND)
    await_true(lambda: not list(run.glob("freeze-*")))
    assert not mount.thaw()


def step(stops: StoppingSystem, writes: int, place: str) -> None:
    """Lets so many writes pass, and has the next one stop at this place."""
    for _ in range(writes):
        await_true(lambda: stops.stopped("before write_file"))
        stops.stop("after write_file")
        stops.let_go("before write_file")
        await_true(lambda: stops.stopped("after write_file"))
        stops.stop("before write_file")
        stops.let_go("after write_file")
    await_true(lambda: stops.stopped("before write_file"))
    if place == "after":
        stops.stop("after write_file")
        stops.let_go("before write_file")
        await_true(lambda: stops.stopped("after write_file"))


def test_a_guardian_that_dies_while_writers_are_paced_ends_the_run_before_a_freeze(
    mount: LoopMount, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with slow(mount, 4, dirty=96), FreezingProcess([mount.path], run) as agent:
        await_true(lambda: paced(mount))
        guardian = agent.guardian()
        os.kill(guardian, signal.SIGKILL)
        died = f"the guardian, process {guardian}, has died, so vmtpy froze nothing"
        assert agent.line() == f"FAILED {died}"
        check_nothing_left(mount, run)


def test_an_agent_killed_while_it_paces_writers_has_the_bound_put_back(
    mount: LoopMount, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with slow(mount, 4, dirty=96), FreezingProcess([mount.path], run) as agent:
        await_true(lambda: paced(mount))
        time.sleep(0.2)  # a few steps of the controller
        guardian = agent.guardian()
        agent.process.kill()
        await_true(lambda: bounds(mount) == FOUND)
        full_speed(mount)
        await_gone(guardian)
    check_nothing_left(mount, run)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("writes", range(WRITES))
def test_an_agent_killed_between_any_two_steps_of_pacing_leaves_no_bound(
    writes: int, place: str, mount: LoopMount, tmp_path: Path
) -> None:
    run, stops = tmp_path / "run", StoppingSystem(_core.real_system(), str(tmp_path / "stops"))
    stops.stop("before write_file")
    with (
        slow(mount, 4, dirty=96),
        FreezingProcess([mount.path], run, stops=tmp_path / "stops", wrapper=WITH_DEBUGFS) as agent,
    ):
        step(stops, writes, place)
        guardians = guardians_of(agent.pid)
        assert guardians  # from before the first bound
        agent.process.kill()
        full_speed(mount)
        await_ended(agent, guardians)
    check_nothing_left(mount, run)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("writes", range(RESTORES))
def test_an_agent_killed_while_it_puts_the_bound_back_has_it_put_back(
    writes: int, place: str, mount: LoopMount, tmp_path: Path
) -> None:
    run, stops = tmp_path / "run", StoppingSystem(_core.real_system(), str(tmp_path / "stops"))
    with (
        slow(mount, 4, dirty=96),
        FreezingProcess([mount.path], run, stops=tmp_path / "stops", wrapper=WITH_DEBUGFS) as agent,
    ):
        await_true(lambda: paced(mount))
        stops.stop("before write_file")
        await_true(lambda: stops.stopped("before write_file"))
        agent.release()  # before anything is frozen: it gives up
        time.sleep(0.05)  # it is to have read that before it asks what to do next
        # The least goes with the most: one or two writes of bounds are still to come.
        extra = 0
        while bounds(mount)["strict_limit"] == "1":
            step(stops, 1, "before")
            extra += 1
            assert extra < WRITES
        if writes or place == "after":
            step(stops, max(writes - 1, 0), place)
        guardians = guardians_of(agent.pid)
        agent.process.kill()
        full_speed(mount)
        await_ended(agent, guardians)
    check_nothing_left(mount, run)


@pytest.mark.parametrize("place", ["before freeze", "after freeze", "before thaw"])
def test_an_agent_that_has_paced_and_dies_with_its_freeze_leaves_no_bound(
    place: str, mount: LoopMount, tmp_path: Path
) -> None:
    run, stops = tmp_path / "run", StoppingSystem(_core.real_system(), str(tmp_path / "stops"))
    stops.stop(place)
    with (
        slow(mount, 16, dirty=64),
        FreezingProcess(
            [mount.path], run, stops=tmp_path / "stops", stall_goal=0.5, wrapper=WITH_DEBUGFS
        ) as agent,
    ):
        if place == "before thaw":
            await_true(lambda: (line := agent.line()) == "frozen" or bool(line))
            agent.release()
        await_true(lambda: stops.stopped(place))
        guardians = guardians_of(agent.pid)
        agent.process.kill()
        full_speed(mount)
        await_ended(agent, guardians)
    check_nothing_left(mount, run)


def test_when_both_are_killed_while_they_pace_the_rescue_puts_the_bound_back(
    mount: LoopMount, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with slow(mount, 4, dirty=96), FreezingProcess([mount.path], run) as agent:
        await_true(lambda: paced(mount))
        os.kill(agent.pid, signal.SIGSTOP)  # it would notice the death of its guardian
        for guardian in guardians_of(agent.pid):
            os.kill(guardian, signal.SIGKILL)
        agent.process.kill()
        full_speed(mount)
        agent.process.wait(timeout=60)
        assert paced(mount)
        _core.thaw_from_markers(_core.real_system(), run)
    check_nothing_left(mount, run)


@pytest.mark.parametrize("dead", ["the agent", "both"])
def test_the_machine_s_own_bound_is_put_back_after_a_death(
    dead: str, mount: LoopMount, tmp_path: Path
) -> None:
    run, found = tmp_path / "run", [file.read_text() for file in GLOBAL]
    with slow(mount, 4, dirty=96), FreezingProcess([mount.path], run, converge="GLOBAL") as agent:
        await_true(lambda: [file.read_text() for file in GLOBAL] != found)
        guardians = guardians_of(agent.pid)
        assert guardians
        if dead == "both":
            os.kill(agent.pid, signal.SIGSTOP)  # it would notice the death of its guardian
            for guardian in guardians:
                os.kill(guardian, signal.SIGKILL)
        agent.process.kill()
        full_speed(mount)
        await_ended(agent, guardians)
        if dead == "both":
            assert [file.read_text() for file in GLOBAL] != found
            _core.thaw_from_markers(_core.real_system(), run)
    await_true(lambda: [file.read_text() for file in GLOBAL] == found)
    check_nothing_left(mount, run)
