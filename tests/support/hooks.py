"""Hooks for tests: a clock that only tests turn, and executables that note how they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """Counts the hooks' time limits; stands still unless it is turned."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def write_script(path: Path, body: str = "", *, mode: int = 0o755) -> Path:
    """An executable that appends "NAME PHASE ARGUMENTS" to `seen` beside its directory, then
    does what `body` says."""
    seen = path.parent.parent / "seen"
    path.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >> {seen}\n{body}\n')
    path.chmod(mode)
    return path


def seen(directory: Path) -> list[str]:
    """What the scripts of this directory have noted."""
    file = directory.parent / "seen"
    return file.read_text().splitlines() if file.exists() else []
