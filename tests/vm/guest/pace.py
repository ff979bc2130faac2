"""A small writer and a bulk writer, and how long each went without finishing a write.

`pace.py DIRECTORY MIB`: 4 KiB each 2 ms over one file there, and blocks of 1 MiB, so many a second,
over another, until the end of its input. Prints as JSON, by writer, the gaps longer than 10 ms
between the ends of two writes, each as its two monotonic times. `pace.py --fill DIRECTORY` makes
the two files first: what is overwritten needs no new blocks, and few commits of the journal.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from vmtpy.demo.writers import told_to_stop

WORTH_TELLING = 0.01
SMALL, BULK = 4 << 10, 1 << 20  # bytes of a write
SIZES = {"small": 1 << 20, "bulk": 192 << 20}  # bytes of the files


def write(path: Path, size: int, rate: float) -> list[tuple[float, float]]:
    """Overwrites a file by blocks of `size`, `rate` a second unless that takes longer."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    block, gaps = bytes(size), []
    due = last = time.monotonic()
    number = 0
    while not told_to_stop():
        os.pwrite(file, block, number * size % SIZES[path.name])
        number += 1
        now = time.monotonic()
        if now - last > WORTH_TELLING:
            gaps.append((last, now))
        last = now
        due = max(due + 1 / rate, now - 1.0)
        time.sleep(max(0.0, due - now))
    return gaps


def fill(directory: Path) -> None:
    for name, size in SIZES.items():
        with (directory / name).open("wb") as file:
            for _ in range(size // BULK):
                file.write(bytes(BULK))
            file.flush()
            os.fsync(file.fileno())


def main(directory: Path, mebibytes: float) -> None:
    """The bulk writer is a child, which tells its gaps through a pipe."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        gaps = write(directory / "bulk", BULK, mebibytes)
        with os.fdopen(write_end, "w") as pipe:
            json.dump(gaps, pipe)
        os._exit(0)
    os.close(write_end)
    small = write(directory / "small", SMALL, 500)
    with os.fdopen(read_end) as pipe:
        print(json.dumps({"small": small, "bulk": json.load(pipe)}))
    os.waitpid(child, 0)


if __name__ == "__main__":
    if sys.argv[1] == "--fill":
        fill(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), float(sys.argv[2]))
