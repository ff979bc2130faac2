"""Dirties the pages of one file at a steady rate, until the end of its input: `bulk.py FILE MIB/S`.

The file is written over and over, a mebibyte at a time.
"""

from __future__ import annotations

import os
import sys
import time

from vmtpy.demo.writers import told_to_stop

MIB = 1 << 20
SIZE = 192  # MiB


def main(path: str, rate: float) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    block = os.urandom(MIB)
    number = 0
    due = time.monotonic()
    while not told_to_stop():
        os.pwrite(file, block, number % SIZE * MIB)
        number += 1
        # Who was held does not catch up.
        due = max(due + 1 / rate, time.monotonic() - 1 / rate)
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
