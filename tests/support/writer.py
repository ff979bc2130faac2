"""A process that writes numbered records with checksums all the time, and can fsync each record.

A shared page has the number of acknowledged records and the time of the slowest write, so that a
test never waits for the process. `check_log()` reads such a file, the original or a copy. Writer
runs it as a program, which uses only the standard library.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECORD = struct.Struct("<QI52x")  # number from 1, CRC-32 of it; 64 bytes in all
# acknowledged, longest write in ns, start of the one under way (CLOCK_MONOTONIC ns, 0: none)
PAGE = struct.Struct("<QQQ")


class Writer:
    """A running writer to `path`; a context manager that ends it.

    Args:
        path: of the log, which is made.
        pause: seconds between two records; default 0.0005.
        sync: fsync each record before it counts as acknowledged; default True. Without, it counts
            when write() has returned: a crash may lose it, a freeze may not.
    """

    def __init__(self, path: Path, pause: float = 0.0005, *, sync: bool = True) -> None:
        self.path = path
        self._memory = os.memfd_create("writer")
        os.ftruncate(self._memory, mmap.PAGESIZE)
        self._page = mmap.mmap(self._memory, mmap.PAGESIZE)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-IS", __file__, str(path), str(self._memory), str(pause)),
                "sync" if sync else "",
            ],
            pass_fds=[self._memory],
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
        self.wait_for(1)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the writing process."""
        return self._process.pid

    @property
    def acknowledged(self) -> int:
        """The number of the last record whose fsync (or write, see `sync`) has returned."""
        return int(PAGE.unpack_from(self._page)[0])

    @property
    def longest(self) -> float:
        """The time of the slowest record so far in seconds, also of the current one."""
        _, longest, since = PAGE.unpack_from(self._page)
        now = time.monotonic_ns()
        return float(max(longest, now - since if since else 0)) / 1e9

    def forget_longest(self) -> None:
        """Resets `longest`; a write at that moment may not be counted."""
        self._page[8:16] = bytes(8)

    def wait_for(self, number: int, timeout: float = 60) -> None:
        """Waits until that record is acknowledged. Raises AssertionError if it is not in time."""
        deadline = time.monotonic() + timeout
        while self.acknowledged < number:
            assert self._process.poll() is None, f"the writer of {self.path} has ended"
            assert time.monotonic() < deadline, f"no record {number} in {self.path}"
            time.sleep(0.001)

    def wait_for_more(self, timeout: float = 60) -> None:
        """Waits until two more records are acknowledged, so that the process writes again."""
        self.wait_for(self.acknowledged + 2, timeout)

    def stop(self) -> None:
        """Ends the process; its filesystem must be thawed."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)
        os.close(self._memory)


def check_log(path: Path) -> int:
    """The number of the last record of a log.

    Raises:
        AssertionError: a record before the last one is missing or damaged. (The last may be cut
            off: it was not acknowledged.)
    """
    data = path.read_bytes()
    last = 0
    for offset in range(0, len(data) - RECORD.size + 1, RECORD.size):
        number, checksum = RECORD.unpack_from(data, offset)
        good = number == last + 1 and checksum == zlib.crc32(number.to_bytes(8, "little"))
        assert good or offset + RECORD.size >= len(data), f"{path}: record {last + 1} is damaged"
        last += good
    return last


def main(path: str, memory: int, pause: float, *, sync: bool) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    page = mmap.mmap(memory, mmap.PAGESIZE)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    number = 0
    parent = os.getppid()
    while os.getppid() == parent:  # a test that was killed leaves no writer behind
        number += 1
        record = RECORD.pack(number, zlib.crc32(number.to_bytes(8, "little")))
        begin = time.monotonic_ns()
        page[16:24] = begin.to_bytes(8, "little")
        os.write(file, record)
        if sync:
            os.fdatasync(file)
        took = time.monotonic_ns() - begin
        longest = int.from_bytes(page[8:16], "little")
        if took > longest:
            page[8:16] = took.to_bytes(8, "little")
        page[0:8] = number.to_bytes(8, "little")
        page[16:24] = bytes(8)
        if pause:
            time.sleep(pause)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sync=bool(sys.argv[4]))
