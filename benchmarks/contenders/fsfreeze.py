"""util-linux's fsfreeze, called for one disk after the other, as scripts do."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.disks import Disks
from benchmarks.emulated import Snapshot

NAME = "fsfreeze"


def missing() -> str:
    return "" if shutil.which("fsfreeze") else "the program fsfreeze (package util-linux)"


def version() -> str:
    done = subprocess.run(["fsfreeze", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("fsfreeze from ")


@dataclass(frozen=True, slots=True)
class Fsfreeze:
    """The disks to freeze."""

    disks: Disks

    def snapshot(self, take: Callable[[], None] | None = None) -> Snapshot:
        asked = time.monotonic()
        for disk in self.disks.disks:
            disk.check()
            subprocess.run(["fsfreeze", "--freeze", disk.path], check=True)
        commit = time.monotonic()
        if take:
            take()
        taken = time.monotonic()
        for disk in reversed(self.disks.disks):
            subprocess.run(["fsfreeze", "--unfreeze", disk.path], check=True)
        return Snapshot(asked, asked, commit, taken, time.monotonic())


@contextmanager
def running(disks: Disks, shared: Path) -> Iterator[Fsfreeze]:  # noqa: ARG001 (Contender)
    yield Fsfreeze(disks)
