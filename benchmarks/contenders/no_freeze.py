"""A contender that freezes nothing, to show how long writes wait on this machine anyway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.disks import Disks
from benchmarks.emulated import Snapshot

NAME = "nobody"


def missing() -> str:
    return ""


def version() -> str:
    return ""


class Nobody:
    """Lets about the same time go by."""

    def snapshot(self, take: Callable[[], None] | None = None) -> Snapshot:
        asked = time.monotonic()
        time.sleep(0.5)
        if take:
            take()
        now = time.monotonic()
        # Nothing was to be waited for, so no time is taken off the longest wait.
        return Snapshot(asked, asked, now, now, now)


@contextmanager
def running(disks: Disks, shared: Path) -> Iterator[Nobody]:  # noqa: ARG001 (Contender)
    yield Nobody()
