"""What the emulated host answers to RPCI requests."""

from __future__ import annotations

import pytest

from vmtpy._core import SteadyClock
from vmtpy._host import Device

RPCI = 0x49435052 | 0x80000000


def ask(device: Device, request: bytes) -> bytes:
    """One RPC by high bandwidth."""
    opened = device.low({"rbx": RPCI, "rcx": 30, "rdx": 0x5658})
    port = opened["rdx"] & 0xFFFF0000
    high, low = opened["rsi"], opened["rdi"]

    def step(number: int, ebx: int = 0) -> dict[str, int]:
        registers = {"rbx": ebx, "rcx": number << 16 | 30, "rdx": port, "rsi": high, "rdi": low}
        return device.low(registers)

    step(1, len(request))
    if request:
        registers = {"rbx": 1 << 16, "rcx": len(request), "rdx": port, "rdi": low, "rbp": high}
        assert device.high_out(registers, request)["rbx"] >> 16 == 1
    size = step(3)["rbx"]
    registers = {"rbx": 1 << 16, "rcx": size, "rdx": port, "rsi": high, "rbp": low}
    answer, reply = device.high_in(registers, size)
    assert answer["rbx"] >> 16 == 1
    step(5, 1)
    step(6)
    return reply


@pytest.fixture
def device() -> Device:
    return Device(SteadyClock())


@pytest.mark.parametrize(
    "request_text",
    [
        b"log hello",
        b"tools.capability.hgfs_server toolbox 1",
        b"tools.capability.statechange ",
        b"vmx.capability.unified_loop toolbox",
        b"tools.set.version 2147483647",
        b"tools.set.versiontype 12345 4",
        b"tools.os.statechange.status 1 3",
        b"SetGuestInfo  1 host",
        b"SetGuestInfo  10 \x00\x00\x00\x03",
        b"SetGuestDiskInfo {}",
        b"update.tools.health x",
        b"vmbackup.eventSet reset 0 ",
    ],
)
def test_what_a_guest_announces_is_accepted(device: Device, request_text: bytes) -> None:
    assert ask(device, request_text) == b"1 "


@pytest.mark.parametrize("request_text", [b"", b"nonsense", b"info-get", b"LOG x", b"\xff\x00"])
def test_anything_else_is_an_unknown_command(device: Device, request_text: bytes) -> None:
    assert ask(device, request_text) == b"0 Unknown command"


def test_guestinfo_values_are_bytes_and_may_hold_blanks(device: Device) -> None:
    assert ask(device, b"info-set guestinfo.k a b\xff\x00c ") == b"1 "
    assert ask(device, b"info-get guestinfo.k") == b"1 a b\xff\x00c "
    assert device.guestinfo("k") == b"a b\xff\x00c "


def test_a_missing_key_has_the_text_that_callers_compare(device: Device) -> None:
    assert ask(device, b"info-get guestinfo.none") == b"0 No value found"
    assert ask(device, b"info-get other.key") == b"0 No value found"


@pytest.mark.parametrize(
    "request_text", [b"info-set guestinfo.k", b"info-set guestinfo.k ", b"info-set other.k v"]
)
def test_a_guest_can_neither_empty_a_key_nor_set_others(
    device: Device, request_text: bytes
) -> None:
    assert ask(device, request_text).startswith(b"0 ")
    assert device.guestinfo("k") is None


def test_all_guestinfo_together_is_limited_to_a_mebibyte(device: Device) -> None:
    answers = [ask(device, b"info-set guestinfo.k%d " % i + bytes(65000)) for i in range(17)]
    assert answers == [b"1 "] * 16 + [b"0 Value too large"]
    assert ask(device, b"info-set guestinfo.k3 " + bytes(65000)) == b"1 "


def test_an_answer_is_replaced_as_often_as_was_asked(device: Device) -> None:
    device.answer_with("log", b"0 no", times=2)
    device.answer_with("info", b"\xfe", times=0)
    assert [ask(device, b"log x") for _ in range(3)] == [b"0 no", b"0 no", b"1 "]
    assert [ask(device, b"info-get guestinfo.x") for _ in range(3)] == [b"\xfe"] * 3
