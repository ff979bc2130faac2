"""Commands of the host that Python answers, announcements and the sign-off: the native side, one
turn at a time with a clock that is turned by hand.
"""

from __future__ import annotations

import os
import re

import pytest

from vmtpy import _core, _host

KIND = _core.AgentEvent.Kind


class Rig:
    """A native agent and its host; the test plays the Python side."""

    def __init__(self, announce: tuple[str, ...] = ("log hello",)) -> None:
        self.clock = _host.ManualClock()
        self.device = _host.Device(self.clock)
        self.seen: list[_host.TranscriptEntry] = []
        self.agent = _core.Agent(
            _host.EmulatedBackdoor(self.device),
            self.clock,
            _core.AgentOptions(
                poll_min=0.01,
                poll_max=0.5,
                poll_busy=0.002,
                announce=announce,
                withdraw=["log bye"],
            ),
        )
        self.turn()
        self.turn(0.5)
        assert self.take(KIND.ANNOUNCED)

    def turn(self, seconds: float = 0.0) -> float | None:
        """Lets time pass, then one turn of the loop."""
        if seconds:
            self.clock.advance(seconds)
        following = self.agent.step()
        self.seen += self.device.take_transcript()
        return following

    def take(self, kind: _core.AgentEvent.Kind) -> _core.AgentEvent:
        """The next event for Python; it must be of this kind."""
        event = self.agent.next_event(0)
        assert event is not None
        assert event.kind == kind, event.text
        return event

    def ask(self, text: str | bytes) -> _core.AgentEvent:
        """Sends a command that Python has to answer."""
        self.device.send_command(text)
        self.turn(0.5)
        return self.take(KIND.COMMAND)

    def replies(self) -> list[bytes]:
        return [entry.request for entry in self.seen if entry.kind == _host.MessageKind.TCLO_REPLY]

    def requests(self) -> list[bytes]:
        return [entry.request for entry in self.seen if entry.kind == _host.MessageKind.RPCI]

    def traps(self) -> int:
        return sum(self.device.traps().values())


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_command_of_pythons_waits_for_its_answer(rig: Rig) -> None:
    event = rig.ask("Time_Synchronize 1")
    assert (event.text, event.arguments) == ("Time_Synchronize", "1")
    assert event.id != 0
    before = rig.traps()
    rig.turn(1.0)
    assert rig.traps() == before, "the host is not polled before the answer is there"
    rig.agent.answer(event.id, b"OK done")
    rig.turn()
    assert rig.replies() == [b"OK done"]
    assert rig.take(KIND.ANSWERED).id == event.id


def test_commands_are_answered_one_after_the_other(rig: Rig) -> None:
    rig.device.send_command("Time_Synchronize 1")
    first = rig.ask("OS_Suspend")
    assert first.text == "Time_Synchronize"
    assert rig.agent.next_event(0) is None
    rig.agent.answer(first.id, b"OK 1")
    rig.turn()
    assert rig.take(KIND.ANSWERED).id == first.id
    second = rig.take(KIND.COMMAND)
    assert second.text == "OS_Suspend"
    rig.agent.answer(second.id, b"OK 2")
    rig.turn()
    assert rig.replies() == [b"OK 1", b"OK 2"]


def test_an_answer_that_does_not_come_in_time_is_an_error_and_one_too_late_is_dropped(
    rig: Rig,
) -> None:
    event = rig.ask("Time_Synchronize 1")
    assert rig.turn(4.9) is not None
    assert rig.replies() == []
    rig.turn(0.2)
    assert rig.replies() == [b"ERROR Time_Synchronize was not answered in time"]
    rig.agent.answer(event.id, b"OK too late")
    rig.turn(0.5)
    rig.turn(0.5)
    assert len(rig.replies()) == 1


def test_the_loop_wakes_for_the_time_limit(rig: Rig) -> None:
    now = rig.clock.now()
    rig.device.send_command("Time_Synchronize 1")
    following = rig.turn(0.5)
    assert following == pytest.approx(now + 5.5)


def test_a_power_operation_whose_hooks_take_long_is_accepted(rig: Rig) -> None:
    event = rig.ask("OS_Halt")
    rig.turn(5.1)
    assert rig.replies() == [b"OK "]
    assert rig.take(KIND.LOG).text == "OS_Halt was not answered in time"
    assert rig.take(KIND.ANSWERED).id == event.id


def test_a_second_state_change_is_refused_until_the_first_is_over(rig: Rig) -> None:
    busy = b"ERROR State change already in progress"
    event = rig.ask("OS_Halt")
    rig.turn(5.1)  # its hooks take long
    for command in ("OS_Halt", "OS_Reboot", "OS_Suspend"):
        rig.device.send_command(command)
        rig.turn(0.5)
    rig.turn(0.5)
    assert rig.replies() == [b"OK ", busy, busy, busy]
    assert rig.take(KIND.LOG)
    assert rig.take(KIND.ANSWERED).id == event.id
    rig.agent.answer(event.id, b"OK ")
    rig.agent.settle(event.id + 1)
    rig.device.send_command("OS_Reboot")
    rig.turn(0.5)
    rig.turn(0.5)
    assert rig.replies()[-1] == busy, "what it does when it is answered belongs to it"
    rig.agent.settle(event.id)
    rig.turn()
    second = rig.ask("OS_Reboot")
    assert second.text == "OS_Reboot"
    rig.agent.settle(second.id)
    rig.agent.answer(second.id, b"OK ")
    rig.device.send_command("OS_Suspend")
    rig.turn()
    assert rig.replies()[-1] == b"OK "
    assert rig.take(KIND.ANSWERED).id == second.id
    assert rig.take(KIND.COMMAND).text == "OS_Suspend", "heard in the poll that brought the answer"


def test_during_a_backup_options_are_kept_for_later_and_deeds_refused(rig: Rig) -> None:
    rig.device.send_command("vmbackup.start 1")
    rig.turn(0.5)
    rig.take(KIND.START)
    for command in ("OS_Halt", "Time_Synchronize 1", "Set_Option broadcastIP 1"):
        rig.device.send_command(command)
        rig.turn(0.5)
        rig.turn(0.5)
    busy = b"ERROR Quiesce operation in progress"
    assert rig.replies() == [b"OK ", busy, busy, b"OK "]
    event = rig.take(KIND.COMMAND)
    assert (event.text, event.arguments, event.id) == ("Set_Option", "broadcastIP 1", 0)
    rig.agent.answer(0, b"nobody waits for this")
    rig.turn(0.5)
    assert len(rig.replies()) == 4


@pytest.mark.parametrize("backup", [False, True])
@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (b"Set_Option broadcastIP 1", b"OK "),
        (b"Set_Option nobody.uses.it 1", b"OK "),
        (b"Set_Option broadcastIP maybe", b"OK "),
        (b"Set_Option broadcastIP  1", b"OK "),
        (b"Set_Option \xff 1", b"OK "),
        (b"Set_Option", b"ERROR Unknown or invalid option"),
        (b"Set_Option ", b"ERROR Unknown or invalid option"),
        (b"Set_Option broadcastIP", b"ERROR Unknown or invalid option"),
        (b"Set_Option broadcastIP ", b"ERROR Unknown or invalid option"),
        (b"Set_Option  1", b"ERROR Unknown or invalid option"),
    ],
)
def test_an_option_with_a_value_is_taken_without_waiting_for_python(
    rig: Rig, text: bytes, answer: bytes, *, backup: bool
) -> None:
    if backup:
        rig.device.send_command("vmbackup.start 1")
        rig.turn(0.5)
        rig.take(KIND.START)
    rig.device.send_command(text)
    rig.turn(0.5)
    rig.turn(0.5)
    assert rig.replies()[-1] == answer
    if answer == b"OK ":
        event = rig.take(KIND.COMMAND)
        assert os.fsencode(f"{event.text} {event.arguments}") == text
        assert event.id == 0, "no answer is wanted"
    else:
        assert rig.agent.next_event(0) is None


def test_an_option_that_is_longer_than_any_that_is_used_is_not_kept(rig: Rig) -> None:
    for size in (256, 257):
        rig.device.send_command(b"Set_Option a " + b"1" * (size - 2))
        rig.turn(0.5)
        rig.turn(0.5)
    assert rig.replies() == [b"OK ", b"OK "]
    assert len(rig.take(KIND.COMMAND).arguments) == 256
    assert rig.agent.next_event(0) is None


def test_a_host_that_floods_a_busy_guest_with_options_costs_it_no_memory(rig: Rig) -> None:
    rig.device.send_command("vmbackup.start 1")
    rig.turn(0.5)
    rig.take(KIND.START)
    for _ in range(1100):
        rig.device.send_command("Set_Option a 1")
    for _ in range(200):
        rig.turn(0.5)
    texts = []
    while event := rig.agent.next_event(0):
        texts.append(event.text)
    assert len(texts) == 1025
    assert texts[-1] == "76 log lines and commands were dropped"


@pytest.mark.parametrize("command", ["OS_Halt", "Time_Synchronize"])
def test_a_command_that_a_full_queue_keeps_from_python_is_refused_and_can_be_repeated(
    rig: Rig, command: str
) -> None:
    for _ in range(1100):
        rig.device.send_command("Set_Option a 1")
    for _ in range(200):
        rig.turn(0.5)
    for _ in range(2):
        rig.device.send_command(command)
        rig.turn(0.5)
        rig.turn(0.5)
        assert rig.replies()[-1] == b"ERROR The guest agent is busy"
    while event := rig.agent.next_event(0):
        assert event.text != command
    for _ in range(2):
        event = rig.ask(command)
        assert event.text == command
        rig.agent.settle(event.id)
        rig.agent.answer(event.id, b"OK ")
        rig.turn(0.5)
        assert rig.replies()[-1] == b"OK "
        assert rig.take(KIND.ANSWERED).id == event.id


def test_the_arguments_may_be_any_bytes_up_to_the_largest_message(rig: Rig) -> None:
    event = rig.ask(b"Time_Synchronize \xff\xfe")
    assert event.arguments == "\udcff\udcfe"
    rig.agent.answer(event.id, b"OK ")
    rig.turn()
    rig.take(KIND.ANSWERED)
    event = rig.ask(b"Time_Synchronize " + b"x" * (65536 - 17))
    assert len(event.arguments) == 65536 - 17
    rig.agent.answer(event.id, b"OK " + bytes(65536))
    rig.turn()
    assert rig.replies() == [b"OK ", b"ERROR Answer too long"]


def test_an_answer_is_brought_although_the_host_has_lost_the_channel(rig: Rig) -> None:
    event = rig.ask("Time_Synchronize 1")
    rig.device.lose_channels()
    rig.agent.answer(event.id, b"OK ")
    rig.turn()
    assert rig.replies() == [b"OK "]


def without_numbers(requests: list[bytes]) -> list[bytes]:
    """The uptime is told last, in hundredths of a second."""
    return [re.sub(rb"^(SetGuestInfo  7 )\d+$", rb"\1", request) for request in requests]


def test_the_uptime_is_told_before_the_answer_to_a_register(rig: Rig) -> None:
    """Python is not asked: it may be busy, and its guest information switched off."""
    rig.seen.clear()
    rig.device.send_command("Capabilities_Register\0")
    uptime = rig.clock.now() + 0.5
    rig.turn(0.5)
    rig.turn(0.5)
    assert [entry.request for entry in rig.seen] == [
        b"Capabilities_Register\0",
        b"log hello",
        b"SetGuestInfo  7 %d" % round(uptime * 100),
        b"OK ",
    ]


def test_it_announces_itself_at_the_open_after_a_reset_and_when_asked() -> None:
    rig = Rig(announce=("log hello", "tools.capability.statechange "))
    rig.device.send_command("reset")
    rig.device.send_command("Capabilities_Register")
    rig.turn(0.5)
    rig.turn(0.5)
    rig.turn(0.5)
    hello = [b"log hello", b"tools.capability.statechange ", b"SetGuestInfo  7 "]
    assert without_numbers(rig.requests()) == 2 * hello, (
        "not twice for a reset and a register in a row"
    )
    assert rig.replies() == [b"OK ATR toolbox", b"OK "]
    rig.take(KIND.ANNOUNCED)
    rig.device.send_command("reset")
    rig.turn(0.5)
    rig.turn(0.5)
    rig.turn(0.5)
    assert without_numbers(rig.requests()) == 3 * hello
    rig.take(KIND.ANNOUNCED)


def test_a_reset_before_the_first_announcement_is_answered_first() -> None:
    clock = _host.ManualClock()
    device = _host.Device(clock)
    device.send_command("reset")
    options = _core.AgentOptions(
        poll_min=0.01, poll_max=0.5, poll_busy=0.002, announce=["log hello"], withdraw=[]
    )
    agent = _core.Agent(_host.EmulatedBackdoor(device), clock, options)
    agent.step()
    agent.step()
    kinds = [(entry.kind.name, entry.request) for entry in device.take_transcript()]
    assert kinds == [
        ("TCLO_COMMAND", b"reset"),
        ("TCLO_REPLY", b"OK ATR toolbox"),
        ("RPCI", b"log hello"),
        ("RPCI", b"SetGuestInfo  7 100"),
    ]


def test_what_the_host_refuses_of_an_announcement_is_logged_and_the_rest_sent() -> None:
    clock = _host.ManualClock()
    device = _host.Device(clock)
    device.answer_with("vmx.capability", b"0 not here")
    options = _core.AgentOptions(
        poll_min=0.01,
        poll_max=0.5,
        poll_busy=0.002,
        announce=["vmx.capability.unified_loop toolbox", "log hello"],
        withdraw=[],
    )
    agent = _core.Agent(_host.EmulatedBackdoor(device), clock, options)
    agent.step()
    assert [entry.request for entry in device.take_transcript()][-2] == b"log hello"
    event = agent.next_event(0)
    assert event is not None
    assert event.text == 'the host refused "vmx.capability.unified_loop toolbox": not here'


def test_at_the_end_it_takes_leave_with_a_last_empty_message_and_closes(rig: Rig) -> None:
    before = rig.device.traps()
    rig.agent.request_stop()
    assert rig.turn() is None
    after = rig.device.traps()
    assert rig.requests()[-1] == b"log bye"
    # The leave, and the empty message on the other channel.
    assert after["MESSAGE SENDSIZE"] - before["MESSAGE SENDSIZE"] == 2
    assert after["MESSAGE CLOSE"] == 2
    assert rig.device.open_channels() == 0


def test_a_guest_that_did_not_get_to_run_tells_the_host_of_its_health(rig: Rig) -> None:
    rig.turn(0.5)
    rig.turn(0.6)
    assert b"update.tools.health guest_slow" not in rig.requests()
    rig.turn(7.0)
    assert rig.requests()[-1] == b"update.tools.health guest_slow"
    rig.turn(0.5)
    assert rig.requests().count(b"update.tools.health guest_slow") == 1


def test_a_host_that_was_away_for_hours_is_picked_up_within_the_delay_and_told_again(
    rig: Rig,
) -> None:
    rig.device.lose_channels()
    rig.device.misbehave(0, times=40, status=0)  # OPEN is refused
    turns, delay = 0, 0.5
    while rig.requests().count(b"log hello") < 2:
        before = rig.traps()
        following = rig.turn(delay)
        turns += 1
        assert turns < 40
        assert following is not None
        delay = following - rig.clock.now() + 0.001
        assert delay <= 60.1, "never waits longer than a minute"
        if rig.requests().count(b"log hello") < 2:
            assert rig.traps() - before <= 8, "a host that is away costs next to nothing"
    assert turns > 5
    rig.turn(0.5)
    assert [rig.take(KIND.LOG).text[:32], rig.take(KIND.LOG).text] == [
        "the host does not answer: the ho",
        "the host answers again",
    ]
    rig.take(KIND.ANNOUNCED)
