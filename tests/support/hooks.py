"""Hooks for tests: a clock that only tests turn, and executables that record their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """The clock of the hooks' time limits, which runs only when a test turns it."""

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
    """The calls that the scripts of this directory have noted."""
    file = directory.parent / "seen"
    return file.read_text().splitlines() if file.exists() else []
