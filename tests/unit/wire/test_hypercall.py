"""The backdoor by hypercall: its flags, its payloads, and hosts and guests that get them wrong."""

from __future__ import annotations

import pytest
from support.emulated import MAGIC, EmulatedHost, pattern

from vmtpy import _core
from vmtpy._core import SteadyClock
from vmtpy._host import (
    Device,
    EmulatedBackdoor,
    EmulatedHypercall,
    RecordingBackdoor,
    decode,
    faulting_hypercalls,
)
from vmtpy.errors import ChannelError

GETVERSION = 10
HB, OUT = 1, 2
both = pytest.mark.parametrize("instruction", ["vmcall", "vmmcall"])


@both
def test_the_flags_stand_in_place_of_the_port_and_the_host_decodes_them(instruction: str) -> None:
    device = Device(SteadyClock())
    device.set_guestinfo("k", b"a value")
    rpci = _core.Rpci(EmulatedHypercall(device, instruction))
    assert rpci.call(b"info-get guestinfo.k") == (True, b"a value")
    rpci.close()
    steps = ["OPEN", "SENDSIZE", "RECVSIZE", "RECVSTATUS", "CLOSE"]
    expected = {f"{instruction} MESSAGE {step}": 1 for step in steps}
    expected |= {f"{instruction} HB out": 1, f"{instruction} HB in": 1}
    assert device.traps() == expected


def test_the_high_half_of_edx_and_all_else_is_as_with_the_ports() -> None:
    def frames(backdoor: _core.Backdoor) -> list[tuple[dict[str, int], dict[str, int]]]:
        recorder = RecordingBackdoor(backdoor)
        rpci = _core.Rpci(recorder)
        rpci.call(b"log x")
        rpci.close()
        wanted = ("rax", "rcx", "rdx")
        return [
            (
                {name: frame.before[name] for name in wanted},
                {name: frame.after[name] >> 16 for name in wanted if name != "rax"},
            )
            for frame in recorder.frames()
        ]

    assert frames(EmulatedHypercall(Device(SteadyClock()), "vmcall")) == frames(
        EmulatedBackdoor(Device(SteadyClock()))
    )


@pytest.mark.parametrize("flags", [0x5658, 0x5659, 4, 0x8000])
def test_who_gives_the_port_for_flags_is_told_so(flags: int) -> None:
    device = Device(SteadyClock())
    answer = device.hypercall({"rax": MAGIC, "rbx": 1, "rcx": GETVERSION, "rdx": flags})
    assert answer["rax"] == 0xFFFFFFFF
    assert answer["rbx"] == 1
    assert device.traps() == {"vmcall with unknown flags": 1}


@pytest.mark.parametrize("flags", [0, OUT])
def test_the_low_bandwidth_has_no_direction(flags: int) -> None:
    device = Device(SteadyClock())
    answer = device.hypercall({"rax": MAGIC, "rbx": 1, "rcx": GETVERSION, "rdx": flags})
    assert (answer["rax"], answer["rbx"]) == (6, MAGIC)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1000, 1001, 1002, 1003])
@pytest.mark.parametrize("way", ["port", "vmcall", "vmmcall"])
def test_in_an_encrypted_guest_payloads_go_by_low_bandwidth_alone(way: str, size: int) -> None:
    device = Device(SteadyClock())
    made: _core.Backdoor
    if way == "port":
        made = EmulatedBackdoor(device, high_bandwidth=False)
    else:
        made = EmulatedHypercall(device, way, high_bandwidth=False)
    meter = _core.MeteredBackdoor(made)
    rpci = _core.Rpci(meter)
    assert rpci.call(b"info-set guestinfo.k " + pattern(size)) == (True, b"")
    assert rpci.call(b"info-get guestinfo.k") == (True, pattern(size))
    counts = meter.counts()
    assert (counts["high_out"], counts["high_in"]) == (0, 0)
    assert not [name for name in device.traps() if "HB" in name or "rep" in name]


@both
def test_a_host_that_knows_no_command_opens_no_channel(instruction: str) -> None:
    device = Device(SteadyClock(), message=False)
    with pytest.raises(ChannelError, match="opens no message channel"):
        _core.Rpci(EmulatedHypercall(device, instruction)).call(b"log x")
    found = _core.probe(EmulatedHypercall(device, instruction), _core.Cpu())
    assert found.presence == _core.Presence.NO_CHANNEL


@pytest.mark.parametrize("register", ["rax", "rbx", "rcx", "rdx", "rsi", "rdi"])
@pytest.mark.parametrize("value", [0, 0xFFFFFFFF, 0xDEADBEEFDEADBEEF])
@pytest.mark.parametrize("nth", range(1, 8))
def test_rubbish_in_an_answer_is_an_error_or_no_matter_and_the_next_call_is_good(
    register: str, value: int, nth: int
) -> None:
    device = Device(SteadyClock())
    device.set_guestinfo("k", b"a value")
    recorder = RecordingBackdoor(EmulatedHypercall(device, "vmmcall"))
    recorder.change(nth, register, value)
    rpci = _core.Rpci(recorder)
    try:
        granted, reply = rpci.call(b"info-get guestinfo.k")
    except ChannelError:
        granted, reply = True, b"a value"
    except ValueError:  # a wild size was refused
        granted, reply = True, b"a value"
    assert not granted or reply in (b"a value", b"\0" * 7) or len(reply) <= 65536
    assert rpci.call(b"info-get guestinfo.k") == (True, b"a value")


@both
def test_the_real_instruction_off_vmware_harms_nobody(instruction: str) -> None:
    """It faults, or a hypervisor takes it for its own and says no."""
    if _core.probe_machine(_core.read_cpu()).presence == _core.Presence.VMWARE:
        pytest.skip("capability missing: a machine that is not VMware's")
    cpu = _core.Cpu(is_virtual=True, hypervisor="VMwareVMware", **{instruction: True})
    found = _core.probe_machine(cpu, ports=False)
    assert found.presence in (_core.Presence.FAULT, _core.Presence.NO_ANSWER)
    assert "VMware's hypercall" in found.reason
    bit = {"vmmcall": 1, "vmcall": 2}[instruction]
    assert (found.presence == _core.Presence.FAULT) is bool(faulting_hypercalls() & bit)


def test_without_the_leaf_no_hypercall_is_tried() -> None:
    found = _core.probe_machine(_core.Cpu(is_virtual=True, hypervisor="Xen"), ports=False)
    assert found.presence == _core.Presence.UNDECIDED
    assert "the processor does not announce it" in found.reason


@pytest.mark.parametrize(
    ("code", "rdx", "kind"),
    [
        (b"\x0f\x01\xc1", 0, "vmcall"),
        (b"\x0f\x01\xd9", 3, "vmmcall"),
        (b"\x0f\x01\xc2", 0, "other"),  # vmlaunch
        (b"\x0f\x01\xd8", 0, "other"),  # vmrun
        (b"\x0f\x01", 0, "other"),  # the text ends there
        (b"\xed\x90\x90", 0x5658, "in"),
        (b"\xed", 0x5658, "in"),
        (b"\xed", 0x5659, "other"),
        (b"\xf3\x6e\x90", 0x5659, "rep outsb"),
        (b"\xf3\x6c\xc3", 0x5659, "rep insb"),
        (b"\xf3\x6c\xc3", 0x5658, "other"),
        (b"\x0f\xa2\x90", 0, "cpuid"),
    ],
)
def test_the_instruction_on_which_a_program_stands_is_known(
    code: bytes, rdx: int, kind: str
) -> None:
    assert decode(MAGIC, rdx, code) == kind
    assert decode(MAGIC | 0xDEAD << 32, rdx, code) == kind
    assert decode(MAGIC ^ 1, rdx, code) == ("cpuid" if kind == "cpuid" else "other")


def test_low_bandwidth_is_the_hosts_choice_too() -> None:
    host = EmulatedHost(high_bandwidth=False)
    assert host.backdoor.high_bandwidth()
    assert _core.Rpci(host.backdoor).call(b"log x") == (True, b"")
    assert not [name for name in host.device.traps() if "rep" in name]
