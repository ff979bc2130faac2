"""The guard of the benchmark's disks: a process that outlives the run.

It thaws everything when it has been armed for too long. When its input ends, because the run has
ended or was killed, it thaws, unmounts, frees the loop devices and deletes the images. No other
process cleans up. disks.py starts it as a program, which uses only the standard library.

Input, a line each: `mount PATH DEVICE IMAGE` (tab separated), `arm SECONDS`, `disarm`.
Output: `ok` for each line.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

FITHAW = 0xC0045878


@dataclass
class Guarded:
    """A mounted disk and the directory through which it is thawed."""

    path: str
    device: str
    image: str
    directory: int

    def thaw(self) -> None:
        """Calls FITHAW until it reports that nothing is frozen, at most a few times."""
        with suppress(OSError):
            for _ in range(8):
                fcntl.ioctl(self.directory, FITHAW, 0)

    def take_away(self) -> None:
        """Unmounts, which waits for writers to end, frees the device, and deletes the image."""
        os.close(self.directory)
        deadline = time.monotonic() + 5
        while run("umount", self.path) != 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        run("umount", "-l", self.path)
        run("losetup", "-d", self.device)
        Path(self.image).unlink(missing_ok=True)
        with suppress(OSError):
            Path(self.path).rmdir()


@dataclass
class Guard:
    """All disks of a run."""

    disks: list[Guarded] = field(default_factory=list)
    deadline: float | None = None

    def obey(self, line: str) -> None:
        """Obeys one line of the input."""
        word, *facts = line.split("\t")
        if word == "mount":
            directory = os.open(facts[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.disks.append(Guarded(facts[0], facts[1], facts[2], directory))
        elif word == "arm":
            self.deadline = time.monotonic() + float(facts[0])
        else:
            self.deadline = None

    def timeout(self) -> float | None:
        """The seconds until the deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def thaw(self) -> None:
        """Thaws the disks, the last made first, since it may carry others."""
        self.deadline = None
        for disk in reversed(self.disks):
            disk.thaw()


def run(*command: str) -> int:
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode


def main() -> None:
    # A terminal's Ctrl-C is for the run; we end when it has.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    guard = Guard()
    buffer = b""
    while True:
        ready, _, _ = select.select([0], [], [], guard.timeout())
        if not ready:
            guard.thaw()
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            guard.obey(os.fsdecode(line))
            with suppress(BrokenPipeError):
                os.write(1, b"ok\n")
    guard.thaw()
    for disk in reversed(guard.disks):
        disk.take_away()


if __name__ == "__main__":
    main()
