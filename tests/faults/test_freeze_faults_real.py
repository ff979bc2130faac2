"""Every call of the freeze path fails once on a real filesystem, with a real guardian beside it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from support.loop import loop_mount
from support.patience import PATIENCE
from support.rcu import await_rcu_restored

from vmtpy import _core
from vmtpy._core import FreezeOptions, FreezeSession, Outcome, Phase, PlanRequest
from vmtpy._host import FaultySystem

if TYPE_CHECKING:
    from pathlib import Path

CALLS = (
    *("open_directory", "mount_id", "sync", "freeze", "thaw", "close", "fork", "read_file"),
    *("write_file", "create_file", "make_directory", "remove_file"),
)
# Without these there is no freeze; without the others it goes on.
NEEDED = ("open_directory", "mount_id", "sync", "freeze", "fork")


@pytest.mark.parametrize("call", CALLS)
def test_nothing_stays_frozen_or_changed_on_a_real_filesystem(call: str, tmp_path: Path) -> None:
    with loop_mount("ext4") as mount:
        plan = _core.make_plan(PlanRequest(include=[mount.path]))
        for nth in range(1, 50):
            mount.check_ours()
            system = FaultySystem(_core.real_system())
            system.fail(nth, errno.EIO, for_good=False, call=call)
            options = FreezeOptions(run_directory=tmp_path / "run")
            session = FreezeSession(system, None, plan.filesystems, options)
            session.start()
            assert session.wait_for(Phase.FROZEN, PATIENCE)
            session.release()
            assert session.wait_for(Phase.ENDED, PATIENCE)
            record = session.record()
            assert not mount.thaw()
            await_rcu_restored()
            left = list((tmp_path / "run").glob("*"))
            assert left == [] or f"unlink {left[0]}: Input/output error" in record.warnings
            for marker in left:
                marker.unlink()
            fired = system.fired()
            failed = fired and (call in NEEDED or "/mountinfo" in record.error)
            assert record.outcome == (Outcome.FAILED if failed else Outcome.RELEASED)
            assert (record.code == errno.EIO) == failed
            if not fired:
                break
        assert nth > 1
