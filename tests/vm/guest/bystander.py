"""Waits in a write to a frozen filesystem while another process is killed: `bystander.py FILE PID`.

Prints how many seconds after that kill the write returned, or "not frozen". The file must be there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time


def main(path: str, process: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # what is there already can be opened
    ended: list[float] = []

    def write() -> None:
        os.write(file, b"x")
        ended.append(time.monotonic())

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(1.0)
    if ended:
        print("not frozen")
        return
    killed = time.monotonic()
    os.kill(process, signal.SIGKILL)
    writer.join()
    print(ended[0] - killed)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
