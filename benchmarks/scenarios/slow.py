"""A quiesced snapshot of a disk that is slower, or hardly faster, than its writers.

The image is in memory; the blkio control group (cgroup v1) limits its loop device to a rate in
MiB/s. A bulk writer dirties pages at a steady rate from five seconds before the host's request on;
a small writer writes 4 KiB each half millisecond. The metric of both is the longest gap between two
finished writes, without the host's snapshot.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import disks, writer
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
    Metric("any_gap_ms", "longest gap between two writes of one writer beyond the snapshot, ms"),
    Metric("gap_ms", "longest gap between two small writes beyond the host's snapshot, ms"),
    Metric("bulk_gap_ms", "longest gap between two bulk writes beyond the host's snapshot, ms"),
    Metric("before_gap_ms", "the same of the small writer before the host asks, ms", ratio=False),
    Metric("bulk_before_gap_ms", "the same of the bulk writer before that, ms", ratio=False),
    Metric("backup_s", "the whole backup, s"),
    Metric("bulk_percent", "bulk writes until the commit, % of the disk's rate", ratio=False),
    Metric("own_presync_ms", "its own record: pre-sync, ms", ratio=False),
    Metric("own_paced_ms", "its own record: writers slowed down for, ms", ratio=False),
    Metric("own_expected_ms", "its own record: freeze, as expected, ms", ratio=False),
    Metric("own_freeze_ms", "its own record: first freeze → all frozen, ms", ratio=False),
)

# Overwritten blocks of btrfs are written elsewhere, and it frees the old ones late.
SIZES = {"ext4": 3 << 30, "xfs": 3 << 30, "btrfs": 6 << 30}
BULK_MIB = 1536  # of the file: large enough that its writer finds pages that are not yet dirty
BEFORE = 5.0  # seconds that it writes before the host asks
AFTER = 1.0  # seconds watched after the backup
PAUSE = 500e-6
LONGEST = 200.0  # seconds for all of it
SNAPSHOT = 0.1
SHOWN_BIN = 0.02  # seconds; of each only the longest gap is kept to be drawn
BLKIO = "blkio.throttle.write_bps_device"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Rates:
    """MiB each second; `before`: seconds that the bulk writer has before the host asks."""

    fs: str
    disk: int
    bulk: int
    before: float = BEFORE


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
PICTURE_CASE = "ext4, disk 40 MiB/s, writer 100 MiB/s"  # its gaps are kept to be drawn
CONTENDERS = {  # fsfreeze is as open-vm-tools is, and takes as long
    fs: ("vmtpy", "open-vm-tools", *(("fsfreeze",) if fs == "ext4" else ())) for fs in SIZES
}


def throttle() -> Path | None:
    """The file that sets a device's rate; None without blkio of cgroup v1."""
    for mount in disks.mounts():
        file = Path(mount.path) / BLKIO
        if mount.fs == "cgroup" and file.exists():
            return file
    return None


def contenders(case: str) -> dict[str, str]:
    lacking = "" if throttle() else f"{BLKIO} (cgroup v1)"
    names = CONTENDERS[CASES_OF[case].fs]
    return {name: lacking or freezers()[name].missing() for name in names}


@contextmanager
def throttled(disk: Disk, rate: int) -> Iterator[None]:
    """Limits writes to the disk's device to so many MiB/s."""
    file = throttle()
    assert file is not None
    number = device_number(disk)
    file.write_text(f"{number} {rate * MIB}")
    try:
        yield
    finally:
        file.write_text(f"{number} 0")


def device_number(disk: Disk) -> str:
    """ "major:minor" of the loop device, which is not that of a btrfs on it."""
    return Path(f"/sys/block/{Path(disk.device).name}/dev").read_text().strip()


def filled(path: Path) -> Path:
    """Makes a file all of whose data is on the disk."""
    block = bytes(4 * MIB)
    with path.open("wb", buffering=0) as file:
        for _ in range(BULK_MIB * MIB // len(block)):
            file.write(block)
        os.fsync(file.fileno())
    return path


def measure(case: str, contender: str, place: Place) -> Measurement:
    return measured(CASES_OF[case], contender, place, drawn=case == PICTURE_CASE)


def measured(
    rates: Rates,
    contender: str,
    place: Place,
    *,
    drawn: bool = False,
    hold: Callable[[Disk, int], AbstractContextManager[None]] = throttled,
) -> Measurement:
    """One run at these rates; with the gaps to be drawn, if wanted. `hold` limits the disk."""
    with disks.made(rates.fs, 1, SIZES[rates.fs], place.store, place.work) as made:
        (disk,) = made.disks
        bulk_path = filled(disk.path / "bulk")
        with (
            Writers([disk.path / "writes"], place.shared, PAUSE, LONGEST) as small,
            freezers()[contender].running(made, place.shared) as guest,
            hold(disk, rates.disk),
            Bulk(bulk_path, place.shared, rates.bulk, BULK_MIB) as bulk,
        ):
            time.sleep(rates.before)
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
            (writes,) = small.during(moments.asked - rates.before, ended + LONGEST)
            (blocks,) = bulk.during(moments.asked - rates.before, ended + LONGEST)
    values = figures(moments, writes, blocks, rates)
    values["failed"] = 0.0 if failed is None else 1.0
    points = series(moments, writes, failed=failed is not None) if drawn else {}
    return Measurement(values | moments.own, points)


def wait_for_writes(writers: list[Writers | Bulk]) -> None:
    """Waits until each writer has finished its current write, and a little longer."""
    for noted in writers:
        noted.wait(1, timeout=LONGEST)
    time.sleep(AFTER)


def figures(
    moments: Snapshot, writes: list[Write], blocks: list[Write], rates: Rates
) -> dict[str, float]:
    """The metrics, which include the gap that a failed backup leaves behind."""
    before, during = parted(writes, moments.asked)
    blocks_before, blocks_during = parted(blocks, moments.asked)
    until = moments.commit - moments.asked
    values = {
        "gap_ms": gap_beyond(during, moments) * 1e3,
        "bulk_gap_ms": gap_beyond(blocks_during, moments) * 1e3,
        "before_gap_ms": gap_beyond(before, moments) * 1e3,
        "bulk_before_gap_ms": gap_beyond(blocks_before, moments) * 1e3,
        "backup_s": moments.done - moments.asked,
    }
    values["any_gap_ms"] = max(values["gap_ms"], values["bulk_gap_ms"])
    if until > 1:  # shorter ones do not tell a rate
        count = sum(moments.asked <= block.end <= moments.commit for block in blocks)
        values["bulk_percent"] = 100 * count / until / rates.disk
    return values


def parted(writes: Sequence[Write], moment: float) -> tuple[list[Write], list[Write]]:
    """Those that ended by then, and those that ended later with the last one before them."""
    before = [write for write in writes if write.end <= moment]
    return before, before[-1:] + [write for write in writes if write.end > moment]


def series(
    moments: Snapshot, writes: Sequence[Write], *, failed: bool
) -> dict[str, list[tuple[float, float]]]:
    """What is drawn: the longest gap of each 20 ms, and the moments, in seconds from the question.

    A backup that failed has neither commit nor snapshotDone: the moments are its two ends.
    """
    longest: dict[int, Write] = {}
    for gap in writer.gaps(writes):
        slot = int((gap.begin - moments.asked) // SHOWN_BIN)
        if slot not in longest or gap.duration > longest[slot].duration:
            longest[slot] = gap
    marks = [moments.asked, moments.commit, moments.taken, moments.done]
    if failed:
        marks = [moments.asked, moments.done]
    return {
        "gaps": [
            (round(gap.begin - moments.asked, 3), round(gap.duration, 5))
            for gap in longest.values()
        ],
        "marks": [(round(mark - moments.asked, 4), 0.0) for mark in marks],
    }
