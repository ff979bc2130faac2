"""The demo's writers: processes that write as applications do.

log        appends numbered records with checksums to a file, fsyncs each, and notes when it was
           acknowledged; read_log() reads such a file.
churn      creates, writes, renames and deletes files.
overwrite  overwrites one block every 200 microseconds.
deleted    does the same as overwrite to a file that was deleted and is still open.

Each writer measures the longest wait of its modifying calls, without fsyncs. As a program,
`writers.py KIND DIRECTORY` (standard library only), it ends at the end-of-file of its stdin and
then prints a JSON object. A writer that sleeps in a frozen filesystem ends only after the thaw.
"""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RECORD = struct.Struct("<QI52x")  # number from 0, CRC-32 of its 8 bytes
LOG = "records.log"


@dataclass(frozen=True, slots=True)
class Report:
    """The measurements of a writer.

    Attributes:
        longest: the longest wait of one call, in seconds.
        longest_at: the begin of that call, in seconds of CLOCK_MONOTONIC.
        acknowledged: the times at which records 0, 1, 2… were acknowledged (log only).
    """

    longest: float
    longest_at: float
    acknowledged: list[float]


class Writer:
    """A running writer. As a context manager it ends the writer."""

    def __init__(self, kind: str, directory: Path) -> None:
        """Starts a writer in a new directory under `directory`. Raises RuntimeError if it fails."""
        self.kind = kind
        self.directory = directory / kind
        self.directory.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-IS", __file__, kind, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C reaches only the demo, which then cleans up
            cwd="/",
        )
        try:
            assert self._process.stdout is not None
            if self._process.stdout.readline() != b"writing\n":
                raise RuntimeError(f"the writer {kind} did not start")
        except BaseException:  # also KeyboardInterrupt: no caller can end the process yet
            self.__exit__()
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def stop(self) -> Report:
        """Ends the writer, whose filesystem must be thawed. Returns its measurements."""
        output, _ = self._process.communicate(timeout=60)
        return Report(**json.loads(output))


def read_log(path: Path) -> int:
    """Counts the records of a log, which must be complete and in order.

    Raises:
        ValueError: a record is damaged, missing or cut off.
    """
    data = path.read_bytes()
    if len(data) % RECORD.size:
        raise ValueError(f"record {len(data) // RECORD.size} is cut off")
    for number, (written, checksum) in enumerate(RECORD.iter_unpack(data)):
        if written != number or checksum != zlib.crc32(number.to_bytes(8, "little")):
            raise ValueError(f"record {number} is damaged")
    return len(data) // RECORD.size


class Stopwatch:
    """Makes calls and keeps the duration of the longest one."""

    def __init__(self) -> None:
        self.longest = 0
        self.longest_at = 0

    def __call__(self, call: Callable[..., object], *arguments: object) -> object:
        begin = time.monotonic_ns()
        result = call(*arguments)
        took = time.monotonic_ns() - begin
        if took > self.longest:
            self.longest, self.longest_at = took, begin
        return result


def told_to_stop() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def log(directory: Path, timed: Stopwatch) -> list[float]:
    acknowledged: list[float] = []
    file = os.open(directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    while not told_to_stop():
        number = len(acknowledged)
        record = RECORD.pack(number, zlib.crc32(number.to_bytes(8, "little")))
        timed(os.write, file, record)
        os.fsync(file)
        acknowledged.append(time.monotonic())
        time.sleep(0.001)
    return acknowledged


def churn(directory: Path, timed: Stopwatch) -> list[float]:
    number = 0
    while not told_to_stop():
        new, kept = directory / "churn.new", directory / f"churn.{number % 64}"
        file = timed(os.open, new, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        assert isinstance(file, int)
        timed(os.write, file, os.urandom(512 + number * 397 % 16384))
        os.close(file)
        timed(os.rename, new, kept)
        if number % 3 == 0:
            timed(os.unlink, kept)
        number += 1
        time.sleep(0.002)
    return []


def overwrite(directory: Path, timed: Stopwatch, *, delete: bool = False) -> list[float]:
    file = os.open(directory / "block", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    block = os.urandom(4096)
    if delete:
        os.pwrite(file, block * 256, 0)
        (directory / "block").unlink()
    while not told_to_stop():
        timed(os.pwrite, file, block, 0)
        time.sleep(0.0002)
    return []


def deleted(directory: Path, timed: Stopwatch) -> list[float]:
    return overwrite(directory, timed, delete=True)


KINDS = {"log": log, "churn": churn, "overwrite": overwrite, "deleted": deleted}


def main(kind: str, directory: str) -> None:
    timed = Stopwatch()
    print("writing", flush=True)
    acknowledged = KINDS[kind](Path(directory), timed)
    report = {
        "longest": timed.longest / 1e9,
        "longest_at": timed.longest_at / 1e9,
        "acknowledged": acknowledged,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
