"""The output of `vmtpy demo`: plain lines, and on a terminal also colours and a line with the
current step.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STYLES = {"bold": "1", "dim": "2", "green": "32", "red": "31"}
CLEAR = "\r\x1b[2K"


class Terminal:
    """Writes to a stream, which need not be a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._colours = self._live and not os.environ.get("NO_COLOR")

    def print(self, text: str = "") -> None:
        """Prints a line, with escape sequences for characters that the encoding does not have."""
        encoding = self._stream.encoding or "ascii"
        line = text.encode(encoding, "backslashreplace").decode(encoding)
        self._stream.write(f"{line}\n")

    def styled(self, style: str, text: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self._colours else text

    def mark(self, good: bool) -> str:
        """A tick or a cross, or a word if the encoding has neither."""
        tick, cross = ("✓", "✗") if self._can_write("✓✗") else ("ok:", "WRONG:")
        return self.styled("green", tick) if good else self.styled("red", cross)

    def _can_write(self, text: str) -> bool:
        try:
            text.encode(self._stream.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """Yields a function that shows the current step on a terminal; the end clears the line."""

        def show(text: str) -> None:
            if self._live:
                dots = "…" if self._can_write("…") else "..."
                self._stream.write(f"{CLEAR}{self.styled('dim', f'{text} {dots}')}")
                self._stream.flush()

        try:
            yield show
        finally:
            if self._live:
                self._stream.write(CLEAR)
                self._stream.flush()
