"""The demo for machines without a real disk, such as plain containers: the same agent holds the
same conversation with an in-process host, over a disk that exists only in memory.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from vmtpy.config import Config, HooksConfig
from vmtpy.demo.result import PERIODS, DemoResult
from vmtpy.errors import VmtError
from vmtpy.testing import EmulatedHost, SimulatedDisk, SimulatedGuest

PATH = "/srv"
COPYING = 0.1  # seconds of the host


@dataclass
class Writer:
    """A thread that writes to the simulated disk and measures its longest wait."""

    disk: SimulatedDisk
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
    counts: list[int] = []
    with (
        EmulatedHost() as host,
        SimulatedGuest(host, Config(hooks=HooksConfig(directory="")), paths=[PATH]) as guest,
    ):
        writer = Writer(guest.disk)
        thread = threading.Thread(target=writer.run)
        thread.start()

        def snapshot() -> None:
            counts.append(guest.disk.written(PATH))
            time.sleep(COPYING)
            counts.append(guest.disk.written(PATH))

        try:
            with host.esxi(ping=PERIODS.ping, stun=PERIODS.stun) as life:
                time.sleep(0.2)
                result = life.backup(snapshot, timeout=20)
                time.sleep(0.1)
        finally:
            writer.stop.set()
            guest.stop()
            thread.join()
    if result.commit is None or result.done_sent is None:
        raise VmtError(f"the host got no snapshot: {result.error}")
    snapshot_took = result.done_sent - result.commit
    outcome = DemoResult(simulated=True, snapshot=snapshot_took, copying=COPYING)
    outcome.longest_wait = writer.longest
    record = guest.records[-1]
    outcome.tell(
        result,
        presynced=record.presynced,
        all_frozen=record.all_frozen,
        all_thawed=record.all_thawed,
    )
    outcome.found(result.succeeded, "the guest confirmed the snapshot")
    outcome.found(counts[0] == counts[1] > 0, "no write got through during the snapshot")
    outcome.judged(life.verdict)
    return outcome
