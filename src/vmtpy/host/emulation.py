"""Runs a program under the ptrace host, with timeline, signals and backups, for `vmtpy emulate`."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmtpy.host.esxi import Esxi
from vmtpy.host.listener import Listener
from vmtpy.host.replay import Replay
from vmtpy.host.script import BackupRequest, greet, run_backup
from vmtpy.host.signals import signals_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy._host import Device, TrapHost, VsockService
    from vmtpy.host.listener import Follower
    from vmtpy.host.recording import Recording
    from vmtpy.host.signals import WakeUp
    from vmtpy.host.timeline import Timeline
    from vmtpy.host.verdict import Verdict

_FOREVER = 10 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Backups:
    """The backups that the host takes while the program runs.

    Attributes:
        after: the seconds from the first message of the tools, or from the end of the last backup.
        request: the request of each backup.
        cycles: the number of backups.
        end_after: whether to send the program SIGTERM after the last backup.
    """

    after: float
    request: BackupRequest
    cycles: int = 1
    end_after: bool = False


@dataclass
class Emulation:
    """One run of a program with its threads, from the start to the end of the timeline.

    run() must be called in the main thread of a process, whose signals go to the program meanwhile.

    Attributes:
        as_esxi: whether to treat the guest as ESXi does, and to judge it at the end.
        verdict: the verdict after run(); None without `as_esxi`.
        recording: of a host to be played instead; None.
        agrees: whether the guest said what is in the recording, after run().
    """

    device: Device
    host: TrapHost
    timeline: Timeline
    backups: Backups | None = None
    vsock: VsockService | None = None
    as_esxi: bool = False
    recording: Recording | None = None
    verdict: Verdict | None = None
    agrees: bool = True

    def __post_init__(self) -> None:
        self.ended = threading.Event()
        self.early: list[int] = []  # signals that arrived before the program was started

    def run(self) -> int:
        """Starts the program and waits for it and its descendants. Returns its wait status."""
        listener = Listener(self.device)
        follower = listener.follow()
        self.replay = Replay(self.recording, self.device, listener) if self.recording else None
        self.esxi = Esxi(self.device, listener, self.host) if self.as_esxi else None
        with signals_to(self.forward) as wake:
            self.host.start()
            while self.early:
                self.host.signal(self.early.pop(0))
            with listener:
                writer = start_thread(lambda: self.write_timeline(follower))
                backups = start_thread(lambda: self.play_host(listener))
                start_thread(lambda: self.wait_for_end(wake))
                wake.wait(self.ended)
            writer.join()
            backups.join()
        cpuid = self.host.cpuid_answered().name.lower()
        vsock = self.vsock.counts() if self.vsock else None
        self.timeline.end(time.monotonic(), self.device.traps(), cpuid, vsock)
        if self.esxi:
            self.verdict = self.esxi.verdict()
            self.timeline.verdict(time.monotonic(), self.verdict)
        if self.replay:
            self.compare(self.replay)
        return self.host.wait_status()

    def compare(self, replay: Replay) -> None:
        differences = replay.differences()
        self.agrees = not differences
        self.timeline.replayed(time.monotonic(), differences, replay.unplayed)

    def forward(self, number: int) -> None:
        if self.host.process() > 0:
            self.host.signal(number)
        else:
            self.early.append(number)

    def wait_for_end(self, wake: WakeUp) -> None:
        while not self.host.wait(time.monotonic() + _FOREVER):
            pass
        self.ended.set()
        wake.up()

    def write_timeline(self, follower: Follower) -> None:
        while entry := follower.next():
            self.timeline.entry(entry)

    def play_host(self, listener: Listener) -> None:
        if not self.device.wait_for_tools(time.monotonic() + _FOREVER):
            return
        self.timeline.phase("tools are alive", time.monotonic())
        if self.replay:
            self.replay.play()
            if self.replay.has_commands:
                self.timeline.phase("the recording is over", time.monotonic())
                self.host.signal(signal.SIGTERM)
            return
        if self.esxi:
            self.esxi.begin()
        else:
            greet(self.device)
        if self.backups is None:
            return
        for cycle in range(1, self.backups.cycles + 1):
            if self.ended.wait(self.backups.after):
                return
            self.backup(listener, self.backups, cycle)
        if self.backups.end_after:
            self.host.signal(signal.SIGTERM)

    def backup(self, listener: Listener, backups: Backups, cycle: int) -> None:
        facts = {"cycle": cycle} if backups.cycles > 1 else {}

        def notify(name: str, moment: float) -> None:
            self.timeline.phase(name, moment, **facts)

        if self.esxi:
            result = self.esxi.backup(backups.request, notify)
        else:
            result = run_backup(self.device, listener, backups.request, notify)
        self.timeline.phase(
            "backup ended",
            time.monotonic(),
            **facts,
            outcome=result.outcome.value,
            error=result.error,
        )


def start_thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread
