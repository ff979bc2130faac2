"""The disks that are not there, and the clock that tests turn."""

from __future__ import annotations

import threading
import time

from support.patience import PATIENCE

from vmtpy._host import Device, ManualClock, SimulatedDisk


def test_a_write_goes_through_at_once_while_nothing_is_frozen() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    assert disk.write("/a") < 1
    assert (disk.written("/a"), disk.written("/b")) == (1, 0)
    assert not disk.frozen("/a")


def test_the_manual_clock_moves_only_when_it_is_turned() -> None:
    clock = ManualClock()
    start = clock.now()
    assert clock.now() == start
    clock.advance(2.5)
    assert clock.now() == start + 2.5


def test_a_wait_on_the_manual_clock_ends_when_it_is_turned_past_the_deadline() -> None:
    clock = ManualClock()
    device = Device(clock)
    deadline = clock.now() + 10
    ended = threading.Event()

    def wait() -> None:
        assert device.take_transcript(deadline) == []
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    limit = time.monotonic() + PATIENCE
    clock.advance(9)
    assert not ended.wait(0.05)
    while not ended.is_set() and time.monotonic() < limit:
        clock.advance(1)
        ended.wait(0.01)
    thread.join(PATIENCE)
    assert ended.is_set()
