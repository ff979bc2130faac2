"""A stun of the machine, as at a snapshot: nothing is answered meanwhile, and what was in flight
begins again with CHECKPOINT. For a guest in this process; tests/system has it for traced programs.
"""

from __future__ import annotations

import os
import threading
import time

import pytest
from support.emulated import CHECKPOINT, EmulatedHost, pattern

from vmtpy._core import Preference, Rpci, SteadyClock, Transports
from vmtpy._host import UnixDialer, VsockService

TIMEOUT = 60.0


class Call(threading.Thread):
    """One request of the guest, in a thread; `until`: again and again until that is set."""

    def __init__(self, rpci: Rpci, request: bytes, *, until: threading.Event | None = None) -> None:
        super().__init__(daemon=True)
        self.rpci, self.request = rpci, request
        self.answer: tuple[bool, bytes] | None = None
        self.calls = 0
        self.until = until
        self.start()

    def run(self) -> None:
        while True:
            self.calls += 1
            self.answer = self.rpci.call(self.request)
            if self.until is None or self.until.is_set():
                return

    def result(self) -> tuple[bool, bytes] | None:
        self.join(TIMEOUT)
        return self.answer


def now() -> float:
    return time.monotonic()


def test_a_stunned_machine_gets_no_answer_until_it_is_resumed() -> None:
    host = EmulatedHost()
    assert not host.device.stun(now()), "nothing was in flight"
    call = Call(Rpci(host.backdoor), b"log hello")
    call.join(0.05)
    assert call.is_alive()
    assert host.device.traps() == {}
    host.device.resume()
    assert call.result() == (True, b"")
    assert not any(frame.after["rcx"] >> 16 & CHECKPOINT for frame in host.frames("SENDSIZE"))


@pytest.mark.parametrize("high", [True, False])
def test_what_was_in_flight_begins_again(high: bool) -> None:
    host = EmulatedHost(high_bandwidth=high)
    value = pattern(60_001)
    stunned: list[bool] = []
    stun = threading.Thread(target=lambda: stunned.append(host.device.stun(now() + TIMEOUT)))
    stun.start()
    over = threading.Event()
    call = Call(Rpci(host.backdoor), b"info-set guestinfo.key " + value, until=over)
    stun.join(TIMEOUT)
    over.set()
    assert stunned == [True]
    assert host.device.in_flight()
    host.device.resume()
    assert call.result() == (True, b"")
    assert host.device.guestinfo("key") == value
    statuses = [
        frame.after["rbx" if "rep" in frame.instruction else "rcx"] >> 16 & 0xFFFF
        for frame in host.backdoor.frames()
    ]
    assert sum(bool(status & CHECKPOINT and status < 0x80) for status in statuses) == 1
    assert len(host.device.take_transcript()) == call.calls


def test_nothing_is_answered_over_vsock_either() -> None:
    host = EmulatedHost()
    base = f"@vmtpy-stun-{os.getpid()}"
    service = VsockService(host.device, base)
    ways = Transports(host.backdoor, UnixDialer(base), SteadyClock(), preference=Preference.VSOCK)
    rpci = Rpci(ways)
    assert rpci.call(b"log before")[0]
    host.device.stun(now())
    call = Call(rpci, b"log hello")
    call.join(0.05)
    assert call.is_alive()
    host.device.resume()
    assert call.result() == (True, b"")
    assert host.device.traps() == {}
    del service


def test_the_end_of_the_script_ends_a_stun() -> None:
    host = EmulatedHost()
    host.device.stun(now())
    call = Call(Rpci(host.backdoor), b"log hello")
    host.device.end_waits()
    assert call.result() == (True, b"")
