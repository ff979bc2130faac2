"""The agent over vsock, one turn at a time: commands are pushed to it, and whatever happens to the
connections, no answer and no backup is lost. In-process host, simulated disk, clock by hand.
"""

from __future__ import annotations

import re
import select
import time
from typing import TYPE_CHECKING

import pytest
from support.patience import FAR, PATIENCE
from support.rig import EVENT, KIND, QUICK, Rig, State

from vmtpy import _core
from vmtpy._core import Protocol
from vmtpy._host import MessageKind, Transport, VsockFault, encode_packet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RPCI_PORT, TCLO_PORT = 976, 975
BOTH = (Transport.VSOCK, Transport.PRIVILEGED_VSOCK)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(vsock=True)
    rig.until(lambda: on_vsock(rig))
    yield rig
    if rig.session is not None:
        rig.session.abort("the test is over")


def on_vsock(rig: Rig) -> bool:
    return rig.agent.status().transport == "vsock"


def traps(rig: Rig) -> int:
    return sum(rig.device.traps().values())


def transports(rig: Rig, kind: MessageKind) -> list[Transport]:
    return [entry.transport for entry in rig.seen if entry.kind == kind]


def log(rig: Rig) -> list[str]:
    lines = []
    while event := rig.agent.next_event(0):
        if event.kind == KIND.LOG:
            lines.append(event.text)
    return lines


def arrived(condition: Callable[[], bool]) -> None:
    """Waits for the host's thread."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# --- the way of it ---


def test_it_begins_with_vsock_where_the_host_listens_and_says_so(rig: Rig) -> None:
    assert traps(rig) == 0
    assert "the host is reached by vsock: the host listens there" in log(rig)
    hello, uptime = (entry.request for entry in rig.seen)
    assert hello == b"log hello"
    assert re.fullmatch(rb"SetGuestInfo  7 \d+", uptime)


def test_commands_are_heard_without_any_polling(rig: Rig) -> None:
    for _ in range(3):
        assert rig.command("ping") == b"OK "
    assert transports(rig, MessageKind.TCLO_REPLY) == [Transport.PRIVILEGED_VSOCK] * 3
    assert traps(rig) == 0


def test_the_loops_thread_sleeps_until_the_host_speaks() -> None:
    rig = Rig(vsock=True)
    rig.agent.start()
    deadline = time.monotonic() + PATIENCE
    assert rig.device.wait_for_tools(deadline)
    rig.device.send_command("ping")
    arrived(lambda: any(entry.request == b"OK " for entry in rig.device.take_transcript()))
    rig.agent.request_stop()
    while (event := rig.agent.next_event(10)) is not None and event.kind != KIND.STOPPED:
        pass
    assert traps(rig) == 0
    assert rig.service.counts()["connections"] == 2


def test_a_ping_goes_every_second_after_the_first_answer(rig: Rig) -> None:
    for _ in range(5):
        rig.turn(1.0)
    assert rig.service.counts()["pings"] == 0
    rig.device.send_command("ping")
    rig.until(lambda: rig.replies() == [b"OK "], 0.0)  # no second passes until it has arrived
    for _ in range(5):
        rig.turn(1.0)
    arrived(lambda: rig.service.counts()["pings"] == 5)
    rig.turn(0.5)
    assert traps(rig) == 0


def test_idle_it_wakes_for_its_pings_only(rig: Rig) -> None:
    rig.command("ping")
    for pause in (None, 1.0, 1.0, 1.0):
        now = rig.clock.now()
        following = rig.agent.step()
        assert following is not None
        assert pause is None or following - now == pytest.approx(pause, abs=1e-5)
        rig.clock.advance(following - now + 1e-6)


def test_a_reset_is_answered_and_followed_by_an_announcement(rig: Rig) -> None:
    assert rig.command("reset") == b"OK ATR toolbox"
    rig.turn(0.01)
    assert [entry.request for entry in rig.seen].count(b"log hello") == 2


def test_python_hears_of_the_announcement_also_from_a_host_that_says_nothing() -> None:
    rig = Rig(vsock=True)
    rig.take(KIND.ANNOUNCED)
    assert on_vsock(rig)
    assert rig.replies() == []


def test_it_gets_on_without_any_backdoor() -> None:
    rig = Rig(vsock=True, alone=True)
    rig.until(lambda: on_vsock(rig))
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    assert rig.finish().outcome == _core.Outcome.RELEASED
    rig.service.drop_connections()
    rig.turn()
    assert not rig.agent.status().connected
    rig.until(lambda: rig.agent.status().connected, seconds=0.1)
    assert rig.command("ping") == b"OK "
    assert traps(rig) == 0


def test_many_commands_at_once_are_answered_in_order(rig: Rig) -> None:
    for number in range(50):
        rig.device.send_command(f"nonsense {number}")
    rig.device.send_command("ping")
    rig.until(lambda: len(rig.replies()) == 51)
    assert rig.replies()[-1] == b"OK "


# --- the choice in the middle of a life ---


def test_the_backdoor_serves_while_vsock_connects_and_is_left_when_it_has() -> None:
    rig = Rig(vsock=True)
    rig.dialer.hold(True)
    rig.until(lambda: rig.agent.status().transport == "backdoor")
    assert rig.command("ping") == b"OK "
    rig.dialer.hold(False)
    rig.until(lambda: on_vsock(rig))
    rig.until(lambda: rig.device.open_channels() == 0)
    assert rig.command("ping") == b"OK "
    replies = transports(rig, MessageKind.TCLO_REPLY)
    assert replies == [Transport.BACKDOOR, Transport.PRIVILEGED_VSOCK]
    assert [entry.request for entry in rig.seen].count(b"log hello") >= 2


def test_a_host_that_does_not_listen_is_served_by_the_backdoor_and_named() -> None:
    rig = Rig(vsock=True)
    rig.service.stop_listening()
    assert rig.command("ping") == b"OK "
    status = rig.agent.status()
    assert status.transport == "backdoor"
    assert "nobody listens at the host's vsock port 975" in status.transport_reason
    assert any("is reached by backdoor: nobody listens" in line for line in log(rig))


def test_a_host_that_begins_to_listen_is_gone_over_to() -> None:
    rig = Rig(vsock=True)
    rig.service.stop_listening()
    rig.command("ping")
    rig.service.listen_again()
    rig.until(lambda: on_vsock(rig), seconds=0.1)
    assert rig.command("ping") == b"OK "


def test_a_host_that_accepts_and_never_speaks_is_left_for_the_backdoor(rig: Rig) -> None:
    for _ in range(9):
        rig.turn(1.0)
    assert on_vsock(rig)
    rig.turn(1.1)
    status = rig.agent.status()
    assert (status.transport, status.connected, status.losses) == ("backdoor", True, 0)
    assert "says nothing" in status.transport_reason
    assert rig.command("ping") == b"OK "


def test_without_a_backdoor_a_host_that_never_speaks_is_listened_to() -> None:
    rig = Rig(vsock=True, alone=True)
    rig.until(lambda: on_vsock(rig))
    for _ in range(60):
        rig.turn(1.0)
    assert rig.agent.status().losses == 0
    assert rig.command("ping") == b"OK "


def test_a_host_that_has_spoken_once_may_be_silent(rig: Rig) -> None:
    rig.command("ping")
    for _ in range(60):
        rig.turn(1.0)
    assert on_vsock(rig)


def test_a_connection_that_breaks_is_replaced_by_the_backdoor_at_once(rig: Rig) -> None:
    rig.command("ping")
    rig.service.drop_connections()
    rig.turn()
    status = rig.agent.status()
    assert (status.transport, status.connected, status.losses) == ("backdoor", True, 0)
    assert "closed the vsock connection" in status.transport_reason
    assert rig.command("ping") == b"OK "
    assert [entry.request for entry in rig.seen].count(b"log hello") == 2
    rig.until(lambda: on_vsock(rig), seconds=0.1)


def test_a_host_with_neither_is_looked_for_until_it_is_back(rig: Rig) -> None:
    rig.service.stop_listening()
    rig.service.drop_connections()
    rig.device.misbehave(0, times=4, status=0)  # OPEN is refused
    rig.turn()
    assert not rig.agent.status().connected
    rig.until(lambda: rig.agent.status().connected, seconds=0.5)
    assert rig.command("ping") == b"OK "


@pytest.mark.parametrize(
    "fault", [VsockFault.OVERSIZE, VsockFault.UNKNOWN_TYPE, VsockFault.HALF], ids=lambda x: x.name
)
def test_what_is_no_command_is_not_listened_to_any_longer(rig: Rig, fault: VsockFault) -> None:
    rig.service.misbehave(fault, port=TCLO_PORT)
    rig.device.send_command("ping")
    rig.until(lambda: rig.agent.status().transport == "backdoor")
    assert rig.command("ping") == b"OK "


@pytest.mark.parametrize(
    "fault",
    [VsockFault.PING_STORM, VsockFault.SLOW, VsockFault.UNKNOWN_FIELDS],
    ids=lambda x: x.name,
)
def test_what_is_only_odd_is_lived_with(rig: Rig, fault: VsockFault) -> None:
    rig.service.misbehave(fault, port=TCLO_PORT, times=0)
    assert rig.command("ping") == b"OK "
    assert on_vsock(rig)


def test_a_burst_of_empty_messages_is_not_taken_for_a_slow_guest(rig: Rig) -> None:
    for _ in range(2):
        rig.turn(3.0)
    rig.service.send_raw(TCLO_PORT, 100 * encode_packet(b""))
    assert rig.command("ping") == b"OK "
    assert on_vsock(rig)
    assert b"update.tools.health guest_slow" not in rig.requests()


# --- no answer is lost ---


def test_an_answer_that_is_owed_goes_over_the_backdoor_when_vsock_has_broken(rig: Rig) -> None:
    rig.freeze()
    before = len(rig.replies())
    rig.device.send_command("vmbackup.snapshotDone")
    rig.until(lambda: rig.agent.backup_state != State.FROZEN)
    rig.service.drop_connections()  # the answer waits for the thaw
    rig.until(lambda: len(rig.replies()) > before)
    assert rig.replies()[before:] == [b"OK "]
    assert rig.seen[-1].transport == Transport.BACKDOOR or Transport.BACKDOOR in transports(
        rig, MessageKind.TCLO_REPLY
    )
    assert rig.finish().outcome == _core.Outcome.RELEASED


def test_an_answer_that_was_written_to_a_connection_that_breaks_is_sent_again(rig: Rig) -> None:
    rig.device.send_command("ping")
    arrived(lambda: bool(select_readable(rig)))
    rig.agent.step()  # takes the command, and writes the answer
    rig.agent.step()
    rig.service.drop_connections()
    rig.turn()
    rig.turn()
    # The host has the answer twice, or once by the backdoor: never not at all.
    replies = [entry for entry in rig.seen if entry.kind == MessageKind.TCLO_REPLY]
    assert replies[-1].transport == Transport.BACKDOOR
    assert {reply.request for reply in replies} == {b"OK "}


def test_an_answer_of_a_while_ago_is_not_taken_for_that_to_a_command_that_was_lost(
    rig: Rig,
) -> None:
    rig.freeze()
    rig.turn(1.1)
    before = len(rig.replies())
    rig.service.misbehave(VsockFault.CLOSE, port=TCLO_PORT)  # the command never arrives
    rig.device.send_command("vmbackup.snapshotDone")
    rig.until(lambda: not on_vsock(rig))
    for _ in range(3):
        rig.turn(0.1)
    assert len(rig.replies()) == before


def test_an_answer_of_a_while_ago_is_not_sent_again_when_idle(rig: Rig) -> None:
    assert rig.command("ping") == b"OK "
    rig.turn(1.1)
    before = len(rig.replies())
    rig.service.drop_connections()
    rig.until(lambda: not on_vsock(rig))
    for _ in range(3):
        rig.turn(0.1)
    assert len(rig.replies()) == before


def test_an_answer_that_is_owed_by_the_backdoor_goes_there_before_vsock_takes_over() -> None:
    rig = Rig(vsock=True)
    rig.dialer.hold(True)
    rig.until(lambda: rig.agent.status().transport == "backdoor", seconds=0.05)
    rig.device.send_command("OS_Halt")
    event = rig.take(KIND.COMMAND)
    rig.dialer.hold(False)
    rig.agent.answer(event.id, b"OK ")
    rig.until(lambda: on_vsock(rig))
    [reply] = [entry for entry in rig.seen if entry.kind == MessageKind.TCLO_REPLY]
    assert (reply.request, reply.transport) == (b"OK ", Transport.BACKDOOR)


def test_no_answer_of_before_confirms_a_snapshot_after_a_thaw_of_its_own() -> None:
    """The host is back with its snapshotDone at once, and takes what it hears for the answer."""
    rig = Rig(vsock=True, alone=True)
    rig.until(rig.device.tclo_seen)
    rig.freeze()
    before = len(rig.replies())
    rig.service.stop_listening()
    rig.service.drop_connections()
    rig.device.send_command("vmbackup.snapshotDone")
    rig.turn()  # the answer to the start may be lost, and is kept to be sent again
    rig.service.listen_again()
    assert rig.session is not None
    rig.session.abort("by itself")
    rig.until(lambda: rig.agent.backup_state == State.FINISHING, 0.0)
    rig.until(lambda: len(rig.replies()) > before, 0.1)
    assert rig.replies()[before].startswith(b"ERROR ")


def select_readable(rig: Rig) -> list[int]:
    """Whether the host has pushed something to the agent."""
    return [1] if rig.service.counts()["packets"] >= 3 else select.select([], [], [], 0.001)[0]


# --- a backup goes on ---


def kill_connections(rig: Rig) -> None:
    rig.service.drop_connections()


def kill_vsock(rig: Rig) -> None:
    rig.service.stop_listening()
    rig.service.drop_connections()


def silence_requests(rig: Rig) -> None:
    rig.service.misbehave(VsockFault.SILENCE, port=RPCI_PORT, times=0)


def halve_requests(rig: Rig) -> None:
    rig.service.misbehave(VsockFault.HALF, port=RPCI_PORT, times=0)


def accept_and_close(rig: Rig) -> None:
    rig.service.misbehave(VsockFault.RESET, times=0)
    rig.service.drop_connections()


BLOWS = [kill_connections, kill_vsock, silence_requests, halve_requests, accept_and_close]
MOMENTS = ["idle", "preparing", "armed", "frozen", "late in the freeze", "thawing", "finishing"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("blow", BLOWS, ids=lambda blow: blow.__name__)
def test_vsock_that_dies_in_whatever_state_of_a_backup_does_not_cost_it(
    blow: Callable[[Rig], None], moment: str
) -> None:
    patience = QUICK if blow is silence_requests else PATIENCE
    rig = Rig(vsock=True, patience=patience, patience_busy=patience)
    rig.until(lambda: on_vsock(rig))

    def now(this: str) -> None:
        if this == moment:
            blow(rig)
            rig.turn()

    now("idle")
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    now("preparing")
    rig.arm()
    now("armed")
    rig.until(lambda: rig.agent.backup_state == State.FROZEN)
    now("frozen")
    for _ in range(3):
        rig.turn(1.0)
    now("late in the freeze")
    assert rig.disk.frozen("/srv")
    before = len(rig.replies())
    rig.device.send_command("vmbackup.snapshotDone")
    if moment == "thawing":
        rig.until(lambda: rig.agent.backup_state in (State.THAWING, State.FINISHING))
        now("thawing")
    rig.until(lambda: len(rig.replies()) > before)
    assert rig.replies()[before] == b"OK "
    now("finishing")
    record = rig.finish()
    assert record.outcome == _core.Outcome.RELEASED
    told = rig.events()
    for event in (b"reset 0 ", b"prov.snapshotCommit 0 ", b"req.done 0 "):
        assert event in told
    assert not any(b"req.aborted" in request or b"req.error" in request for request in told)
    assert rig.command("ping") == b"OK "


@pytest.mark.parametrize("alone", [False, True])
def test_a_host_that_stands_still_does_not_hold_the_loop_while_frozen(*, alone: bool) -> None:
    # It is as patient before the freeze, when the host is to be in time on a busy machine, too.
    patience = 3.0 if alone else FAR
    rig = Rig(vsock=True, alone=alone, patience=patience, patience_busy=QUICK)
    rig.until(lambda: on_vsock(rig))
    rig.freeze()
    rig.service.misbehave(VsockFault.SILENCE, port=0, times=0)
    begun = time.monotonic()
    rig.turn(1.0)  # a keep-alive
    assert time.monotonic() - begun < PATIENCE
    if alone:
        assert rig.agent.backup_state == State.ABORTING  # nobody is there to take the snapshot
        rig.until(lambda: not rig.disk.frozen("/srv"))
    else:
        assert rig.agent.backup_state == State.FROZEN
        assert rig.seen[-1].request == EVENT + b"req.keepAlive 0 "
        assert rig.seen[-1].transport == Transport.BACKDOOR
    assert rig.session is not None
    rig.session.abort("the test is over")


def test_during_a_backup_it_does_not_connect_anew(rig: Rig) -> None:
    rig.freeze()
    rig.service.drop_connections()
    rig.turn()
    dials = rig.dialer.dials
    for _ in range(5):
        rig.turn(1.0)
    assert rig.dialer.dials == dials
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.finish()
    rig.until(lambda: on_vsock(rig), seconds=0.1)


def test_told_to_stop_it_closes_its_connections(rig: Rig) -> None:
    rig.command("ping")
    rig.agent.request_stop()
    rig.until(lambda: rig.agent.step() is None, seconds=0.5)
    arrived(lambda: rig.service.connections() == 0)


def test_what_is_known_of_the_two_ports_is_kept_apart(rig: Rig) -> None:
    rig.service.misbehave(VsockFault.CLOSE, port=TCLO_PORT, times=0)
    rig.device.send_command("ping")
    rig.until(lambda: not on_vsock(rig))
    assert "closed" in rig.transports.trouble(Protocol.TCLO)
    assert rig.transports.trouble(Protocol.RPCI) == ""


def test_a_host_that_left_during_a_backup_is_looked_for_soon_after_it() -> None:
    """The many attempts of a backup are not to be paid for with as long a silence afterwards."""
    rig = Rig(vsock=True, alone=True)
    rig.until(rig.device.tclo_seen)
    rig.freeze()
    rig.service.stop_listening()
    rig.service.drop_connections()
    rig.until(lambda: rig.agent.backup_state == State.FINISHING, 0.02)
    rig.take(KIND.ENDED)
    rig.agent.finish()
    rig.until(lambda: rig.agent.backup_state == State.IDLE)
    rig.service.listen_again()
    back = rig.clock.now()
    while not rig.device.tclo_seen():
        rig.turn(0.05)
        time.sleep(0.01)  # the host's thread answers
        assert rig.clock.now() - back < 10
