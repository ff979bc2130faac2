"""The agent's log: lines with a level on stderr. Under systemd each line says its level to the
journal by sd-daemon(3)'s prefix <N>; elsewhere it begins with the time and the program's name.

The standard library's logging would cost the agent a megabyte.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# syslog(3)'s priorities
ERROR, WARNING, INFO, DEBUG = 3, 4, 6, 7
LEVELS = {"error": ERROR, "warning": WARNING, "info": INFO, "debug": DEBUG}


class Log:
    """Takes lines; what is less important than `level` is left out. Calling it logs at INFO.

    Never raises: where lines cannot be written (a full disk, a reader that has gone) they are lost.

    Args:
        write: called with level and text of each line that is kept.
        level: the least important one of LEVELS that is kept.
    """

    def __init__(self, write: Callable[[int, str], None], level: int = INFO) -> None:
        self._write = write
        self.level = level

    def __call__(self, text: str, level: int = INFO) -> None:
        if level <= self.level:
            with suppress(Exception):
                for line in text.splitlines():
                    self._write(level, line)

    def error(self, text: str) -> None:
        """Something did not work that should have."""
        self(text, ERROR)

    def warning(self, text: str) -> None:
        """Something that should be known, though it went on."""
        self(text, WARNING)

    def debug(self, text: str) -> None:
        """For those who look for an error."""
        self(text, DEBUG)


def to_stderr(level: int = INFO) -> Log:
    """A log on stderr, as the journal wants it if stderr is the journal.

    Under OpenRC it goes to logger(1), whose lines have a time already.
    """
    write = _journal if is_journal(os.environ.get("JOURNAL_STREAM", "")) else _timed
    return Log(_plain if "RC_SVCNAME" in os.environ else write, level)


def is_journal(stream: str, descriptor: int = 2) -> bool:
    """Whether a descriptor is the one that systemd means by $JOURNAL_STREAM ("device:inode").

    Children inherit the variable, and may have had their output redirected.
    """
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"


def _journal(level: int, line: str) -> None:
    print(f"<{level}>{line}", file=sys.stderr, flush=True)


def _timed(level: int, line: str) -> None:
    now = time.time()
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    print(f"{moment}.{int(now * 1000) % 1000:03d} ", end="", file=sys.stderr)
    _plain(level, line)


def _plain(level: int, line: str) -> None:
    word = {ERROR: "error: ", WARNING: "warning: "}.get(level, "")
    print(f"vmtpy: {word}{line}", file=sys.stderr, flush=True)
