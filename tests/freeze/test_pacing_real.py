"""Writers slowed down by the real kernel: what tells how much is dirty, and no bound left behind
whatever call fails.
"""

from __future__ import annotations

import errno
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.freezing import FreezingProcess
from support.loop import loop_mount
from support.patience import PATIENCE, await_true
from support.slow_disk import (
    FOUND,
    IMAGE,
    MIB,
    WITH_DEBUGFS,
    WITHOUT_DEBUGFS,
    bounds,
    full_speed,
    paced,
    slow,
)

from vmtpy import _core
from vmtpy._core import FreezeOptions, FreezeSession, Outcome, Phase, PlanRequest
from vmtpy._host import FaultySystem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loop import LoopMount

DIRTY = 96  # MiB
RATE = 32  # MiB/s
GOAL = 0.5  # seconds that the freeze may hold writers: the tests end sooner
GLOBAL = [Path("/proc/sys/vm/dirty_bytes"), Path("/proc/sys/vm/dirty_ratio")]
# nth call to fail: the first ones, and some of the many that follow.
TURNS = (1, 2, 3, 4, 5, 8, 13)


@pytest.fixture(scope="module")
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4", size=IMAGE) as one:
        yield one


def assert_rate_is_true(record: dict[str, Any]) -> None:
    """The rate is no more than the disk was held to, and no less than what it did in all that time,
    for which half of DIRTY is a low estimate. A measurement counts 1/e after 4 s.
    """
    (run,) = record["filesystems"]
    took = record["presynced"] - record["started"]
    least = DIRTY / 2 / took * math.exp(-took / 4)
    assert least <= run["disk_rate"] / MIB <= 1.5 * RATE, record


def test_with_debugfs_the_dirty_pages_of_the_device_count(mount: LoopMount, tmp_path: Path) -> None:
    with (
        slow(mount, RATE, dirty=DIRTY),
        FreezingProcess(
            [mount.path], tmp_path / "run", stall_goal=GOAL, wrapper=WITH_DEBUGFS
        ) as agent,
    ):
        await_true(lambda: paced(mount))
        assert agent.line() == "frozen"
        assert bounds(mount) == FOUND
        agent.release()
        record = agent.record()
    assert (record["outcome"], record["warnings"]) == ("released", [])
    assert (record["dirty_source"], record["rate_source"]) == ("debugfs", "sectors")
    (run,) = record["filesystems"]
    assert run["dirty_before"] >= 0.9 * DIRTY * MIB
    assert run["dirty_left"] <= GOAL * run["disk_rate"]
    assert_rate_is_true(record)
    assert run["expected_hold"] <= GOAL
    assert run["paced"] > 0
    assert run["freeze"] > 0


def test_without_debugfs_the_machine_s_dirty_pages_stand_in(
    mount: LoopMount, tmp_path: Path
) -> None:
    with (
        slow(mount, RATE, dirty=DIRTY),
        FreezingProcess(
            [mount.path], tmp_path / "run", stall_goal=GOAL, wrapper=WITHOUT_DEBUGFS
        ) as agent,
    ):
        await_true(lambda: paced(mount))
        assert agent.line() == "frozen"
        assert bounds(mount) == FOUND
        agent.release()
        record = agent.record()
    assert record["outcome"] == "released"
    assert (record["dirty_source"], record["rate_source"]) == ("meminfo", "sectors")
    (run,) = record["filesystems"]
    assert run["dirty_before"] >= 0.9 * DIRTY * MIB  # of the machine
    assert_rate_is_true(record)
    assert run["paced"] > 0


def test_the_machine_s_own_bound_is_set_only_where_that_is_asked_for_and_put_back(
    mount: LoopMount, tmp_path: Path
) -> None:
    found = [file.read_text() for file in GLOBAL]
    with (
        slow(mount, 32, dirty=DIRTY),
        FreezingProcess(
            [mount.path], tmp_path / "run", stall_goal=GOAL, converge="GLOBAL"
        ) as agent,
    ):
        await_true(lambda: [file.read_text() for file in GLOBAL] != found)
        assert bounds(mount) == FOUND
        agent.release()  # gives up: other disks' writers are slowed down, too
        record = agent.record()
        assert [file.read_text() for file in GLOBAL] == found
        full_speed(mount)
    assert record["outcome"] == "aborted"
    assert record["dirty_source"] == "meminfo"


def attempt(
    mount: LoopMount, run: Path, nth: int, call: str, *, once_paced: bool
) -> tuple[_core.RunRecord, bool, bool]:
    """A session that is to slow writers down and is told to end then; one call of it fails, of all
    or of those that follow. Nothing is left of it. Its record, whether writers were slowed down,
    whether the call has failed.
    """
    os = FaultySystem(_core.real_system())
    if not once_paced:
        os.fail(nth, errno.EIO, for_good=False, call=call)
    plan = _core.make_plan(PlanRequest(include=[mount.path]))
    with slow(mount, 16, dirty=DIRTY):
        session = FreezeSession(os, None, plan.filesystems, FreezeOptions(run_directory=run))
        session.start()
        # Where a bound cannot be read a syncfs takes its time, and then it freezes.
        over = (Phase.FROZEN, Phase.ENDED)
        await_true(lambda: paced(mount) or session.phase() in over)
        was_paced = paced(mount)
        if once_paced:
            os.fail(nth, errno.EIO, for_good=False, call=call)
        session.abort("enough")
        assert session.wait_for(Phase.ENDED, PATIENCE)
        record = session.record()
        await_true(lambda: bounds(mount) == FOUND)
    assert not mount.thaw()  # this waits for a syncfs that is under way
    unlinked = not any("unlink" in one for one in record.warnings)
    await_true(lambda: not unlinked or not list(run.glob("freeze-*")))
    for marker in run.glob("freeze-*"):
        marker.unlink()
    return record, was_paced, os.fired()


@pytest.mark.parametrize(
    "call", ["read_file", "write_file", "create_file", "make_directory", "fork"]
)
def test_no_bound_is_left_whatever_fails_while_writers_are_slowed_down(
    call: str, mount: LoopMount, tmp_path: Path
) -> None:
    for nth in TURNS:
        record, _, fired = attempt(mount, tmp_path / "run", nth, call, once_paced=False)
        assert record.outcome in (Outcome.ABORTED, Outcome.FAILED)
        if not fired:
            break
    assert nth > 1


@pytest.mark.parametrize("call", ["write_file", "remove_file"])
def test_no_bound_is_left_whatever_fails_while_it_is_put_back(
    call: str, mount: LoopMount, tmp_path: Path
) -> None:
    for nth in range(1, 8):
        record, was_paced, fired = attempt(mount, tmp_path / "run", nth, call, once_paced=True)
        assert was_paced
        assert record.outcome == Outcome.ABORTED
        if not fired:
            break
    assert nth > 1
