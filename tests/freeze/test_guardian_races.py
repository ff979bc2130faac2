"""The races between a session and its guardian, each stopped at its narrowest place."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.freezing import FreezingProcess, await_gone, guardians_of
from support.loop import loop_mount
from support.patience import PATIENCE, await_true

from vmtpy import _core
from vmtpy._core import Filesystem, FreezeOptions, FreezeSession, Outcome, Phase, PlanRequest
from vmtpy._host import ManualClock, StoppingSystem
from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from support.loop import LoopMount

LIMIT = 4.0  # seconds; a busy machine begins its first FIFREEZE well before


def threads(process: int) -> int:
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def in_two_levels(first: LoopMount, second: LoopMount) -> list[Filesystem]:
    planned = _core.make_plan(PlanRequest(include=[first.path, second.path])).filesystems
    return [
        Filesystem(
            filesystem.path,
            mount_id=filesystem.mount_id,
            device=filesystem.device,
            type=filesystem.type,
            source=filesystem.source,
            level=0 if filesystem.path == str(first.path) else 1,
        )
        for filesystem in planned
    ]


@pytest.mark.parametrize("begun", ["before guardian's thaw", "after guardian's thaw"])
def test_nothing_is_frozen_any_more_once_the_guardian_has_begun_to_thaw(
    begun: str, tmp_path: Path
) -> None:
    """The limit passes inside the first FIFREEZE, and the session does not see that."""
    has_thawed = begun.startswith("after")
    with loop_mount("ext4") as first, loop_mount("ext4") as second:
        stops = StoppingSystem(_core.real_system(), str(tmp_path / "stops"))
        stops.stop("after freeze")
        stops.stop(begun)
        clock = ManualClock()
        clock.advance(time.monotonic())  # the guardian has no other time than the real one
        options = FreezeOptions(run_directory=tmp_path / "run", timeout=LIMIT)
        session = FreezeSession(stops, clock, in_two_levels(first, second), options)
        session.start()
        await_true(lambda: stops.stopped("after freeze"))
        await_true(lambda: stops.stopped(begun))
        [guardian] = guardians_of(os.getpid())
        if has_thawed:
            stops.let_go(begun)
            await_true(lambda: threads(guardian) == 1)  # those that thaw have ended
            assert not first.thaw()  # the guardian has
        stops.let_go("after freeze")
        await_true(lambda: session.phase() != Phase.FREEZING)
        session.abort("not too late if the second was frozen, too")
        stops.let_go(begun)
        assert session.wait_for(Phase.ENDED, PATIENCE)
        record = session.record()
        assert record.outcome == Outcome.FAILED
        runs = {filesystem.path: filesystem for filesystem in record.filesystems}
        assert (runs[str(second.path)].call, runs[str(second.path)].error) == (
            "FIFREEZE",
            errno.ECANCELED,
        )
        note = runs[str(first.path)].note
        assert note == ("thawed by the guardian" if has_thawed else "")
        assert not first.thaw()
        assert not second.thaw()


def test_a_thaw_by_someone_else_is_not_taken_for_the_guardians(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount:
        plan = _core.make_plan(PlanRequest(include=[mount.path]))
        options = FreezeOptions(run_directory=tmp_path)
        session = FreezeSession(_core.real_system(), None, plan.filesystems, options)
        session.start()
        assert session.wait_for(Phase.FROZEN, PATIENCE)
        assert mount.thaw()
        session.release()
        assert session.wait_for(Phase.ENDED, PATIENCE)
        assert [filesystem.note for filesystem in session.record().filesystems] == [
            "thawed by someone else"
        ]


def test_a_freeze_that_ends_behind_the_guardians_thaw_is_thawed_although_its_thread_is_gone(
    tmp_path: Path,
) -> None:
    """A look for the thread after the thaw would find none, and trust the EINVAL of before."""
    stops = StoppingSystem(_core.real_system(), str(tmp_path / "stops"))
    for place in ("before freeze", "after freeze", "after guardian's thaw"):
        stops.stop(place)
    with loop_mount("ext4") as mount:
        with FreezingProcess(
            [mount.path], tmp_path / "run", stops=tmp_path / "stops", timeout=LIMIT
        ) as agent:
            await_true(lambda: stops.stopped("before freeze"))
            guardian = agent.guardian()
            await_true(lambda: stops.stopped("after guardian's thaw"))
            stops.let_go("before freeze")
            await_true(lambda: stops.stopped("after freeze"))
            agent.process.kill()
            agent.process.wait(timeout=PATIENCE)
            stops.let_go("after guardian's thaw")
            await_gone(guardian)
        assert not mount.thaw()
        assert list((tmp_path / "run").iterdir()) == []


def test_an_unknown_place_to_stop_at_is_an_error(tmp_path: Path) -> None:
    stops = StoppingSystem(_core.real_system(), str(tmp_path / "stops"))
    with pytest.raises(VmtError, match='"before lunch" is no place to stop'):
        stops.stop("before lunch")
