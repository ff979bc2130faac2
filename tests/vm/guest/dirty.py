"""Dirties pages faster than a slow disk takes them, until the end of its input.

`dirty.py DIRECTORY...`: in each, a process of its own writes over a file of 16 MiB again and again.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from vmtpy.demo.writers import told_to_stop

PIECE = bytes(256 << 10)
SIZE = 16 << 20


def overwrite(directory: Path) -> None:
    file = os.open(directory / "dirty", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    offset = 0
    while not told_to_stop():
        os.pwrite(file, PIECE, offset)
        offset = (offset + len(PIECE)) % SIZE
        time.sleep(0.02)


if __name__ == "__main__":
    for directory in sys.argv[1:]:
        if os.fork() == 0:
            overwrite(Path(directory))
            os._exit(0)
    while not told_to_stop():
        time.sleep(0.1)
