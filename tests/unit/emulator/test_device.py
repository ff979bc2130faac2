"""The emulated VMware at register level: what a guest sees, trap by trap."""

from __future__ import annotations

import time

import pytest

from vmtpy._core import SteadyClock
from vmtpy._host import Device, MessageKind, TranscriptEntry

MAGIC = 0x564D5868
RPCI = 0x49435052
TCLO = 0x4F4C4354
COOKIES = 0x80000000
OPEN, SENDSIZE, SENDPAYLOAD, RECVSIZE, RECVPAYLOAD, RECVSTATUS, CLOSE = range(7)
SUCCESS, DORECV, CHECKPOINT, HB = 0x01, 0x02, 0x10, 0x80


def make_device(**options: object) -> Device:
    return Device(SteadyClock(), **options)  # type: ignore[arg-type]


def command(device: Device, number: int, **registers: int) -> dict[str, int]:
    return device.low({"rax": MAGIC, "rcx": number, "rdx": 0x5658, **registers})


class Guest:
    """A guest's end of one channel, written as plainly as possible."""

    def __init__(self, device: Device, protocol: int = RPCI, cookies: bool = True) -> None:
        self.device = device
        answer = command(device, 30, rbx=protocol | (COOKIES if cookies else 0))
        self.opened = answer["rcx"] >> 16 == SUCCESS
        self.id = answer["rdx"] >> 16
        self.high, self.low = (answer["rsi"], answer["rdi"]) if cookies else (0, 0)

    def step(self, number: int, ebx: int = 0) -> tuple[int, dict[str, int]]:
        answer = self.device.low(
            {
                "rax": MAGIC,
                "rbx": ebx,
                "rcx": number << 16 | 30,
                "rdx": self.id << 16 | 0x5658,
                "rsi": self.high,
                "rdi": self.low,
            }
        )
        return answer["rcx"] >> 16, answer

    def high_out(self, data: bytes, size: int | None = None) -> tuple[int, dict[str, int]]:
        registers = {
            "rax": MAGIC,
            "rbx": SUCCESS << 16,
            "rcx": len(data) if size is None else size,
            "rdx": self.id << 16 | 0x5659,
            "rdi": self.low,
            "rbp": self.high,
        }
        answer = self.device.high_out(registers, data)
        return answer["rbx"] >> 16, answer

    def high_in(self, size: int) -> tuple[int, dict[str, int], bytes]:
        registers = {
            "rax": MAGIC,
            "rbx": SUCCESS << 16,
            "rcx": size,
            "rdx": self.id << 16 | 0x5659,
            "rsi": self.high,
            "rbp": self.low,
        }
        answer, data = self.device.high_in(registers, size)
        return answer["rbx"] >> 16, answer, data

    def send(self, message: bytes) -> None:
        status, _ = self.step(SENDSIZE, len(message))
        assert status & SUCCESS
        for start in range(0, len(message), 4):
            word = int.from_bytes(message[start : start + 4], "little")
            status, _ = self.step(SENDPAYLOAD, word)
            assert status == SUCCESS

    def receive(self) -> bytes | None:
        status, answer = self.step(RECVSIZE)
        assert status & SUCCESS
        if not status & DORECV:
            return None
        assert answer["rdx"] >> 16 == 1
        size, message = answer["rbx"], b""
        while len(message) < size:
            status, answer = self.step(RECVPAYLOAD, SUCCESS)
            assert status == SUCCESS
            assert answer["rdx"] >> 16 == 2
            message += answer["rbx"].to_bytes(4, "little")
        assert not message[size:].strip(b"\0"), "the bytes above a short tail are zero"
        assert self.step(RECVSTATUS, SUCCESS)[0] == SUCCESS
        return message[:size]


def entries(device: Device) -> list[TranscriptEntry]:
    return device.take_transcript(time.monotonic())


def test_getversion_answers_as_esx_does() -> None:
    answer = command(make_device(), 10, rbx=~MAGIC & 0xFFFFFFFF)
    assert (answer["rax"], answer["rbx"], answer["rcx"]) == (6, MAGIC, 2)


def test_an_unknown_command_answers_all_ones() -> None:
    assert command(make_device(), 9999)["rax"] == 0xFFFFFFFF


def test_getmhz_does_not_echo_the_magic_and_agrees_with_gethz() -> None:
    device = make_device()
    mhz = command(device, 1)["rax"]
    answer = command(device, 45)
    assert 100 < mhz < 100_000
    assert (answer["rax"] | answer["rbx"] << 32) // 1_000_000 == mhz


def test_the_time_is_the_hosts_in_all_three_forms() -> None:
    device = make_device()
    assert abs(command(device, 23)["rax"] - time.time()) < 2
    for number in (46, 55):
        answer = command(device, number)
        assert answer["rax"] == MAGIC
        assert abs((answer["rsi"] << 32 | answer["rdx"]) - time.time()) < 2
        assert answer["rbx"] < 1_000_000


def test_the_other_facts_of_the_machine_are_answered() -> None:
    device = make_device()
    assert command(device, 17)["rax"] > 0
    assert command(device, 20)["rax"] > 0
    assert command(device, 68)["rax"] & 0x80000000 == 0
    uuid = command(device, 19)
    assert len({uuid[name] for name in ("rax", "rbx", "rcx", "rdx")}) == 4
    assert uuid == command(device, 19)


def test_a_host_without_message_leaves_all_but_eax_alone() -> None:
    answer = command(make_device(message=False), 30, rbx=RPCI, rcx=0x0001001E)
    assert answer["rax"] == 0xFFFFFFFF
    assert (answer["rbx"], answer["rcx"]) == (RPCI, 0x0001001E)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65000])
def test_a_value_of_any_length_goes_and_comes_back_by_low_bandwidth(length: int) -> None:
    device = make_device()
    guest = Guest(device)
    value = bytes(i * 7 & 0xFF for i in range(length))
    guest.send(b"info-set guestinfo.key x" + value)
    assert guest.receive() == b"1 "
    assert device.guestinfo("key") == b"x" + value
    guest.send(b"info-get guestinfo.key")
    assert guest.receive() == b"1 x" + value


def test_high_bandwidth_moves_a_message_in_one_trap_each_way() -> None:
    device = make_device()
    device.set_guestinfo("key", b"\xff\x00value")
    guest = Guest(device)
    status, _ = guest.step(SENDSIZE, 22)
    assert status == SUCCESS | HB
    status, answer = guest.high_out(b"info-get guestinfo.key")
    assert status == SUCCESS
    assert answer["rcx"] == 0
    status, answer = guest.step(RECVSIZE)
    assert status == SUCCESS | DORECV | HB
    status, answer, data = guest.high_in(answer["rbx"])
    assert (status, answer["rcx"], data) == (SUCCESS, 0, b"1 \xff\x00value")
    assert guest.step(RECVSTATUS, SUCCESS)[0] == SUCCESS
    traps = device.traps()
    assert traps["rep outsb"] == traps["rep insb"] == traps["MESSAGE OPEN"] == 1


def test_high_bandwidth_is_neither_offered_nor_done_when_switched_off() -> None:
    device = make_device(high_bandwidth=False)
    guest = Guest(device)
    status, _ = guest.step(SENDSIZE, 4)
    assert status == SUCCESS
    status, answer = guest.high_out(b"ping")
    assert (status, answer["rcx"]) == (0, 4)


def test_the_cookie_halves_are_looked_for_where_each_direction_has_them() -> None:
    device = make_device()
    guest = Guest(device)
    assert guest.high != guest.low
    guest.step(SENDSIZE, 4)
    guest.high, guest.low = guest.low, guest.high
    assert guest.high_out(b"ping")[0] == 0
    guest.high, guest.low = guest.low, guest.high
    assert guest.high_out(b"ping")[0] == SUCCESS
    size = guest.step(RECVSIZE)[1]["rbx"]
    guest.high, guest.low = guest.low, guest.high
    assert guest.high_in(size)[0] == 0
    guest.high, guest.low = guest.low, guest.high
    assert guest.high_in(size)[2] == b"0 Unknown command"


@pytest.mark.parametrize("what", ["id", "high", "low"])
def test_a_wrong_cookie_or_channel_is_refused(what: str) -> None:
    guest = Guest(make_device())
    setattr(guest, what, getattr(guest, what) ^ 1)
    assert guest.step(SENDSIZE, 4)[0] == 0


def test_an_old_host_refuses_cookies_and_works_without() -> None:
    device = make_device(cookies=False)
    assert not Guest(device).opened
    guest = Guest(device, cookies=False)
    guest.send(b"log hello")
    assert guest.receive() == b"1 "


def test_the_129th_channel_is_refused_until_one_is_closed() -> None:
    device = make_device()
    guests = [Guest(device) for _ in range(128)]
    assert all(guest.opened for guest in guests)
    assert len({guest.id for guest in guests}) == 128
    assert len({(guest.high, guest.low) for guest in guests}) == 128
    assert not Guest(device).opened
    assert guests[17].step(CLOSE)[0] == SUCCESS
    assert guests[17].step(SENDSIZE, 0)[0] == 0
    assert Guest(device).id == guests[17].id
    assert device.open_channels() == 128


def test_an_oversize_message_is_refused_and_the_channel_stays() -> None:
    guest = Guest(make_device())
    assert guest.step(SENDSIZE, 65537)[0] == 0
    assert guest.step(SENDSIZE, 0xFFFFFFFF)[0] == 0
    assert guest.step(SENDSIZE, 65536)[0] & SUCCESS
    assert guest.high_out(b"log " + bytes(65532))[0] == SUCCESS
    assert guest.receive() == b"1 "


def test_more_payload_than_announced_is_refused() -> None:
    guest = Guest(make_device())
    guest.step(SENDSIZE, 4)
    assert guest.high_out(b"12345")[0] == 0
    assert guest.high_out(b"1234", size=0)[0] == 0
    assert guest.step(SENDPAYLOAD, 0x67676767)[0] == SUCCESS
    assert guest.step(SENDPAYLOAD, 0x67676767)[0] == 0
    size = guest.step(RECVSIZE)[1]["rbx"]
    assert guest.high_in(size + 1)[0] == 0
    assert guest.high_in(size)[0] == SUCCESS


def test_a_request_of_zero_bytes_is_answered() -> None:
    guest = Guest(make_device())
    guest.send(b"")
    assert guest.receive() == b"0 Unknown command"


def test_a_reply_of_zero_bytes_is_announced_and_acknowledged_without_payload() -> None:
    device = make_device()
    device.answer_with("ask", b"")
    guest = Guest(device)
    guest.send(b"ask")
    status, answer = guest.step(RECVSIZE)
    assert status & DORECV
    assert answer["rbx"] == 0
    assert guest.step(RECVPAYLOAD, SUCCESS)[0] == 0
    assert guest.step(RECVSTATUS, SUCCESS)[0] == SUCCESS
    assert guest.receive() is None


@pytest.mark.parametrize("refusal", [RECVSTATUS, RECVPAYLOAD])
def test_a_message_that_the_guest_refuses_is_dropped_and_the_channel_stays(refusal: int) -> None:
    guest = Guest(make_device())
    guest.send(b"log x")
    guest.step(RECVSIZE)
    assert guest.step(refusal, 0)[0] == SUCCESS
    assert guest.receive() is None
    guest.send(b"log y")
    assert guest.receive() == b"1 "


def test_an_acknowledgement_before_the_payload_is_refused() -> None:
    guest = Guest(make_device())
    guest.send(b"log x")
    guest.step(RECVSIZE)
    assert guest.step(RECVSTATUS, SUCCESS)[0] == 0
    assert guest.receive() == b"1 "


def test_a_checkpoint_comes_at_every_nth_step_and_the_transfer_can_begin_again() -> None:
    device = make_device(checkpoint_every=4)
    guest = Guest(device)
    steps = [guest.step(SENDSIZE, 8)[0] & ~HB]
    steps += [guest.step(SENDPAYLOAD, 0)[0] for _ in range(2)]
    steps.append(guest.step(RECVSIZE)[0])
    assert steps == [SUCCESS, SUCCESS, SUCCESS, CHECKPOINT]
    assert guest.step(RECVSIZE)[0] & DORECV


def test_a_checkpoint_at_the_acknowledgement_keeps_the_message() -> None:
    device = make_device()
    device.misbehave(RECVSTATUS, status=CHECKPOINT)
    guest = Guest(device)
    guest.send(b"info-get guestinfo.none")
    guest.step(RECVSIZE)
    while guest.step(RECVPAYLOAD, SUCCESS)[0]:
        pass
    assert guest.step(RECVSTATUS, SUCCESS)[0] == CHECKPOINT
    assert guest.receive() == b"0 No value found"


def test_lost_channels_are_refused_and_a_new_one_works() -> None:
    device = make_device()
    guest = Guest(device)
    device.lose_channels()
    assert guest.step(SENDSIZE, 4)[0] == 0
    other = Guest(device)
    assert (other.high, other.low) != (guest.high, guest.low)
    other.send(b"log x")
    assert other.receive() == b"1 "


def test_misbehaviour_acts_on_its_step_after_so_many_and_so_often() -> None:
    device = make_device()
    device.misbehave(RECVSIZE, after=1, times=2, ebx=0xFFFFFFFF, edx_high=9)
    guest = Guest(device)
    guest.send(b"log x")
    seen = [guest.step(RECVSIZE)[1] for _ in range(4)]
    assert [(answer["rbx"], answer["rdx"] >> 16) for answer in seen] == [
        (2, 1),
        (0xFFFFFFFF, 9),
        (0xFFFFFFFF, 9),
        (2, 1),
    ]


def test_dirty_upper_halves_leave_the_low_halves_right() -> None:
    answer = command(make_device(dirty_upper_halves=True), 10)
    assert answer["rax"] & 0xFFFFFFFF == 6
    assert answer["rax"] >> 32 != 0


def test_tclo_is_silent_until_the_guest_has_sent() -> None:
    device = make_device()
    device.send_command("ping")
    guest = Guest(device, TCLO)
    assert guest.receive() is None
    assert not device.tclo_seen()
    guest.send(b"")
    assert device.tclo_seen()
    assert guest.receive() == b"ping"


def test_tclo_commands_come_in_order_one_for_each_answer() -> None:
    device = make_device()
    guest = Guest(device, TCLO)
    guest.send(b"")
    device.send_command("one")
    device.send_command(b"two")
    assert guest.receive() == b"one"
    assert guest.receive() is None
    guest.send(b"OK ")
    assert guest.receive() == b"two"
    guest.send(b"ERROR Unknown Command")
    seen = [(entry.kind, entry.request) for entry in entries(device)]
    assert seen == [
        (MessageKind.TCLO_COMMAND, b"one"),
        (MessageKind.TCLO_REPLY, b"OK "),
        (MessageKind.TCLO_COMMAND, b"two"),
        (MessageKind.TCLO_REPLY, b"ERROR Unknown Command"),
    ]


def test_a_command_that_was_not_acknowledged_is_delivered_on_the_next_channel() -> None:
    device = make_device()
    guest = Guest(device, TCLO)
    guest.send(b"")
    device.send_command("reset")
    guest.step(RECVSIZE)
    device.lose_channels()
    guest = Guest(device, TCLO)
    guest.send(b"")
    assert guest.receive() == b"reset"


def test_the_transcript_holds_requests_and_replies_with_monotonic_times() -> None:
    device = make_device()
    before = time.monotonic()
    guest = Guest(device)
    guest.send(b"log \xff")
    guest.receive()
    (entry,) = entries(device)
    assert (entry.kind, entry.request, entry.reply) == (MessageKind.RPCI, b"log \xff", b"1 ")
    assert before <= entry.time <= time.monotonic()
    assert entries(device) == []


def test_waiting_for_the_transcript_ends_at_the_deadline() -> None:
    start = time.monotonic()
    assert make_device().take_transcript(start + 0.05) == []
    assert time.monotonic() - start >= 0.05
