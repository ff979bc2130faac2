"""Writers that time each of their writes (native/writer.c), and the waits that a freeze causes."""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import native

if TYPE_CHECKING:
    from typing_extensions import Self

HEADER = struct.Struct("<QQ")
ENTRY = struct.Struct("<QQ")
STALL = 0.001  # seconds; a write that took longer than this has had to wait


class WriterError(Exception):
    """The writers do not write."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write: seconds of time.monotonic() at its beginning and end."""

    begin: float
    end: float

    @property
    def duration(self) -> float:
        """The duration in seconds."""
        return self.end - self.begin


class Noted:
    """A running program that takes notes of its writes; a context manager that ends it.

    Args:
        command: the program; `notes` and the capacity are among its arguments.
        notes: the file that they are in, on a tmpfs.
        count: of its writers.
        capacity: writes for which there is room.
    """

    def __init__(
        self, command: Sequence[str | Path], notes: Path, count: int, capacity: int
    ) -> None:
        self._count = count
        self._size = HEADER.size + capacity * ENTRY.size
        notes.touch()
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd="/")
        self._notes = notes
        self._map: mmap.mmap | None = None

    def __enter__(self) -> Self:
        self.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)
        self._notes.unlink()

    def wait(self, more: int = 10, timeout: float = 30.0) -> None:
        """Waits until each writer has done so many more writes."""
        deadline = time.monotonic() + timeout
        before: list[int] | None = None
        while True:
            counts = self._counts()
            if before is None and counts:
                before = counts
            if before and all(now - then >= more for now, then in zip(counts, before, strict=True)):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise WriterError("the writers do not write")
            time.sleep(0.001)

    def during(self, begin: float, end: float) -> list[list[Write]]:
        """The writes of each writer that were in progress between two moments."""
        return [list(self._writes(number, begin, end)) for number in range(self._count)]

    def _counts(self) -> list[int]:
        if self._map is None:
            if self._notes.stat().st_size < self._size * self._count:
                return []
            with self._notes.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return [
            HEADER.unpack_from(self._map, number * self._size)[0] for number in range(self._count)
        ]

    def _writes(self, number: int, begin: float, end: float) -> Iterable[Write]:
        assert self._map is not None
        start = number * self._size
        count = HEADER.unpack_from(self._map, start)[0]
        first, last = start + HEADER.size, start + HEADER.size + count * ENTRY.size
        for at, took in ENTRY.iter_unpack(self._map[first:last]):
            if at / 1e9 <= end and (at + took) / 1e9 >= begin:
                yield Write(at / 1e9, (at + took) / 1e9)


class Writers(Noted):
    """One running writer for each path.

    Args:
        paths: files to write, made.
        shared: directory on a tmpfs.
        pause: seconds between two writes of one writer; default 200 µs.
        longest: seconds for which there is room to take notes.
    """

    def __init__(
        self, paths: Sequence[Path], shared: Path, pause: float = 200e-6, longest: float = 40.0
    ) -> None:
        capacity, notes = int(longest / pause), shared / "writes"
        numbers = [str(capacity), str(int(pause * 1e6))]
        command: list[str | Path] = [native.compiled("writer"), notes, *numbers, *paths]
        super().__init__(command, notes, len(paths), capacity)


class Bulk(Noted):
    """One that writes blocks of 1 MiB at a steady rate, over and over the same file.

    Args:
        path: file to write.
        shared: directory on a tmpfs.
        rate: MiB each second.
        size: MiB of the file.
        longest: seconds for which there is room to take notes.
    """

    def __init__(
        self, path: Path, shared: Path, rate: int, size: int, longest: float = 400.0
    ) -> None:
        capacity, notes = int(longest * rate), shared / "bulk"
        numbers = [str(rate), str(size)]
        command: list[str | Path] = [native.compiled("load"), path, *numbers, notes, str(capacity)]
        super().__init__(command, notes, 1, capacity)


def gaps(writes: Sequence[Write]) -> list[Write]:
    """The times between the ends of consecutive writes of one writer, which include all waits."""
    return [Write(one.end, next_one.end) for one, next_one in pairwise(writes)]


def longest(writes: Iterable[Write]) -> Write:
    """The slowest write. Raises WriterError if there is no write."""
    slowest = max(writes, key=lambda write: write.duration, default=None)
    if slowest is None:
        raise WriterError("nobody wrote")
    return slowest


def frozen(writes: Iterable[Write], begin: float, end: float) -> Write | None:
    """The slowest write that was in progress between two moments, if it had to wait; else None."""
    under_way = (write for write in writes if write.begin <= end and write.end >= begin)
    slowest = max(under_way, key=lambda write: write.duration, default=None)
    return slowest if slowest is not None and slowest.duration > STALL else None
