"""Uses up a machine's memory until a process has died of it: `hog.py PID`.

The kernel's OOM killer is told to prefer that process, and after it this one.
"""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

STEP = 1 << 20


def main(process: int) -> None:
    Path(f"/proc/{process}/oom_score_adj").write_text("1000")
    # Of all else that it may kill this is the largest: it will hold about 500 of 768 MiB.
    Path("/proc/self/oom_score_adj").write_text("200")
    taken = []
    while alive(process):
        memory = mmap.mmap(-1, STEP)
        for page in range(0, STEP, mmap.PAGESIZE):
            memory[page] = 1
        taken.append(memory)


def alive(process: int) -> bool:
    """Not dead, nor a zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


if __name__ == "__main__":
    main(int(sys.argv[1]))
