"""The message channel against the in-process host, trap by trap."""

from __future__ import annotations

import os
import threading

import pytest
from support.emulated import (
    CHECKPOINT,
    MAGIC,
    RECVPAYLOAD,
    RECVSIZE,
    RECVSTATUS,
    SENDPAYLOAD,
    SENDSIZE,
    EmulatedHost,
    pattern,
)
from support.patience import PATIENCE

from vmtpy._core import BackdoorChannel, Protocol
from vmtpy.errors import ChannelError, MessageSizeError

LENGTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535, 65536]
BANDWIDTHS = pytest.mark.parametrize("high", [True, False], ids=["HB", "LB"])


def rpci(host: EmulatedHost, **options: int) -> BackdoorChannel:
    return BackdoorChannel(host.backdoor, Protocol.RPCI, **options)  # type: ignore[arg-type]


def tclo(host: EmulatedHost) -> BackdoorChannel:
    """A TCLO channel that has shown its first sign of life."""
    channel = BackdoorChannel(host.backdoor, Protocol.TCLO)
    channel.open()
    channel.send(b"")
    return channel


# --- payloads --------------------------------------------------------------------------------


@BANDWIDTHS
@pytest.mark.parametrize("length", LENGTHS)
def test_a_request_of_any_length_arrives_whole(high: bool, length: int) -> None:
    host = EmulatedHost(high_bandwidth=high)
    host.device.answer_with("", b"1 ")
    assert rpci(host).exchange(pattern(length)) == b"1 "
    (entry,) = host.device.take_transcript()
    assert entry.request == pattern(length)


@BANDWIDTHS
@pytest.mark.parametrize("length", LENGTHS)
def test_a_reply_of_any_length_arrives_whole(high: bool, length: int) -> None:
    host = EmulatedHost(high_bandwidth=high)
    host.device.answer_with("ask", pattern(length))
    assert rpci(host).exchange(b"ask") == pattern(length)


@BANDWIDTHS
def test_a_request_over_64_kib_is_refused_before_anything_is_sent(high: bool) -> None:
    host = EmulatedHost(high_bandwidth=high)
    channel = rpci(host)
    channel.open()
    traps = host.traps()
    with pytest.raises(MessageSizeError, match="at most 65536 bytes, but this one has 65537"):
        channel.send(bytes(65537))
    assert host.traps() == traps
    assert channel.exchange(b"log x") == b"1 "


@BANDWIDTHS
@pytest.mark.parametrize("size", [65537, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_reply_over_the_limit_is_refused_and_the_channel_stays(high: bool, size: int) -> None:
    host = EmulatedHost(high_bandwidth=high)
    channel = rpci(host)
    host.device.misbehave(RECVSIZE, ebx=size)
    with pytest.raises(MessageSizeError, match=f"message of {size} bytes was refused"):
        channel.exchange(b"log x")
    assert host.steps()[-2:] == ["RECVSIZE", "RECVPAYLOAD"]
    assert host.frames("RECVPAYLOAD")[-1].before["rbx"] == 0
    assert channel.is_open()
    assert channel.exchange(b"log y") == b"1 "
    assert host.steps().count("OPEN") == 1


def test_the_limit_on_replies_can_be_set() -> None:
    host = EmulatedHost()
    channel = rpci(host, max_receive=4)
    host.device.answer_with("a", b"1234")
    host.device.answer_with("b", b"12345")
    assert channel.exchange(b"a") == b"1234"
    with pytest.raises(MessageSizeError):
        channel.exchange(b"b")


def test_a_message_of_no_bytes_is_acknowledged_without_payload() -> None:
    host = EmulatedHost()
    channel = tclo(host)
    host.device.send_command(b"")
    before = host.traps()
    assert channel.receive() == b""
    assert host.steps(before) == ["RECVSIZE", "RECVSTATUS"]
    assert channel.receive() is None


# --- registers -------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [1, 2, 3])
def test_the_last_word_at_low_bandwidth_is_little_endian_and_zero_above(tail: int) -> None:
    host = EmulatedHost(high_bandwidth=False)
    message = b"\xff\xfe\xfd\xfc" + b"\xfb\xfa\xf9"[:tail]
    rpci(host).exchange(message)
    words = [frame.before["rbx"] for frame in host.frames("SENDPAYLOAD")]
    assert words == [0xFCFDFEFF, int.from_bytes(message[4:], "little")]


def test_the_cookie_is_in_other_registers_for_each_direction() -> None:
    host = EmulatedHost()
    rpci(host).exchange(b"log x")
    opened = host.frames("OPEN")[0].after
    high, low = opened["rsi"], opened["rdi"]
    channel = opened["rdx"] >> 16
    size = host.frames("SENDSIZE")[0].before
    out = host.frames("rep outsb")[0].before
    into = host.frames("rep insb")[0].before
    assert high != low
    assert (size["rsi"], size["rdi"]) == (high, low)
    assert (out["rbp"], out["rdi"]) == (high, low)
    assert (into["rsi"], into["rbp"]) == (high, low)
    for frame, port in (size, 0x5658), (out, 0x5659), (into, 0x5659):
        assert frame["rax"] == MAGIC
        assert frame["rdx"] == channel << 16 | port
    assert (out["rbx"], out["rcx"]) == (0x10000, 5)
    assert (into["rbx"], into["rcx"]) == (0x10000, 2)


@BANDWIDTHS
def test_rubbish_above_bit_31_is_ignored(high: bool) -> None:
    host = EmulatedHost(high_bandwidth=high, dirty_upper_halves=True)
    channel = rpci(host)
    host.device.answer_with("ask", pattern(7))
    assert channel.exchange(b"ask") == pattern(7)
    assert all(frame.before["rax"] == MAGIC for frame in host.backdoor.frames())
    assert all(frame.before["rdx"] >> 32 == 0 for frame in host.backdoor.frames())


def test_high_bandwidth_is_used_only_where_the_host_offers_it() -> None:
    host = EmulatedHost(high_bandwidth=False)
    assert rpci(host).exchange(b"log x") == b"1 "
    assert not any(step.startswith("rep") for step in host.steps())


def test_low_bandwidth_can_be_asked_for() -> None:
    host = EmulatedHost()
    assert rpci(host, high_bandwidth=False).exchange(b"log x") == b"1 "
    assert not any(step.startswith("rep") for step in host.steps())


# --- open, close -----------------------------------------------------------------------------


@BANDWIDTHS
def test_a_host_without_cookies_is_asked_once_more_without(high: bool) -> None:
    host = EmulatedHost(cookies=False, high_bandwidth=high)
    assert rpci(host).exchange(b"log x") == b"1 "
    assert [frame.before["rbx"] >> 31 for frame in host.frames("OPEN")] == [1, 0]
    assert host.frames("SENDSIZE")[0].before["rsi"] == 0


def test_a_port_that_only_echoes_is_no_channel() -> None:
    host = EmulatedHost(message=False)
    with pytest.raises(ChannelError, match="opens no message channel"):
        rpci(host).open()
    assert host.steps() == ["OPEN", "OPEN"]


def test_closing_tells_the_host_and_only_once() -> None:
    host = EmulatedHost()
    channel = rpci(host)
    channel.close()
    assert host.traps() == 0
    channel.open()
    channel.open()
    assert host.device.open_channels() == 1
    channel.close()
    channel.close()
    assert host.steps() == ["OPEN", "CLOSE"]
    assert host.device.open_channels() == 0


def test_a_channel_that_goes_away_is_closed() -> None:
    host = EmulatedHost()
    channel = rpci(host)
    channel.open()
    del channel
    assert host.device.open_channels() == 0


def test_a_channel_that_is_not_open_says_so() -> None:
    channel = rpci(EmulatedHost())
    with pytest.raises(ChannelError, match="not open"):
        channel.send(b"x")
    with pytest.raises(ChannelError, match="not open"):
        channel.receive()


def test_one_shot_takes_seven_traps_and_a_kept_channel_five() -> None:
    host = EmulatedHost()
    channel = rpci(host)
    channel.exchange(b"log x")
    channel.close()
    assert host.traps() == 7
    channel.open()
    before = host.traps()
    channel.exchange(b"log x")
    assert host.traps() - before == 5


@pytest.mark.parametrize("length", [4, 5, 8])
def test_low_bandwidth_takes_a_trap_for_each_four_bytes(length: int) -> None:
    host = EmulatedHost(high_bandwidth=False)
    host.device.answer_with("", b"1 23456")
    channel = rpci(host)
    channel.exchange(pattern(length))
    channel.close()
    assert host.traps() == 5 + -(-length // 4) + 2


# --- checkpoints -----------------------------------------------------------------------------

TRANSFER = {
    True: ["SENDSIZE", "rep outsb", "RECVSIZE", "rep insb", "RECVSTATUS"],
    False: [
        *["SENDSIZE", "SENDPAYLOAD", "SENDPAYLOAD", "SENDPAYLOAD"],
        *["RECVSIZE", "RECVPAYLOAD", "RECVPAYLOAD", "RECVSTATUS"],
    ],
}
NUMBER = {
    **{"SENDSIZE": SENDSIZE, "SENDPAYLOAD": SENDPAYLOAD, "rep outsb": SENDPAYLOAD},
    **{"RECVSIZE": RECVSIZE, "RECVPAYLOAD": RECVPAYLOAD, "rep insb": RECVPAYLOAD},
    "RECVSTATUS": RECVSTATUS,
}
EVERY_STEP = [(high, nth) for high, steps in TRANSFER.items() for nth in range(len(steps))]


@pytest.mark.parametrize(("high", "nth"), EVERY_STEP)
def test_a_checkpoint_at_any_step_begins_the_whole_half_again(high: bool, nth: int) -> None:
    host = EmulatedHost(high_bandwidth=high)
    host.device.answer_with("", b"1 reply", times=0)
    steps = TRANSFER[high]
    earlier = steps[:nth].count(steps[nth])
    host.device.misbehave(NUMBER[steps[nth]], after=earlier, status=CHECKPOINT)
    channel = rpci(host)
    assert channel.exchange(b"0123456789") == b"1 reply"
    begin = steps.index("SENDSIZE" if nth < steps.index("RECVSIZE") else "RECVSIZE")
    assert host.steps() == ["OPEN", *steps[: nth + 1], *steps[begin:]]
    (entry,) = host.device.take_transcript()
    assert entry.request == b"0123456789"


@pytest.mark.parametrize("every", [4, 5, 6, 7, 11])
@BANDWIDTHS
def test_a_checkpoint_at_every_nth_step_is_ridden_out(high: bool, every: int) -> None:
    host = EmulatedHost(high_bandwidth=high, checkpoint_every=every)
    assert rpci(host).exchange(b"log 0123") == b"1 "


@pytest.mark.parametrize("every", [1, 2, 3])
@BANDWIDTHS
def test_checkpoints_closer_than_a_transfer_is_long_end_in_an_error(high: bool, every: int) -> None:
    host = EmulatedHost(high_bandwidth=high, checkpoint_every=every)
    channel = rpci(host)
    with pytest.raises(ChannelError, match="CHECKPOINT to every attempt"):
        channel.exchange(b"log 0123")
    assert not channel.is_open()
    assert host.traps() < 50


@pytest.mark.parametrize("step", [SENDSIZE, SENDPAYLOAD, RECVSIZE, RECVPAYLOAD, RECVSTATUS])
@BANDWIDTHS
def test_endless_checkpoints_end_in_an_error_and_a_new_channel_works(high: bool, step: int) -> None:
    host = EmulatedHost(high_bandwidth=high)
    channel = rpci(host)
    channel.open()
    host.device.misbehave(step, times=9, status=CHECKPOINT)
    with pytest.raises(ChannelError, match="CHECKPOINT to every attempt"):
        channel.exchange(b"log x")
    assert not channel.is_open()
    assert host.device.open_channels() == 0
    assert channel.exchange(b"log x") == b"1 "


# --- bad hosts -------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [SENDSIZE, SENDPAYLOAD, RECVSIZE, RECVPAYLOAD, RECVSTATUS])
@pytest.mark.parametrize("status", [0, 0x04, 0x20, 0x40])
@BANDWIDTHS
def test_a_refused_step_is_named_and_the_channel_closed(high: bool, step: int, status: int) -> None:
    host = EmulatedHost(high_bandwidth=high)
    channel = rpci(host)
    host.device.misbehave(step, status=status)
    names = {value: key for key, value in NUMBER.items() if not key.startswith("rep")}
    with pytest.raises(ChannelError, match=rf"refused {names[step]} \(status 0x{status:x}\)"):
        channel.exchange(b"log x")
    assert not channel.is_open()
    assert channel.exchange(b"log x") == b"1 "


def test_a_lost_channel_is_an_error_here_and_can_be_opened_again() -> None:
    host = EmulatedHost()
    channel = rpci(host)
    channel.open()
    host.device.lose_channels()
    with pytest.raises(ChannelError, match="refused SENDSIZE"):
        channel.send(b"log x")
    assert channel.exchange(b"log x") == b"1 "


@pytest.mark.parametrize("register", ["rsi", "rdi"])
@BANDWIDTHS
def test_a_wrong_cookie_is_refused_by_the_host_and_reported(high: bool, register: str) -> None:
    host = EmulatedHost(high_bandwidth=high)
    channel = rpci(host)
    host.backdoor.change(1, register, 0xBAD)
    with pytest.raises(ChannelError, match="refused SENDSIZE"):
        channel.exchange(b"log x")


@BANDWIDTHS
def test_an_announcement_that_is_none_is_refused(high: bool) -> None:
    host = EmulatedHost(high_bandwidth=high)
    channel = rpci(host)
    host.device.misbehave(RECVSIZE, edx_high=9)
    with pytest.raises(ChannelError, match="answered RECVSIZE with step 9"):
        channel.exchange(b"log x")
    assert host.frames("RECVPAYLOAD")[-1].before["rbx"] == 0
    assert channel.exchange(b"log x") == b"1 "


@pytest.mark.parametrize(("word", "refusal"), [(0, "RECVPAYLOAD"), (1, "RECVSTATUS")])
def test_a_payload_word_that_is_none_is_refused(word: int, refusal: str) -> None:
    host = EmulatedHost(high_bandwidth=False)
    host.device.answer_with("ask", b"12345678")
    channel = rpci(host)
    host.device.misbehave(RECVPAYLOAD, after=word, edx_high=1)
    with pytest.raises(ChannelError, match="answered RECVPAYLOAD with step 1"):
        channel.exchange(b"ask")
    assert host.steps()[-2:] == [refusal, "CLOSE"]
    assert host.frames(refusal)[-1].before["rbx"] == 0


@pytest.mark.parametrize(("trap", "instruction"), [(3, "rep outsb"), (5, "rep insb")])
def test_a_transfer_that_stops_half_way_is_an_error(trap: int, instruction: str) -> None:
    host = EmulatedHost()
    host.device.answer_with("", b"1 2345", times=0)
    channel = rpci(host)
    host.backdoor.change(trap, "rcx", 2)
    with pytest.raises(ChannelError, match=f"ended {instruction} of 6 bytes with 2 left"):
        channel.exchange(b"012345")
    assert channel.exchange(b"012345") == b"1 2345"


def test_a_host_that_leaves_ecx_alone_is_judged_by_its_status() -> None:
    host = EmulatedHost()
    channel = rpci(host)
    host.backdoor.change(3, "rcx", 5)
    assert channel.exchange(b"log x") == b"1 "


def test_a_reply_shorter_than_announced_is_an_error() -> None:
    host = EmulatedHost(high_bandwidth=False)
    channel = rpci(host)
    host.device.misbehave(RECVSIZE, ebx=100)
    with pytest.raises(ChannelError, match="refused RECVPAYLOAD"):
        channel.exchange(b"log x")
    assert channel.exchange(b"log x") == b"1 "


# --- one conversation ------------------------------------------------------------------------


def test_a_fork_refuses_its_parents_channel_and_leaves_it_open() -> None:
    host = EmulatedHost()
    channel = rpci(host)
    channel.open()
    child = os.fork()
    if child == 0:
        code = 0
        for use in (channel.open, channel.receive, lambda: channel.send(b"log child")):
            try:
                use()
            except ChannelError as error:
                code += "opened before a fork" in str(error)
        channel.close()
        del channel
        quiet = host.traps() == 1
        os._exit(code if quiet else 100)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    assert channel.exchange(b"log parent") == b"1 "


def test_exchanges_of_many_threads_do_not_mix() -> None:
    host = EmulatedHost(high_bandwidth=False)
    channel = rpci(host)
    wrong: list[bytes | None] = []

    def talk(name: bytes) -> None:
        host.device.answer_with(name, b"1 " + name, times=0)
        for _ in range(50):
            reply = channel.exchange(name)
            if reply != b"1 " + name:
                wrong.append(reply)

    names = [b"one", b"another", b"the third of them"]
    threads = [threading.Thread(target=talk, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
