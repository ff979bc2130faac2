"""Days of a guest's life by a clock that is turned by hand: nothing grows."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from support.names import unique_base

from vmtpy import _core, _host

HOUR = 3600.0
KIND = _core.AgentEvent.Kind


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Guest:
    """An agent with its host; a day of it takes seconds."""

    def __init__(self, *, vsock: bool = False) -> None:
        self.clock = _host.ManualClock()
        self.device = _host.Device(self.clock)
        self.backdoor = _host.EmulatedBackdoor(self.device)
        self.done = 0
        self.polls = 0
        options = _core.AgentOptions(
            poll_min=0.01,
            poll_max=0.5,
            poll_busy=0.002,
            announce=["log hello"],
            withdraw=[],
        )
        self.service: _host.VsockService | None = None
        if vsock:
            base = unique_base("soak")
            self.service = _host.VsockService(self.device, base)
            dialer = _host.UnixDialer(base)
            ways = _core.Transports(self.backdoor, dialer, self.clock)
            self.agent = _core.Agent(ways, self.clock, options)
        else:
            self.agent = _core.Agent(self.backdoor, self.clock, options)

    def live(self, seconds: float) -> None:
        """Idle polls, as they come."""
        end = self.clock.now() + seconds
        while (now := self.clock.now()) < end:
            following = self.agent.step()
            assert following is not None
            self.clock.advance(max(following - now, 0.0005))
            self.polls += 1

    def hour(self) -> None:
        """What a host does: pings, an option, a lost channel, a backup of nothing, an abort."""
        for command in ("ping", "Set_Option broadcastIP 1", "reset", "nonsense"):
            self.device.send_command(command)
            self.live(1)
            self.answer()
        self.device.lose_channels()
        for last in ("vmbackup.snapshotDone", "vmbackup.abort"):
            for command in ("vmbackup.start 1", last):
                self.device.send_command(command)
                self.live(0.1)
                self.answer()
                self.live(0.1)
        self.live(HOUR - 5)
        for entry in self.device.take_transcript():
            self.done += entry.request == b"vmbackup.eventSet req.done 0 "

    def answer(self) -> None:
        """Python's part."""
        while event := self.agent.next_event(0):
            if event.kind == KIND.START:
                self.agent.skip(30)
            elif event.kind == KIND.ENDED:
                self.agent.finish()
            elif event.kind == KIND.COMMAND:
                self.agent.answer(event.id, b"OK ")


@pytest.mark.timeout(600)
def test_64_hours_of_the_hosts_traffic_cost_no_memory_and_no_descriptors() -> None:
    guest = Guest()
    for _ in range(4):
        guest.hour()
    memory, files = resident(), descriptors()
    for _ in range(64):
        guest.hour()
    assert guest.done == 2 * 68
    assert guest.polls > 64 * HOUR / 0.5
    assert descriptors() <= files  # an earlier test's may still be closed
    assert resident() - memory < 256 << 10


@pytest.mark.timeout(600)
def test_weeks_of_vsock_connections_that_break_cost_no_memory_and_no_descriptors() -> None:
    guest = Guest(vsock=True)
    service = guest.service
    assert service is not None

    def live(turns: int) -> None:
        for _ in range(turns):
            service.drop_connections()
            for _ in range(2):
                guest.device.send_command("ping")
                guest.agent.step()
                guest.clock.advance(HOUR)
            guest.answer()
            guest.device.take_transcript()

    live(500)
    memory, files = resident(), descriptors()
    live(1500)
    assert service.counts()["connections"] > 2000
    assert descriptors() <= files + 2  # the host's side of one may still be on its way
    assert resident() - memory < 256 << 10
