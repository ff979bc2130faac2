"""The demo where a real disk cannot be had (a plain container): the same agent, the same wire
and the same conversation with the in-process host, over a disk that exists in memory only.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmtpy import _core, _host
from vmtpy.agent import Agent
from vmtpy.config import Config, HooksConfig
from vmtpy.demo.result import PERIODS, DemoResult
from vmtpy.errors import VmtError
from vmtpy.host.esxi import Esxi
from vmtpy.host.listener import Listener
from vmtpy.host.script import BackupRequest

if TYPE_CHECKING:
    from vmtpy.results import RunRecord

PATH = "/srv"
COPYING = 0.1  # seconds of the host


@dataclass
class Writer:
    """A thread that writes to the simulated disk and keeps its longest wait."""

    disk: _host.SimulatedDisk
    longest: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            self.longest = max(self.longest, self.disk.write(PATH))
            time.sleep(0.0005)


def simulate() -> DemoResult:
    """Plays the demo in this process.

    Raises:
        VmtError: the agent did not take part.
    """
    device = _host.Device(_core.SteadyClock())
    disk = _host.SimulatedDisk([PATH])
    records: list[RunRecord] = []
    agent = Agent(
        Config(hooks=HooksConfig(directory="")),
        log=lambda _: None,
        on_record=records.append,
        backdoor=_host.EmulatedBackdoor(device),
        system=disk,
        planner=lambda _: _core.Plan(disk.filesystems()),
        guardian=False,
    )
    writer = Writer(disk)
    threads = [threading.Thread(target=agent.run), threading.Thread(target=writer.run)]
    for thread in threads:
        thread.start()
    listener = Listener(device)
    host = Esxi(device, listener, device, PERIODS)
    counts: list[int] = []

    def snapshot() -> None:
        counts.append(disk.written(PATH))
        time.sleep(COPYING)
        counts.append(disk.written(PATH))

    try:
        with listener:
            while not device.tclo_seen() and threads[0].is_alive():
                time.sleep(0.001)
            host.begin()
            time.sleep(0.2)
            result = host.backup(BackupRequest(snapshot=snapshot, timeout=20))
            time.sleep(0.1)
    finally:
        agent.stop()
        writer.stop.set()
        for thread in threads:
            thread.join()
    if result.commit is None or result.done_sent is None:
        raise VmtError(f"no snapshot: {result.error}")
    snapshot_took = result.done_sent - result.commit
    outcome = DemoResult(simulated=True, snapshot=snapshot_took, copying=COPYING)
    outcome.longest_wait = writer.longest
    record = records[-1]
    outcome.tell(
        result,
        presynced=record.presynced,
        all_frozen=record.all_frozen,
        all_thawed=record.all_thawed,
    )
    outcome.found(result.succeeded, "the guest confirmed the snapshot")
    outcome.found(counts[0] == counts[1] > 0, "no write got through during the snapshot")
    outcome.judged(host.verdict())
    return outcome
