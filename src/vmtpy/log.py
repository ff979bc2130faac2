"""The agent's log: writes lines with a level to standard error.

If standard error is the journal, each line begins with its level as sd-daemon(3)'s prefix <N>; else
it begins with the time and the program's name. This module does without the standard library's
logging, which costs the agent 0.6 MiB.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# The priorities of syslog(3).
ERROR, WARNING, INFO, DEBUG = 3, 4, 6, 7
LEVELS = {"error": ERROR, "warning": WARNING, "info": INFO, "debug": DEBUG}


class Log:
    """Writes lines of `level` and above. Calling the object logs at INFO.

    Its methods never raise: a line that cannot be written (to a full disk, or to a closed pipe) is
    lost.

    Args:
        write: called with the level and the text of each line.
        level: the lowest level that is written. Default: INFO.
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
        """Logs the failure of something that should have worked."""
        self(text, ERROR)

    def warning(self, text: str) -> None:
        """Logs a fact that an administrator should know, although the agent goes on."""
        self(text, WARNING)

    def debug(self, text: str) -> None:
        """Logs a fact for people who look for an error."""
        self(text, DEBUG)


def to_stderr(level: int = INFO) -> Log:
    """A log on standard error, in the form that its reader expects: systemd's journal, OpenRC's
    logger(1), which adds the time itself, or a terminal or file.
    """
    write = _journal if is_journal(os.environ.get("JOURNAL_STREAM", "")) else _timed
    return Log(_plain if "RC_SVCNAME" in os.environ else write, level)


def is_journal(stream: str, descriptor: int = 2) -> bool:
    """Whether a descriptor is the one that systemd names in $JOURNAL_STREAM ("device:inode").

    The variable alone does not tell: children inherit it and may have their output redirected.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def _journal(level: int, line: str) -> None:
    sys.stderr.write(f"<{level}>{line}\n")
    sys.stderr.flush()


def _timed(level: int, line: str) -> None:
    now = time.time()
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    _plain(level, line, f"{moment}.{int(now * 1000) % 1000:03d} ")


def _plain(level: int, line: str, moment: str = "") -> None:
    word = {ERROR: "error: ", WARNING: "warning: "}.get(level, "")
    # One write: programs that share the terminal or file would write between two.
    sys.stderr.write(f"{moment}vmtpy: {word}{line}\n")
    sys.stderr.flush()
