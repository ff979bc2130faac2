"""A process that makes random calls on a directory: it makes, writes, truncates, links, renames and
deletes files, makes and removes directories, changes attributes, and fsyncs some of it.

It deletes no open file. Churn runs it as a program, which uses only the standard library.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# So that a small image does not fill up: 40 names in each of 17 directories, of 64 KiB at most.
FILES, DIRECTORIES = 40, 16
LARGEST = 64 << 10


class Churn:
    """A running process that works in the new directory `directory`; a context manager ends it."""

    def __init__(self, directory: Path, seed: int) -> None:
        directory.mkdir()
        command = [sys.executable, "-IS", __file__, str(directory), str(seed)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/")

    def __enter__(self) -> Churn:
        return self

    def __exit__(self, *exception: object) -> None:
        still = self._process.poll() is None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=60)
        assert still, "it had ended by itself"


class Worker:
    """The operations, each on names that may or may not exist."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.random = random.Random(seed)
        self.operations: list[Callable[[], None]] = [
            *[self.write] * 6,
            *[self.rename] * 3,
            *[self.unlink] * 3,
            *[self.truncate] * 2,
            *[self.link] * 2,
            *(self.symlink, self.make_directory, self.remove_directory),
            *(self.allocate, self.attributes, self.sync_directory),
        ]

    def run(self) -> None:
        parent = os.getppid()
        while os.getppid() == parent:  # a test that was killed leaves nobody behind
            with suppress(OSError):
                self.random.choice(self.operations)()
            time.sleep(0.0002)  # the checkers want the processors, too

    def place(self) -> Path:
        """One of the directories, which mostly exists."""
        number = self.random.randrange(2 * DIRECTORIES)
        chosen = self.directory / f"d{number}"
        return chosen if chosen.is_dir() else self.directory

    def name(self) -> Path:
        return self.place() / f"f{self.random.randrange(FILES)}"

    def write(self) -> None:
        file = os.open(self.name(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = self.random.choice((1, 100, 4096, 10_000, 60_000))
            data = self.random.randbytes(size)
            os.pwrite(file, data, self.random.randrange(LARGEST - size))
            if self.random.random() < 0.2:
                os.fsync(file)
        finally:
            os.close(file)

    def truncate(self) -> None:
        os.truncate(self.name(), self.random.randrange(LARGEST))

    def allocate(self) -> None:
        file = os.open(self.name(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, 1 + self.random.randrange(LARGEST))
        finally:
            os.close(file)

    def rename(self) -> None:
        self.name().rename(self.name())

    def unlink(self) -> None:
        self.name().unlink()

    def link(self) -> None:
        os.link(self.name(), self.name())

    def symlink(self) -> None:
        self.name().symlink_to(self.name())

    def make_directory(self) -> None:
        (self.directory / f"d{self.random.randrange(DIRECTORIES)}").mkdir()

    def remove_directory(self) -> None:
        chosen = self.place()
        if chosen != self.directory:
            for entry in chosen.iterdir():
                entry.unlink()
            chosen.rmdir()

    def attributes(self) -> None:
        path = self.name()
        path.chmod(self.random.choice((0o600, 0o644)))
        os.utime(path)
        os.setxattr(path, b"user.vmtpy", self.random.randbytes(self.random.randrange(1, 200)))

    def sync_directory(self) -> None:
        directory = os.open(self.place(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Worker(Path(sys.argv[1]), int(sys.argv[2])).run()
