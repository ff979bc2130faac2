"""Cases of `slow` on a disk that has a queue of requests, as real disks have.

In `slow` the limit is above the disk's queue, so that everything that the kernel has begun to write
waits there, however much it is. Here the disk's requests, of which there may be so many at once, go
to an image on a slow disk: its loop device bypasses the page cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import disks
from benchmarks.disks import Disk
from benchmarks.scenario import Measurement, Metric, Place
from benchmarks.scenarios import slow

NAME = "slow_queue"
TITLE = "quiesce, slow disk behind a queue of requests"
METRICS: tuple[Metric, ...] = slow.METRICS
CASES: tuple[str, ...] = tuple(
    case for case, rates in slow.CASES_OF.items() if rates.disk < rates.bulk and rates.fs != "xfs"
)
SIZE = 9 << 30  # bytes of the disk below; only what is written takes memory


def contenders(case: str) -> dict[str, str]:
    found = slow.contenders(case)
    lacking = disks.missing("xfs")
    return {name: lacking or found[name] for name in ("vmtpy", "open-vm-tools")}


def measure(case: str, contender: str, place: Place) -> Measurement:
    work = place.work / "below"
    work.mkdir()
    with disks.made("xfs", 1, SIZE, place.store, work) as made:
        (below,) = made.disks

        @contextmanager
        def hold(disk: Disk, rate: int) -> Iterator[None]:
            disks.run("losetup", "--direct-io=on", disk.device)
            with slow.throttled(below, rate):
                yield

        above = Place(below.path, place.work, place.shared)
        return slow.measured(slow.CASES_OF[case], contender, above, hold=hold)
