"""A process that holds something frozen writes no core dump, whose end the thaw would wait for."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest
from support.loop import loop_mount
from support.patience import PATIENCE

from vmtpy import _core
from vmtpy._core import FreezeOptions, FreezeSession, Phase, PlanRequest

if TYPE_CHECKING:
    from pathlib import Path

PR_GET_DUMPABLE = 3


def may_dump() -> bool:
    return ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1


def test_core_dumps_are_possible_again_when_the_last_session_has_ended(tmp_path: Path) -> None:
    if not may_dump():
        pytest.skip("needs a process that may write core dumps")
    with loop_mount("ext4") as first, loop_mount("ext4") as second:
        sessions = []
        for mount in (first, second):
            plan = _core.make_plan(PlanRequest(include=[mount.path]))
            options = FreezeOptions(run_directory=tmp_path)
            sessions.append(FreezeSession(_core.real_system(), None, plan.filesystems, options))
        may = []
        for session in sessions:
            session.start()
            assert session.wait_for(Phase.FROZEN, PATIENCE)
            may.append(may_dump())
        for session in sessions:
            session.release()
            assert session.wait_for(Phase.ENDED, PATIENCE)
            may.append(may_dump())
        assert may == [False, False, False, True]
