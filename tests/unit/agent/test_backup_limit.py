"""The time limit that a host gives with its start: for all before a thaw, and for one backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.rig import KIND, Rig, State
from support.start_options import start_options

from vmtpy import _core
from vmtpy._host import StoppingSystem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THAW_PATIENCE = 5  # seconds that a thaw may take before its command is answered regardless
LIMIT = 3  # seconds that the host gives


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    if rig.session is not None:
        rig.session.abort("the test is over")


def start(rig: Rig) -> None:
    assert rig.command(b"vmbackup.startWithOpts " + start_options(timeout=LIMIT)) == b"OK "
    rig.take(KIND.START)


def frozen(rig: Rig) -> bool:
    return rig.agent.backup_state == State.FROZEN


def begin_a_thaw(rig: Rig, stops: StoppingSystem) -> None:
    """From its start to its snapshotDone, a backup whose thaw stops at its beginning."""
    stops.stop("before thaw")
    start(rig)
    options = _core.FreezeOptions(guardian=False, expedite_rcu=False)
    session = _core.FreezeSession(stops, rig.clock, rig.disk.filesystems(), options)
    rig.agent.arm(session)
    rig.until(lambda: frozen(rig))
    rig.device.send_command("vmbackup.snapshotDone")
    rig.until(lambda: stops.stopped("before thaw"))


def test_a_thaw_that_has_begun_is_not_hurried_by_it(rig: Rig, tmp_path: Path) -> None:
    stops = StoppingSystem(rig.disk, str(tmp_path / "stops"))
    begin_a_thaw(rig, stops)
    before = len(rig.replies())
    rig.turn(LIMIT + 1)
    assert rig.agent.backup_state == State.THAWING
    stops.let_go("before thaw")
    rig.until(lambda: len(rig.replies()) > before)
    assert rig.replies()[-1] == b"OK "
    assert rig.finish().outcome == _core.Outcome.RELEASED


def test_a_thaw_that_takes_much_longer_is_answered_before_its_end(rig: Rig, tmp_path: Path) -> None:
    stops = StoppingSystem(rig.disk, str(tmp_path / "stops"))
    begin_a_thaw(rig, stops)
    before = len(rig.replies())
    rig.turn(THAW_PATIENCE + 0.1)
    rig.until(lambda: len(rig.replies()) > before)
    assert rig.replies()[-1] == b"ERROR Error: the thaw did not end in time"
    assert rig.agent.backup_state == State.ABORTING
    assert rig.disk.frozen("/srv")
    stops.let_go("before thaw")
    record = rig.finish()
    assert b"req.aborted 4 the thaw did not end in time" in rig.events()
    assert (record.outcome, record.error) == (
        _core.Outcome.ABORTED,
        "the thaw did not end in time",
    )


def test_a_thaw_during_which_the_loop_fails_is_recorded_as_the_host_hears_it(
    rig: Rig, tmp_path: Path
) -> None:
    stops = StoppingSystem(rig.disk, str(tmp_path / "stops"))
    begin_a_thaw(rig, stops)
    before = len(rig.replies())
    rig.backdoor.break_down(1)
    rig.turn(1.1)  # a keep-alive
    assert rig.agent.backup_state == State.ABORTING
    rig.until(lambda: len(rig.replies()) > before)
    assert rig.replies()[-1].startswith(b"ERROR Error: the agent has failed: ")
    stops.let_go("before thaw")
    record = rig.finish()
    assert record.outcome == _core.Outcome.ABORTED
    assert b"req.aborted 4 " + record.error.encode() in rig.events()
    assert record.error.startswith("the agent has failed: ")


def test_hooks_after_the_thaw_have_their_own_time(rig: Rig) -> None:
    start(rig)
    rig.arm()
    rig.until(lambda: frozen(rig))
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.turn(LIMIT + 1)
    rig.turn(1)
    assert rig.agent.backup_state == State.FINISHING
    rig.finish()


def test_the_next_backup_without_one_has_none(rig: Rig) -> None:
    start(rig)
    rig.arm()
    rig.until(lambda: frozen(rig))
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.finish()
    rig.freeze()
    rig.turn(LIMIT + 1)
    rig.turn(1)
    assert frozen(rig)
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    assert rig.finish().outcome == _core.Outcome.RELEASED
