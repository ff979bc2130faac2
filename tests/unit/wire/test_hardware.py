"""Hardware facts and the host's time, by plain backdoor calls."""

from __future__ import annotations

import time

import pytest
from support.emulated import EmulatedHost

from vmtpy import hardware

MAGIC = 0x564D5868
UNKNOWN = 0xFFFFFFFF


@pytest.mark.parametrize("dirty", [False, True])
def test_the_facts_are_read(dirty: bool) -> None:
    facts = hardware.read(EmulatedHost(dirty_upper_halves=dirty).backdoor)
    assert facts.version == 19
    assert facts.uuid == "564d5668-6f73-7420-656d-756c61746564"
    assert facts.memory_mib
    assert facts.memory_mib > 0
    assert facts.cpu_mhz
    assert facts.cpu_mhz > 0


def test_what_the_host_does_not_know_is_none() -> None:
    host = EmulatedHost()
    for nth in range(1, 5):
        host.backdoor.change(nth, "rax", UNKNOWN)
    host.backdoor.change(2, "rbx", ~MAGIC & 0xFFFFFFFF)
    assert hardware.read(host.backdoor) == hardware.Hardware(None, None, None, None)


def test_a_memory_size_in_bytes_as_qemu_gives_it_is_understood() -> None:
    host = EmulatedHost()
    host.backdoor.change(3, "rax", 768 << 20)
    host.backdoor.change(3, "rbx", 0x1177)
    assert hardware.read(host.backdoor).memory_mib == 768


@pytest.mark.parametrize("unknown", [0, 1, 2])
@pytest.mark.parametrize("dirty", [False, True])
def test_the_time_is_read_in_the_newest_way_that_the_host_knows(unknown: int, dirty: bool) -> None:
    host = EmulatedHost(dirty_upper_halves=dirty)
    for nth in range(1, unknown + 1):
        host.backdoor.change(nth, "rax", UNKNOWN)
    now = hardware.host_time(host.backdoor)
    assert now
    assert abs(now.unix - time.time()) < 5
    names = ["GETTIMEFULL_WITH_LAG", "GETTIMEFULL", "GETTIME"]
    assert set(host.device.traps()) == set(names[: unknown + 1])


def test_lags_are_in_seconds() -> None:
    host = EmulatedHost()
    host.backdoor.change(1, "rcx", 1_000_000)
    host.backdoor.change(1, "rdi", 250_000)
    now = hardware.host_time(host.backdoor)
    assert now
    assert (now.max_lag, now.lag) == (1.0, 0.25)


def test_a_host_without_a_clock_gives_none() -> None:
    host = EmulatedHost()
    for nth in range(1, 4):
        host.backdoor.change(nth, "rax", UNKNOWN)
    assert hardware.host_time(host.backdoor) is None
    host = EmulatedHost()
    host.backdoor.change(1, "rdx", 0)
    assert hardware.host_time(host.backdoor) is None
