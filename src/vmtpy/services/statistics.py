"""Reads and encodes statistics of memory, paging and disks for vSphere's performance charts, which
the agent reports every 20 s as `SetGuestInfo  8`.

It serves guest_info.py, and relies on /proc and the names in /sys/block. If a file cannot be read,
only its own numbers are missing. Numbers, order and encoding are those of open-vm-tools'
lib/include/guestStats.h and services/plugins/guestInfo/perfMonLinux.c.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

INTERVAL = 20.0  # seconds
MOST_READ = 1 << 20  # bytes of one file in /proc; with 1000 processors a file is smaller
PAGE = os.sysconf("SC_PAGESIZE")

# Units and types of guestStats.h.
NUMBER, BYTES, KIB, HUGE_PAGES = 2, 3, 3 | 0x0800, 3 | 0x8800
PAGES_PER_SECOND, PER_SECOND = 3 | 0x8000 | 0x40, 2 | 0x40
UINT64, DOUBLE = 9, 11
# Flags for the fields of a statistic: namespace, identifier, type, unit, value; each has its size.
HAS_NAMESPACE, HAS_ID, HAS_TYPE, HAS_UNIT, HAS_VALUE = 0x02, 0x04, 0x08, 0x20, 0x80
NAMESPACE = b"_tools/v1\0"
# The fixed part: version 5, flags of the numbers that are valid, KiB of memory (flag 1), 9 unused
# numbers, huge pages (flag 0x400), 2 unused numbers.
LEGACY = struct.Struct("<IIQ72xQ16x")

# Identifier, unit, type, in the order in which open-vm-tools sends them.
STATISTICS = (
    ("hugePage.size", 11, KIB, UINT64),
    ("mem.physUsable", 6, KIB, UINT64),
    ("mem.free", 4, KIB, UINT64),
    ("mem.activeFileCache", 3, KIB, UINT64),
    ("swap.spaceRemaining", 9, KIB, UINT64),
    ("hugePage.total", 12, HUGE_PAGES, UINT64),
    ("page.inRate", 7, PAGES_PER_SECOND, DOUBLE),
    ("page.outRate", 8, PAGES_PER_SECOND, DOUBLE),
    ("contextSwapRate", 2, PER_SECOND, DOUBLE),
    ("page.size", 10, BYTES, UINT64),
    ("mem.needed", 5, KIB, UINT64),
    ("mem.neededReservation", 13, KIB, UINT64),
    ("mem.available", 25, KIB, UINT64),
    ("mem.slabReclaim", 34, KIB, UINT64),
    ("mem.buffers", 26, KIB, UINT64),
    ("mem.cached", 27, KIB, UINT64),
    ("mem.total", 60, KIB, UINT64),
    ("cpu.runQueue", 61, NUMBER, UINT64),
    ("disk.requestQueue", 62, NUMBER, UINT64),
    ("disk.requestQueueAvg", 63, NUMBER, DOUBLE),
)
MEMINFO = {
    b"Hugepagesize": "hugePage.size",
    b"MemFree": "mem.free",
    b"Active(file)": "mem.activeFileCache",
    b"SwapFree": "swap.spaceRemaining",
    b"HugePages_Total": "hugePage.total",
    b"MemAvailable": "mem.available",
    b"SReclaimable": "mem.slabReclaim",
    b"Buffers": "mem.buffers",
    b"Cached": "mem.cached",
    b"MemTotal": "mem.total",
}
# Statistics that the kernel counts since its start and that are reported as rates. /proc/vmstat
# counts the first two in KiB; open-vm-tools reports these numbers as pages, and hosts expect that.
COUNTERS = {
    "vmstat": {b"pgpgin": "page.inRate", b"pgpgout": "page.outRate"},
    "stat": {b"ctxt": "contextSwapRate"},
}


class Sample(NamedTuple):
    """The kernel's numbers at one moment.

    Attributes:
        time: seconds of a monotonic clock.
        values: values by the name of the statistic.
        counters: counters since the kernel's start, by the name of the statistic.
        waited: the time of all requests of each disk, in milliseconds modulo 2**32.
    """

    time: float
    values: dict[str, int]
    counters: dict[str, int]
    waited: dict[bytes, int]


class Statistics:
    """Takes samples, and computes rates from the sample before.

    Args:
        proc: the mount point of procfs.
        sys: the mount point of sysfs.
    """

    def __init__(self, proc: str = "/proc", sys: str = "/sys") -> None:
        self._proc = proc
        self._sys = sys
        self._before: Sample | None = None
        # (MemTotal, KiB that are present). With many processors zoneinfo takes long to read, and it
        # changes only when memory is plugged.
        self._present = (-1, 0)

    def take(self, now: float) -> bytes:
        """Takes a sample. Returns the body of `SetGuestInfo  8`; the first one has no rates.

        Args:
            now: seconds of a monotonic clock.
        """
        sample = self._sample(now)
        values: dict[str, float] = {**sample.values}
        if self._before is not None and now > self._before.time:
            values |= rates(self._before, sample)
        self._before = sample
        return encode(values)

    def _sample(self, now: float) -> Sample:
        values = {"page.size": PAGE}
        for name, number in numbers(self._lines("meminfo"), b":"):
            if name in MEMINFO:
                values[MEMINFO[name]] = number
        if (present := self._physical(values)) is not None:
            values["mem.physUsable"] = present
        values |= needed(values)
        counters = {}
        for file, wanted in COUNTERS.items():
            for name, number in numbers(self._lines(file)):
                if name in wanted:
                    counters[wanted[name]] = number
                elif name == b"procs_running":
                    values["cpu.runQueue"] = max(0, number - 1)  # without this process
        waited, waiting = self._disks()
        if waited and self._before is not None and self._before.waited.keys() == waited.keys():
            values["disk.requestQueue"] = waiting
        return Sample(now, values, counters, waited)

    def _physical(self, values: dict[str, int]) -> int | None:
        """The physical memory in KiB, including what the kernel has reserved."""
        total = values.get("mem.total")
        if total is None:
            return None
        if self._present[0] != total:
            lines = numbers(self._lines("zoneinfo"))
            pages = sum(number for name, number in lines if name == b"present")
            self._present = (total, pages * PAGE // 1024 or total)
        return self._present[1]

    def _disks(self) -> tuple[dict[bytes, int], int]:
        """The milliseconds of all requests of each disk that was used; the number of waiting
        requests.
        """
        try:
            names = os.listdir(f"{self._sys}/block")  # noqa: PTH208
        except OSError:
            return {}, 0
        disks = {os.fsencode(name).replace(b"!", b"/") for name in names}
        waited, waiting = {}, 0
        for line in self._lines("diskstats"):
            words = line.split()
            if len(words) < 14 or words[2] not in disks or words[3] == words[7] == b"0":
                continue
            if not (words[11].isdigit() and words[13].isdigit()):
                continue
            waiting += int(words[11])
            waited[words[2]] = int(words[13])
        return waited, waiting

    def _lines(self, name: str) -> list[bytes]:
        """The lines in the first MOST_READ bytes of a file in /proc; empty if it cannot be read."""
        try:
            descriptor = os.open(f"{self._proc}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return []
        parts, size = [], 0
        try:
            while size < MOST_READ and (part := os.read(descriptor, 8192)):
                parts.append(part)
                size += len(part)
        except OSError:
            return []
        finally:
            os.close(descriptor)
        return b"".join(parts).splitlines()


def numbers(lines: list[bytes], end: bytes = b"") -> list[tuple[bytes, int]]:
    """The names, without their final `end`, and numbers at the beginnings of lines."""
    found = []
    for line in lines:
        words = line.split(None, 2)
        if len(words) > 1 and words[0].endswith(end) and words[1].isdigit():
            found.append((words[0].removesuffix(end), int(words[1])))
    return found


def needed(values: dict[str, int]) -> dict[str, int]:
    """The memory that the guest needs: all but the available memory, of which a twentieth of the
    physical memory is reserved for surges.
    """
    physical = values.get("mem.physUsable")
    if physical is None or "mem.available" not in values:
        return {}
    reserve = physical // 20
    spare = max(0, values["mem.available"] - reserve)
    return {"mem.needed": max(0, physical - spare), "mem.neededReservation": reserve}


def rates(before: Sample, sample: Sample) -> dict[str, float]:
    """The counts per second between two samples."""
    seconds = sample.time - before.time
    found = {
        name: (count - before.counters[name]) / seconds
        for name, count in sample.counters.items()
        if count >= before.counters.get(name, count + 1)
    }
    if sample.waited and sample.waited.keys() == before.waited.keys():
        waited = sum(
            (count - before.waited[name]) % (1 << 32) for name, count in sample.waited.items()
        )
        # The value is in hundredths, since hosts drop the fraction.
        found["disk.requestQueueAvg"] = waited / 10 / seconds
    return found


def encode(values: dict[str, float]) -> bytes:
    """The body of `SetGuestInfo  8`. A statistic without a value has only its head."""
    physical, pages = values.get("mem.physUsable"), values.get("hugePage.total")
    flags = (0x1 if physical is not None else 0) | (0x400 if pages is not None else 0)
    parts = [LEGACY.pack(5, flags, int(physical or 0), int(pages or 0))]
    for place, (name, identifier, unit, kind) in enumerate(STATISTICS):
        value = values.get(name)
        fields = HAS_ID | HAS_TYPE | HAS_UNIT
        fields |= HAS_NAMESPACE if place == 0 else 0  # the namespace also holds for those after it
        fields |= HAS_VALUE if value is not None else 0
        parts.append(struct.pack("<I", fields))
        if place == 0:
            parts.append(datum(NAMESPACE))
        parts += [datum(whole(identifier)), datum(whole(kind)), datum(whole(unit))]
        if value is not None:
            parts.append(datum(real(value) if kind == DOUBLE else whole(int(value))))
    return b"".join(parts)


def datum(data: bytes) -> bytes:
    return struct.pack("<H", len(data)) + data


def whole(number: int) -> bytes:
    """A whole number in the fewest of 0, 1, 2, 4 or 8 bytes."""
    for size in (0, 1, 2, 4, 8):
        if number < 1 << 8 * size:
            return number.to_bytes(size, "little")
    return b"\xff" * 8


def real(number: float) -> bytes:
    """A number in the fewest of 0, 4 or 8 bytes that keep its value."""
    if not number:
        return b""
    short = struct.pack("<f", number)
    return short if struct.unpack("<f", short)[0] == number else struct.pack("<d", number)
