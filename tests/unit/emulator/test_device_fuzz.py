"""Whatever a guest does with its registers, the emulated host stays in its bounds and works on."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vmtpy._core import Rpci, SteadyClock
from vmtpy._host import Device, EmulatedBackdoor

WORDS = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 16),
    st.sampled_from([0x49435052, 0x4F4C4354, 0xC9435052, 65536, 65537, 2**32 - 1, 1 << 16]),
)
# Mostly the steps of a message on one of the first channels, as cookies are not asked for.
LOW = st.tuples(
    st.just("low"),
    WORDS,
    st.builds(lambda step, command: step << 16 | command, st.integers(0, 8), st.just(30)) | WORDS,
    st.builds(lambda channel: channel << 16 | 0x5658, st.integers(0, 3)) | WORDS,
)
HIGH = st.tuples(
    st.sampled_from(["out", "in"]),
    st.just(1 << 16) | WORDS,
    st.integers(0, 70000),
    st.builds(lambda channel: channel << 16 | 0x5659, st.integers(0, 3)) | WORDS,
)
# No memory is behind the addresses of these.
BY_HYPERCALL = st.tuples(
    st.just("hypercall"),
    st.just(1 << 16) | WORDS,
    st.builds(lambda step: step << 16 | 30, st.integers(0, 8)) | st.integers(0, 70000) | WORDS,
    st.builds(lambda channel, flags: channel << 16 | flags, st.integers(0, 3), st.integers(0, 4))
    | WORDS,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LOW | HIGH | BY_HYPERCALL, max_size=60))
def test_any_sequence_of_traps_leaves_a_host_that_answers(
    traps: list[tuple[str, int, int, int]],
) -> None:
    device = Device(SteadyClock())
    device.low({"rbx": 0x49435052, "rcx": 30})
    for kind, rbx, rcx, rdx in traps:
        registers = {"rbx": rbx, "rcx": rcx, "rdx": rdx}
        if kind == "low":
            device.low(registers)
        elif kind == "hypercall":
            device.hypercall(registers)
        elif kind == "out":
            assert device.high_out(registers, bytes(rcx))["rcx"] in (0, rcx)
        else:
            assert device.high_in(registers, rcx)[0]["rcx"] in (0, rcx)
    assert device.open_channels() <= 128
    device.lose_channels()
    assert Rpci(EmulatedBackdoor(device)).call(b"log still here") == (True, b"")
