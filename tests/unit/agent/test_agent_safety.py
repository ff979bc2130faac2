"""What must not happen to the loop: an exception, a flood, an answer that comes twice."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
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


def queued(rig: Rig) -> list[_core.AgentEvent]:
    """All that waits for Python."""
    events = []
    while event := rig.agent.next_event(0):
        events.append(event)
    return events


def test_an_exception_in_the_loop_while_frozen_thaws_and_the_agent_goes_on(rig: Rig) -> None:
    rig.freeze()
    rig.backdoor.break_down(1)
    record = rig.finish()
    assert record.outcome == _core.Outcome.ABORTED
    assert "bad_alloc" in record.error
    assert rig.events()[-2].startswith(b"req.aborted 4 ")
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.finish()


def test_an_exception_in_the_loop_while_thawing_leaves_no_command_unanswered(rig: Rig) -> None:
    rig.freeze()
    before = len(rig.replies())
    rig.device.send_command("vmbackup.snapshotDone")
    rig.until(lambda: rig.agent.backup_state != State.FROZEN)
    rig.backdoor.break_down(1)
    rig.turn(1.0)
    rig.until(lambda: len(rig.replies()) > before)
    assert rig.replies()[-1].startswith((b"OK ", b"ERROR "))
    assert rig.command("ping") == b"OK "
    rig.finish()


def test_an_exception_in_the_loop_behind_the_end_of_a_freeze_is_no_second_end(rig: Rig) -> None:
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    assert rig.take(KIND.ENDED).record.outcome == _core.Outcome.RELEASED
    rig.backdoor.break_down(1)
    rig.turn(1.0)
    told = queued(rig)
    assert any("a turn of the loop failed" in event.text for event in told)
    assert KIND.ENDED not in [event.kind for event in told]
    rig.agent.finish()
    rig.until(lambda: rig.agent.backup_state == State.IDLE)


@pytest.mark.parametrize("after", range(0, 40, 2))
def test_wherever_the_loop_runs_out_of_memory_nothing_stays_frozen(after: int) -> None:
    rig = Rig(timeout=5.0)
    rig.device.send_command("vmbackup.start 1")
    for turn in range(4000):
        if turn == after:
            rig.backdoor.break_down(3)
        rig.turn(0.01)
        for event in queued(rig):
            if event.kind == KIND.START:
                rig.arm()
            elif event.kind == KIND.ENDED:
                rig.agent.finish()
        time.sleep(0.0003)  # for the session's threads
        if turn > after and rig.replies() and rig.agent.backup_state == State.IDLE:
            break
    assert rig.agent.backup_state == State.IDLE
    rig.until(lambda: not rig.disk.frozen("/srv"))
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.finish()


def test_a_loop_that_fails_while_it_stops_still_stops(rig: Rig) -> None:
    rig.freeze()
    rig.agent.request_stop()
    rig.backdoor.break_down(20)
    rig.until(lambda: rig.agent.step() is None, seconds=1.0)
    assert not rig.disk.frozen("/srv")
    rig.take(KIND.STOPPED)


def test_a_second_answer_of_python_does_not_touch_the_session_that_is_under_way(rig: Rig) -> None:
    rig.freeze()
    first = rig.session
    rig.arm()
    rig.turn()
    rig.session = first
    assert rig.disk.frozen("/srv")
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    assert rig.finish().outcome == _core.Outcome.RELEASED


def test_no_session_is_no_answer(rig: Rig) -> None:
    with pytest.raises(TypeError):
        rig.agent.arm(None)  # type: ignore[arg-type]


def test_told_to_stop_while_python_is_stuck_in_its_preparations_it_tells_the_host_the_end(
    rig: Rig,
) -> None:
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.agent.request_stop()
    rig.until(lambda: rig.agent.step() is None, seconds=1.0)
    rig.turn()
    assert rig.events()[-2:] == [b"req.aborted 4 the agent was told to stop", b"req.done 0 "]


@pytest.mark.parametrize("command", ["Capabilities_Register", "reset", "ping", "nonsense"])
def test_a_host_that_floods_costs_no_memory_and_no_deadline(command: str) -> None:
    rig = Rig(timeout=30.0)
    rig.freeze()
    rig.device.answer_with(b"log hello", b"0 " + b"x" * 60000)
    for _ in range(100):
        for _ in range(20):
            rig.device.send_command(command)
        rig.turn(0.001)
    rig.turn(31.0)
    rig.until(lambda: rig.agent.backup_state == State.FINISHING)
    assert not rig.disk.frozen("/srv")
    events = queued(rig)
    assert sum(event.kind == KIND.ANNOUNCED for event in events) <= 1
    assert sum(len(event.text) for event in events) < 1_500_000


def test_a_flood_keeps_neither_the_start_nor_the_end_of_a_backup_from_python(rig: Rig) -> None:
    """A Python that is busy has not taken any of it."""
    for _ in range(100):
        for _ in range(16):
            rig.device.send_command("Set_Option synctime 1")
        rig.turn(0.01)
    rig.until(lambda: rig.replies().count(b"OK ") >= 1600)
    assert rig.command("vmbackup.start 1") == b"OK "
    assert rig.command("vmbackup.abort") == b"OK "
    rig.agent.refuse(_core.BackupCode.SCRIPT, "cancelled")
    rig.until(lambda: rig.agent.backup_state == State.FINISHING)
    kinds = [event.kind for event in queued(rig)]
    assert (kinds.count(KIND.START), kinds.count(KIND.ENDED)) == (1, 1)
    assert kinds.count(KIND.COMMAND) < 1600
    rig.agent.finish()


def test_what_the_host_says_is_one_line_in_the_log(rig: Rig) -> None:
    rig.device.answer_with(b"log hello", b"0 no\nvmtpy: quiesced\x1b[2J" + b"x" * 60000)
    rig.turn()
    [line] = [event.text for event in queued(rig) if event.kind == KIND.LOG]
    assert line.isprintable()
    assert len(line) < 1000


def test_commands_that_python_never_takes_cost_a_bounded_amount_of_memory() -> None:
    rig = Rig()
    rig.turn()
    for _ in range(3000):
        rig.device.send_command("Set_Option key " + "x" * 50)
    rig.device.send_command("vmbackup.start 1")
    rig.until(lambda: rig.agent.backup_state == State.PREPARING)
    assert len(queued(rig)) <= 1100
    assert EVENT + b"reset 0 " in [entry.request for entry in rig.seen]


def test_a_reload_does_not_reach_python_in_the_middle_of_a_backup(rig: Rig) -> None:
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    os.eventfd_write(rig.agent.reload_fd, 1)
    rig.turn(1.0)
    assert KIND.RELOAD not in [event.kind for event in queued(rig)]
    rig.agent.refuse(_core.BackupCode.SCRIPT, "a hook has failed")
    rig.until(lambda: rig.agent.backup_state == State.FINISHING)
    assert KIND.RELOAD not in [event.kind for event in queued(rig)]
    rig.agent.finish()
    rig.take(KIND.RELOAD)
