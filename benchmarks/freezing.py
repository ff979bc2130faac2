"""Runs one freeze of some disks under writers, and measures how long the writers waited."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from benchmarks import disks, writer
from benchmarks.contenders import freezers
from benchmarks.disks import SIZES, Disk
from benchmarks.emulated import Snapshot
from benchmarks.scenario import Metric, Place
from benchmarks.writer import Write, Writers

# Seconds from the agent's first words to the host's question. So much is left to chance that the
# question comes anywhere between two polls of an idle agent.
SETTLE, CHANCE = 1.5, 0.5

STALL = Metric("beyond_ms", "longest write stall beyond the host's snapshot, ms")
GAP = Metric("gap_ms", "longest gap between two finished writes beyond the host's snapshot, ms")
METRICS = (
    GAP,
    STALL,
    Metric("start_commit_ms", "start received → commit, ms"),
    Metric("asked_commit_ms", "host asks → commit, ms"),
    Metric("done_running_ms", "snapshotDone → writers running, ms"),
    Metric("done_done_ms", "snapshotDone → req.done, ms"),
)
OWN_METRICS = (
    Metric("own_presync_ms", "its own record: pre-sync, ms", ratio=False),
    Metric("own_freeze_ms", "its own record: first freeze → all frozen, ms", ratio=False),
    Metric("own_thaw_ms", "its own record: thaw, ms", ratio=False),
)

Prepare = Callable[[Sequence[Disk]], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a contender is to freeze, and under which circumstances.

    Attributes:
        fs: filesystem type.
        count: of disks.
        size: of a disk in bytes, 0 for the smallest that is fit.
        snapshot: seconds that the host takes for its snapshot.
        pause: seconds between two writes of one writer.
        prepare: begins a load or makes dirty pages, just before the host asks; ends with the run.
    """

    fs: str = "ext4"
    count: int = 1
    size: int = 0
    snapshot: float = 0.0
    pause: float = 200e-6
    prepare: Prepare | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """One snapshot, and the writes of each writer that were under way during it."""

    snapshot: Snapshot
    writes: list[list[Write]]

    @property
    def longest(self) -> Write:
        """The slowest write of all."""
        return writer.longest(write for writes in self.writes for write in writes)

    @property
    def frozen(self) -> list[Write]:
        """The write that waited for the host's snapshot, for each writer that had to wait."""
        begin, end = self.snapshot.commit, self.snapshot.taken
        found = (writer.frozen(writes, begin, end) for writes in self.writes)
        return [write for write in found if write is not None]

    def values(self) -> dict[str, float]:
        """The metrics."""
        moments = self.snapshot
        taking = moments.taken - moments.commit
        seconds = {
            "stall_ms": self.longest.duration,
            "beyond_ms": self.longest.duration - taking,
            "gap_ms": max(gap_beyond(writes, moments) for writes in self.writes),
        }
        if moments.done > moments.commit:  # somebody froze
            seconds["start_commit_ms"] = moments.commit - moments.received
            seconds["asked_commit_ms"] = moments.commit - moments.asked
            seconds["done_done_ms"] = moments.done - moments.taken
        if self.frozen:
            seconds["done_running_ms"] = max(one.end for one in self.frozen) - moments.taken
        if len(self.frozen) > 1:
            begins = [one.begin for one in self.frozen]
            seconds["first_last_ms"] = max(begins) - min(begins)
        return {key: value * 1e3 for key, value in seconds.items()} | moments.own


def gap_beyond(writes: Sequence[Write], moments: Snapshot) -> float:
    """The longest time without a write of one writer, less what the host's snapshot took of it."""
    return max((beyond(gap, moments) for gap in writer.gaps(writes)), default=0.0)


def beyond(gap: Write, moments: Snapshot) -> float:
    """How long a gap is without what the host's snapshot took of it."""
    taking = min(gap.end, moments.taken) - max(gap.begin, moments.commit)
    return gap.duration - max(taking, 0.0)


def contenders() -> dict[str, str]:
    """All contenders that freeze, with what each lacks here."""
    return {name: one.missing() for name, one in freezers().items()}


def freeze(contender: str, setting: Setting, place: Place) -> Freeze:
    """Makes the disks, starts writers and contender, and takes one snapshot."""
    with (
        disks.made(
            setting.fs, setting.count, setting.size or SIZES[setting.fs], place.store, place.work
        ) as made,
        Writers(
            [disk.path / "writes" for disk in made.disks], place.shared, setting.pause
        ) as writers,
        freezers()[contender].running(made, place.shared) as guest,
    ):
        settle()
        with prepared(setting, made.disks), made.freezable(), quiet():
            moments = guest.snapshot(taking(setting.snapshot))
            writers.wait(5)
            return Freeze(moments, writers.during(moments.asked, moments.done))


def settle() -> None:
    """Waits until the agent is idle, and for another random time."""
    time.sleep(SETTLE + random.uniform(0, CHANCE))


def taking(seconds: float) -> Callable[[], None] | None:
    """A host's snapshot that takes this time."""
    return (lambda: time.sleep(seconds)) if seconds else None


def prepared(setting: Setting, made: Sequence[Disk]) -> AbstractContextManager[None]:
    """The setting's preparation as a context manager."""
    return contextmanager(setting.prepare)(made) if setting.prepare else nullcontext()


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection in the process that plays the host."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
