"""TCLO polling: commands in, answers out, none lost."""

from __future__ import annotations

import os

import pytest
from support.emulated import CHECKPOINT, RECVSIZE, SENDPAYLOAD, SENDSIZE, EmulatedHost, pattern

from vmtpy._core import Tclo
from vmtpy._host import MessageKind
from vmtpy.errors import ChannelError, MessageSizeError


@pytest.fixture
def host() -> EmulatedHost:
    return EmulatedHost()


@pytest.fixture
def tclo(host: EmulatedHost) -> Tclo:
    """A Tclo that has polled once."""
    tclo = Tclo(host.backdoor)
    assert tclo.poll() is None
    return tclo


def replies(host: EmulatedHost) -> list[bytes]:
    entries = host.device.take_transcript()
    return [entry.request for entry in entries if entry.kind == MessageKind.TCLO_REPLY]


def test_an_idle_poll_is_two_traps(host: EmulatedHost, tclo: Tclo) -> None:
    before = host.traps()
    assert tclo.poll() is None
    assert host.steps(before) == ["SENDSIZE", "RECVSIZE"]


def test_the_first_poll_is_a_sign_of_life(host: EmulatedHost) -> None:
    tclo = Tclo(host.backdoor)
    assert not host.device.tclo_seen()
    tclo.poll()
    assert host.device.tclo_seen()


def test_commands_come_in_order_and_each_gets_its_answer(host: EmulatedHost, tclo: Tclo) -> None:
    host.device.send_command("ping")
    host.device.send_command("reset")
    assert tclo.poll() == b"ping"
    tclo.answer(b"OK ")
    assert tclo.poll() == b"reset"
    tclo.answer(b"OK ATR toolbox")
    assert tclo.poll() is None
    assert tclo.poll() is None
    assert replies(host) == [b"OK ", b"OK ATR toolbox"]


@pytest.mark.parametrize("size", [1, 65535, 65536])
def test_commands_and_answers_of_up_to_64_kib_pass(
    host: EmulatedHost, tclo: Tclo, size: int
) -> None:
    host.device.send_command(pattern(size))
    assert tclo.poll() == pattern(size)
    tclo.answer(pattern(size))
    assert tclo.poll() is None
    assert replies(host) == [pattern(size)]


def test_a_command_of_no_bytes_is_acknowledged_and_ignored(host: EmulatedHost, tclo: Tclo) -> None:
    host.device.send_command(b"")
    host.device.send_command(b"ping")
    assert tclo.poll() is None
    assert tclo.poll() == b"ping"


def test_an_oversize_command_is_answered_with_an_error_and_the_next_one_comes(
    host: EmulatedHost, tclo: Tclo
) -> None:
    host.device.send_command(bytes(65537))
    host.device.send_command("ping")
    assert tclo.poll() == b"ping"
    (reply,) = replies(host)
    assert reply.startswith(b"ERROR the host's message of 65537 bytes was refused")
    assert host.steps().count("OPEN") == 1


def test_a_host_that_sends_nothing_but_oversize_commands_does_not_hold_a_poll(
    host: EmulatedHost, tclo: Tclo
) -> None:
    for _ in range(10):
        host.device.send_command(bytes(65537))
    host.device.send_command("ping")
    polls = 1
    while (command := tclo.poll()) is None:
        polls += 1
    assert (command, polls) == (b"ping", 3)
    assert len(replies(host)) == 10


def test_an_answer_over_64_kib_is_refused_and_another_can_be_given(
    host: EmulatedHost, tclo: Tclo
) -> None:
    host.device.send_command("ping")
    tclo.poll()
    with pytest.raises(MessageSizeError, match="answer to the host may have at most 65536 bytes"):
        tclo.answer(bytes(65537))
    tclo.answer(b"ERROR Answer too large")
    tclo.poll()
    assert replies(host) == [b"ERROR Answer too large"]


def test_a_lost_channel_is_opened_again_within_the_poll(host: EmulatedHost, tclo: Tclo) -> None:
    host.device.lose_channels()
    assert tclo.poll() is None
    assert host.device.tclo_seen()


@pytest.mark.parametrize("step", [SENDSIZE, SENDPAYLOAD])
def test_an_answer_whose_sending_fails_is_sent_again(
    host: EmulatedHost, tclo: Tclo, step: int
) -> None:
    host.device.send_command("ping")
    assert tclo.poll() == b"ping"
    tclo.answer(b"OK ")
    host.device.misbehave(step, status=0)
    tclo.poll()
    assert replies(host) == [b"OK "]


def test_an_answer_survives_polls_that_fail_altogether(host: EmulatedHost, tclo: Tclo) -> None:
    host.device.send_command("ping")
    assert tclo.poll() == b"ping"
    tclo.answer(b"OK ")
    host.device.misbehave(SENDPAYLOAD, times=4, status=0)
    for _ in range(2):
        with pytest.raises(ChannelError):
            tclo.poll()
    assert tclo.poll() is None
    assert tclo.poll() is None
    assert replies(host) == [b"OK "]


def test_an_answer_that_has_arrived_is_not_sent_twice(host: EmulatedHost, tclo: Tclo) -> None:
    host.device.send_command("ping")
    assert tclo.poll() == b"ping"
    tclo.answer(b"OK ")
    host.device.misbehave(RECVSIZE, status=0)
    with pytest.raises(ChannelError, match="refused RECVSIZE"):
        tclo.poll()
    assert tclo.poll() is None
    assert replies(host) == [b"OK "]


def test_a_checkpoint_in_a_poll_is_ridden_out(host: EmulatedHost, tclo: Tclo) -> None:
    host.device.send_command("ping")
    host.device.misbehave(SENDSIZE, status=CHECKPOINT)
    host.device.misbehave(RECVSIZE, status=CHECKPOINT)
    assert tclo.poll() == b"ping"
    assert host.steps().count("OPEN") == 1


def test_closing_sends_what_is_owed(host: EmulatedHost, tclo: Tclo) -> None:
    host.device.send_command("OS_Halt")
    tclo.poll()
    tclo.answer(b"OK ")
    tclo.close()
    assert replies(host) == [b"OK "]
    assert host.device.open_channels() == 0
    tclo.close()


def test_a_fork_refuses_its_parents_channel(tclo: Tclo) -> None:
    child = os.fork()
    if child == 0:
        code = 0
        for use in (tclo.poll, lambda: tclo.answer(b"OK ")):
            try:
                use()
            except ChannelError as error:
                code += "before a fork" in str(error)
        tclo.close()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2
    assert tclo.poll() is None
