"""A quiesced snapshot of a disk that takes less, or hardly more, than its writers give it.

The image lies in memory; the blkio control group (cgroup v1) holds its loop device to so many
MiB/s. A bulk writer dirties pages at a steady rate for five seconds before the host asks, and goes
on; a small writer beside it writes 4 KiB each half millisecond. What is counted of both is the
longest gap between two finished writes, less what the host's snapshot took of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import disks
from benchmarks.contenders import freezers
from benchmarks.disks import Disk
from benchmarks.emulated import GuestError, Snapshot
from benchmarks.freezing import gap_beyond, quiet, taking
from benchmarks.scenario import Measurement, Metric, Place
from benchmarks.writer import Bulk, Write, Writers

NAME = "slow"
TITLE = "quiesce, disk slower than its writers"
METRICS: tuple[Metric, ...] = (
    Metric("failed", "backups that failed, 1 of 1", ratio=False),
    Metric("gap_ms", "longest gap between two small writes beyond the host's snapshot, ms"),
    Metric("bulk_gap_ms", "longest gap between two bulk writes beyond the host's snapshot, ms"),
    Metric("before_gap_ms", "the same of the small writer before the host asks, ms", ratio=False),
    Metric("backup_s", "the whole backup, s"),
    Metric("bulk_percent", "bulk writes until the commit, % of the disk's rate", ratio=False),
    Metric("own_presync_ms", "its own record: pre-sync, ms", ratio=False),
    Metric("own_freeze_ms", "its own record: first freeze → all frozen, ms", ratio=False),
)

SIZE = 3 << 30
BULK_MIB = 1536  # of the file: large enough that its writer finds pages that are not yet dirty
BEFORE = 5.0  # seconds that it writes before the host asks
AFTER = 1.0  # seconds watched after the backup
PAUSE = 500e-6
LONGEST = 200.0  # seconds for all of it
SNAPSHOT = 0.1
BLKIO = "blkio.throttle.write_bps_device"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Rates:
    """MiB each second."""

    fs: str
    disk: int
    bulk: int


CASES_OF = {
    f"{fs}, disk {disk} MiB/s, writer {bulk} MiB/s": Rates(fs, disk, bulk)
    for fs, disk, bulk in (
        ("ext4", 100, 50),
        ("ext4", 100, 90),
        ("ext4", 40, 100),
        ("xfs", 40, 100),
        ("btrfs", 40, 100),
    )
}
CASES: tuple[str, ...] = tuple(CASES_OF)
CONTENDERS = ("vmtpy", "open-vm-tools", "fsfreeze", "nobody")


def throttle() -> Path | None:
    """The file that sets a device's rate, None where there is no blkio of cgroup v1."""
    for mount in disks.mounts():
        file = Path(mount.path) / BLKIO
        if mount.fs == "cgroup" and file.exists():
            return file
    return None


def contenders(case: str) -> dict[str, str]:  # noqa: ARG001 (Scenario)
    lacking = "" if throttle() else f"{BLKIO} (cgroup v1)"
    return {name: lacking or freezers()[name].missing() for name in CONTENDERS}


@contextmanager
def throttled(disk: Disk, rate: int) -> Iterator[None]:
    """Holds writes to the disk's device to so many MiB/s."""
    file = throttle()
    assert file is not None
    number = Path(f"/sys/block/{Path(disk.device).name}/dev").read_text().strip()
    file.write_text(f"{number} {rate * MIB}")
    try:
        yield
    finally:
        file.write_text(f"{number} 0")


def filled(path: Path) -> Path:
    """A file that is all on the disk."""
    block = bytes(4 * MIB)
    with path.open("wb", buffering=0) as file:
        for _ in range(BULK_MIB * MIB // len(block)):
            file.write(block)
        os.fsync(file.fileno())
    return path


def measure(case: str, contender: str, place: Place) -> Measurement:
    rates = CASES_OF[case]
    with disks.made(rates.fs, 1, SIZE, place.store, place.work) as made:
        (disk,) = made.disks
        bulk_path = filled(disk.path / "bulk")
        with (
            Writers([disk.path / "writes"], place.shared, PAUSE, LONGEST) as small,
            freezers()[contender].running(made, place.shared) as guest,
            throttled(disk, rates.disk),
            Bulk(bulk_path, place.shared, rates.bulk, BULK_MIB) as bulk,
        ):
            time.sleep(BEFORE)
            with made.freezable(LONGEST), quiet():
                moments = failed = None
                asked = time.monotonic()
                try:
                    moments = guest.snapshot(taking(SNAPSHOT))
                except GuestError as error:
                    failed = error
                ended = time.monotonic()
                wait_for_writes([small, bulk])
            if moments is None:
                moments = Snapshot(asked, asked, ended, ended, ended)
            (writes,) = small.during(moments.asked - BEFORE, ended + LONGEST)
            (blocks,) = bulk.during(moments.asked, ended + LONGEST)
    values = figures(moments, writes, blocks, rates)
    values["failed"] = 0.0 if failed is None else 1.0
    return Measurement(values | moments.own)


def wait_for_writes(writers: list[Writers | Bulk]) -> None:
    """Until each has finished what it was at, and a little longer."""
    for writer in writers:
        writer.wait(1, timeout=LONGEST)
    time.sleep(AFTER)


def figures(
    moments: Snapshot, writes: list[Write], blocks: list[Write], rates: Rates
) -> dict[str, float]:
    """The metrics; the gap that a failed backup leaves behind counts, too."""
    before = [write for write in writes if write.end <= moments.asked]
    during = [write for write in writes if write.end >= moments.asked]
    until = moments.commit - moments.asked
    values = {
        "gap_ms": gap_beyond(before[-1:] + during, moments) * 1e3,
        "bulk_gap_ms": gap_beyond(blocks, moments) * 1e3,
        "before_gap_ms": gap_beyond(before, moments) * 1e3,
        "backup_s": moments.done - moments.asked,
    }
    if until > 1:  # shorter ones do not tell a rate
        count = sum(block.end <= moments.commit for block in blocks)
        values["bulk_percent"] = 100 * count / until / rates.disk
    return values
