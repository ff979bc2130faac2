"""The agent's loop and the backup machine, one turn at a time: in-process host, simulated disk, and
a clock that is turned by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE
from support.rig import EVENT, KIND, Rig, State

from vmtpy import _core

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    if rig.session is not None:
        rig.session.abort("the test is over")


def test_a_backup_from_start_to_done(rig: Rig) -> None:
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    record = rig.finish()
    assert rig.events() == [b"reset 0 ", b"prov.snapshotCommit 0 ", b"req.done 0 "]
    assert record.outcome == _core.Outcome.RELEASED


def test_the_host_is_polled_with_two_traps_and_a_growing_delay(rig: Rig) -> None:
    rig.turn()
    before = sum(rig.device.traps().values())
    delays = []
    for _ in range(9):
        now = rig.clock.now()
        following = rig.agent.step()
        assert following is not None
        delays.append(round(following - now, 3))
        rig.clock.advance(following - now + 1e-6)
    assert delays == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.5]
    assert sum(rig.device.traps().values()) - before == 2 * 8


def test_it_announces_itself_at_the_open_and_after_each_reset(rig: Rig) -> None:
    rig.turn()
    assert rig.command("reset") == b"OK ATR toolbox"
    rig.turn(0.01)
    hellos = [entry for entry in rig.seen if entry.request == b"log hello"]
    assert len(hellos) == 2


def test_simple_commands_are_answered_natively(rig: Rig) -> None:
    assert rig.command("ping") == b"OK "
    assert rig.command("Capabilities_Register") == b"OK "
    assert rig.command("nonsense") == b"ERROR Unknown Command"
    assert rig.command("vmbackup.nonsense") == b"ERROR Unknown Command"
    assert rig.command("x" * 65536) == b"ERROR Unknown Command"
    assert rig.command("ping") == b"OK "


@pytest.mark.parametrize(
    ("arguments", "manifest", "volumes"),
    [
        (b"", False, ""),
        (b" ", False, ""),
        (b" 0", False, ""),
        (b" 1", True, ""),
        (b" 2", True, ""),
        (b" -1", True, ""),
        (b" +10", True, ""),
        (b" 00", False, ""),
        (b" " + b"9" * 1000, True, ""),
        (b" 0 /srv", False, "/srv"),
        (b" 7 /srv /home", True, "/srv /home"),
    ],
)
def test_start_takes_any_integer_or_none(
    rig: Rig, arguments: bytes, manifest: bool, volumes: str
) -> None:
    assert rig.command(b"vmbackup.start" + arguments) == b"OK "
    request = rig.take(KIND.START).request
    assert (request.manifest, request.volumes) == (manifest, volumes)


@pytest.mark.parametrize("arguments", [b"yes", b"1x", b"-", b"0x1", b"1.0", b"/srv", b"\xff"])
def test_start_with_anything_else_is_refused_and_begins_nothing(rig: Rig, arguments: bytes) -> None:
    error = b"ERROR vmbackup.start: expected an integer (0: no manifest)"
    assert rig.command(b"vmbackup.start " + arguments) == error
    assert rig.events() == []
    assert rig.command(b"vmbackup.start") == b"OK "


def test_without_a_backup_its_commands_are_errors(rig: Rig) -> None:
    none = b"ERROR Error: no quiesce operation in progress"
    assert rig.command("vmbackup.snapshotDone") == none
    assert rig.command("vmbackup.abort") == none
    assert (
        rig.command("vmbackup.snapshotCompleted") == b"ERROR Error: no quiesce complete in progress"
    )
    assert rig.events() == []


def test_a_second_start_is_refused_in_every_busy_state(rig: Rig) -> None:
    busy = b"ERROR Quiesce operation already in progress."
    assert rig.command("vmbackup.start 1 /srv /home") == b"OK "
    request = rig.take(KIND.START).request
    assert (request.manifest, request.volumes) == (True, "/srv /home")
    assert rig.command("vmbackup.start 1") == busy
    rig.arm()
    rig.until(lambda: rig.agent.backup_state == State.FROZEN)
    assert rig.command("vmbackup.start 1") == busy
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    assert rig.command("vmbackup.start 1") == busy
    rig.finish()
    assert rig.command("vmbackup.start 0") == b"OK "


def test_snapshot_done_before_the_commit_is_an_unexpected_state(rig: Rig) -> None:
    assert rig.command("vmbackup.start 1") == b"OK "
    assert (
        rig.command("vmbackup.snapshotDone")
        == b"ERROR Error: unexpected state for quiesce done message."
    )


def test_the_host_is_kept_alive_every_second(rig: Rig) -> None:
    rig.freeze()
    before = rig.requests().count(EVENT + b"req.keepAlive 0 ")
    for _ in range(5):
        rig.turn(1.0)
    assert rig.requests().count(EVENT + b"req.keepAlive 0 ") == before + 5


def test_the_host_is_kept_alive_while_a_filesystem_freezes_slowly() -> None:
    rig = Rig(filesystem_timeout=60.0)
    rig.disk.hold("/srv")
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    rig.arm()
    rig.until(lambda: rig.agent.backup_state == State.FREEZING)
    before = rig.requests().count(EVENT + b"req.keepAlive 0 ")
    for _ in range(5):
        rig.turn(1.0)
    assert rig.requests().count(EVENT + b"req.keepAlive 0 ") == before + 5
    rig.disk.let_go("/srv")
    rig.until(lambda: rig.agent.backup_state == State.FROZEN)
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.finish()


def test_an_abort_thaws_and_is_confirmed(rig: Rig) -> None:
    rig.freeze()
    assert rig.command("vmbackup.abort") == b"OK "
    record = rig.finish()
    assert record.outcome == _core.Outcome.ABORTED
    assert rig.events()[-2:] == [b"req.aborted 4 aborted by the host", b"req.done 0 "]


def test_an_abort_while_python_prepares_freezes_nothing(rig: Rig) -> None:
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    assert rig.command("vmbackup.abort") == b"OK "
    rig.arm()
    record = rig.finish()
    assert record.outcome == _core.Outcome.ABORTED
    assert rig.session is not None
    assert rig.session.phase() == _core.Phase.NEW
    assert rig.events() == [b"reset 0 ", b"req.aborted 4 aborted by the host", b"req.done 0 "]


def test_past_the_limit_it_thaws_tells_the_host_and_refuses_a_late_done() -> None:
    rig = Rig(timeout=30.0)
    rig.freeze()
    rig.turn(29.0)
    assert rig.disk.frozen("/srv")
    rig.turn(1.5)
    rig.until(lambda: rig.agent.backup_state == State.FINISHING)
    assert rig.command("vmbackup.snapshotDone") == b"ERROR Error: no quiesce operation in progress"
    record = rig.finish()
    assert record.outcome == _core.Outcome.EXPIRED
    assert rig.events()[-2].startswith(b"req.aborted 4 ")
    assert rig.command("vmbackup.snapshotDone") == b"ERROR Error: no quiesce operation in progress"


def test_a_snapshot_of_what_someone_else_has_thawed_is_not_confirmed(rig: Rig) -> None:
    rig.freeze()
    rig.disk.thaw_by_someone_else("/srv")
    assert rig.command("vmbackup.snapshotDone").startswith(b"ERROR ")
    record = rig.finish()
    assert record.outcome == _core.Outcome.LOST
    assert rig.events()[-2].startswith(b"req.error 3 ")


def test_a_refused_commit_thaws_at_once(rig: Rig) -> None:
    rig.device.answer_with(EVENT + b"prov.snapshotCommit", b"0 Unknown command")
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    rig.arm()
    record = rig.finish()
    assert record.outcome == _core.Outcome.ABORTED
    assert "refused prov.snapshotCommit" in record.error


def test_a_refused_keep_alive_aborts(rig: Rig) -> None:
    rig.freeze()
    rig.device.answer_with(EVENT + b"req.keepAlive", b"0 gone")
    rig.turn(1.0)
    assert rig.finish().outcome == _core.Outcome.ABORTED


def test_a_refused_reset_means_that_nothing_begins(rig: Rig) -> None:
    rig.device.answer_with(EVENT + b"reset", b"0 Unknown command")
    assert rig.command("vmbackup.start 1") == b"ERROR Error when sending the start event."
    assert rig.agent.backup_state == State.IDLE
    assert rig.command("vmbackup.start 1") == b"OK "


def test_what_cannot_be_prepared_is_reported_with_its_text(rig: Rig) -> None:
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    rig.agent.refuse(_core.BackupCode.SCRIPT, "hook db: locked\nelsewhere")
    rig.finish()
    assert rig.events()[-2:] == [b"req.error 2 hook db: locked elsewhere", b"req.done 0 "]


def test_a_failed_freeze_is_reported_by_path_and_errno() -> None:
    rig = Rig()
    options = _core.FreezeOptions(guardian=False, expedite_rcu=False)
    other = _core.FreezeSession(rig.disk, rig.clock, rig.disk.filesystems(), options)
    other.start()
    assert other.wait_for(_core.Phase.FROZEN, PATIENCE)
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    rig.arm()
    record = rig.take(KIND.ENDED).record
    assert record.outcome == _core.Outcome.FAILED
    rig.agent.finish()
    rig.until(lambda: rig.agent.backup_state == State.IDLE)
    assert rig.events()[-2].startswith(b"req.error 3 ")
    assert b"/srv" in rig.events()[-2]
    assert rig.disk.frozen("/srv")
    other.release()


def test_told_to_stop_while_frozen_it_thaws_tells_the_host_and_ends(rig: Rig) -> None:
    rig.freeze()
    rig.agent.request_stop()
    record = rig.finish()
    assert record.outcome == _core.Outcome.ABORTED
    assert rig.events()[-2] == b"req.aborted 4 the agent was told to stop"
    rig.take(KIND.STOPPED)
    assert rig.agent.step() is None
    assert rig.device.open_channels() == 0


def test_told_to_stop_it_does_not_wait_for_a_stuck_python_for_ever(rig: Rig) -> None:
    rig.freeze()
    rig.agent.request_stop()
    rig.until(lambda: rig.agent.backup_state == State.FINISHING)
    assert not rig.disk.frozen("/srv")
    rig.until(lambda: rig.agent.step() is None, seconds=1.0)
    rig.turn()
    assert rig.events()[-1] == b"req.done 0 "


def test_nothing_reaches_python_while_something_is_frozen(rig: Rig) -> None:
    rig.freeze()
    rig.device.answer_with(EVENT + b"req.keepAlive", b"0 gone")  # is logged
    rig.disk.hold("/srv")
    assert rig.agent.next_event(0) is None
    rig.turn(0.5)
    assert rig.agent.next_event(0) is None


def test_lost_channels_in_the_middle_of_a_backup_are_opened_again(rig: Rig) -> None:
    rig.freeze()
    rig.device.lose_channels()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.device.lose_channels()
    assert rig.finish().outcome == _core.Outcome.RELEASED


def test_a_host_that_is_away_costs_less_and_less_and_is_picked_up_again(rig: Rig) -> None:
    rig.turn()
    rig.device.misbehave(0, times=8, status=0)  # OPEN is refused
    rig.device.lose_channels()
    for _ in range(12):
        now = rig.clock.now()
        following = rig.agent.step()
        assert following is not None
        assert following - now <= 60.0
        rig.clock.advance(max(following - now, 0.001))
    assert rig.command("ping") == b"OK "


def test_a_host_that_is_away_during_a_backup_is_asked_again_soon(rig: Rig) -> None:
    """It may come back with its snapshotDone, for which writers wait."""
    rig.freeze()
    rig.turn(0.9)  # the next keep-alive is not due, whose failure would end the backup
    rig.device.misbehave(0, times=4, status=0)  # OPEN is refused
    rig.device.lose_channels()
    rig.clock.advance(0.01)
    due = rig.agent.step()
    assert due is not None
    assert rig.agent.status().trouble != ""
    assert due - rig.clock.now() <= 0.011
    rig.until(lambda: rig.agent.status().trouble == "")
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    assert rig.finish().outcome == _core.Outcome.RELEASED
