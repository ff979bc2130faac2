"""Writers on a filesystem of a test machine, and the check of what they have left there.

`writers.py DIRECTORY[:DIRECTORY...] [KIND ...]` writes until the end of its input:

synced     appends numbered, checksummed records; each counts when its fdatasync() has returned.
buffered   the same, but each counts when write() has returned: a crash may lose it, a freeze not.
churn      creates, writes, renames and deletes files.
deleted    keeps files open that have been deleted, and writes to one of them.

What counts is told to the machine outside, over the virtio-serial port "acks", as "KIND NUMBER", or
as "DIRECTORY/KIND NUMBER" where there are several directories.
`writers.py --check DIRECTORY` prints as JSON how many whole records, in order, are there.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.demo.writers import RECORD, Stopwatch, churn, overwrite, read_log, told_to_stop

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = "/dev/virtio-ports/acks"


def records(path: Path, told: Callable[[int], None], *, sync: bool) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    number = 0
    while not told_to_stop():
        os.write(file, RECORD.pack(number, zlib.crc32(number.to_bytes(8, "little"))))
        if sync:
            os.fdatasync(file)
        number += 1
        told(number)
        time.sleep(0.002)


def deleted(directory: Path) -> None:
    held = []
    for number in range(5):
        path = directory / f"deleted.{number}"
        held.append(path.open("wb"))
        held[-1].write(os.urandom(65536 * (number + 1)))
        held[-1].flush()
        path.unlink()
    overwrite(directory, Stopwatch(), delete=True)


def write(kind: str, directory: Path, port: int, name: str) -> None:
    """One writer, in a process of its own."""

    def told(number: int) -> None:
        os.write(port, f"{name} {number}\n".encode())

    directory /= kind
    directory.mkdir()
    if kind in ("synced", "buffered"):
        records(directory / "log", told, sync=kind == "synced")
    elif kind == "churn":
        churn(directory, Stopwatch())
    else:
        deleted(directory)


def main(directories: list[str], kinds: list[str]) -> None:
    os.nice(10)  # what is tested comes first
    port = os.open(PORT, os.O_WRONLY | os.O_CLOEXEC)
    children = []
    for directory, kind in itertools.product(directories, kinds):
        child = os.fork()
        if child == 0:
            name = f"{directory}/{kind}" if len(directories) > 1 else kind
            write(kind, Path(directory), port, name)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def check(directory: Path) -> None:
    found: dict[str, object] = {}
    for log in directory.glob("*/log"):
        try:
            found[log.parent.name] = read_log(log)
        except ValueError as error:
            found[log.parent.name] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        check(Path(sys.argv[2]))
    else:
        main(sys.argv[1].split(":"), sys.argv[2:])
