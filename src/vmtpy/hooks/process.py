"""A child process with a bounded life and bounded output, in a process group of its own.

Without the subprocess module, which would cost the agent a megabyte for good.
"""

from __future__ import annotations

import enum
import errno
import os
import select
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GRACE = 2.0  # seconds between SIGTERM and SIGKILL
# Milliseconds between two looks at whether it has ended or is to stop: doubled from the one to the
# other, and short again when it has closed its output, as it does in ending.
SOON, LOOK = 1, 32
KEPT = 16384  # bytes of output


class Ending(enum.Enum):
    """How a process ended."""

    EXITED = enum.auto()  # by itself
    STOPPED = enum.auto()  # killed with its group
    STUCK = enum.auto()  # asleep in the kernel, where SIGKILL does not reach it


class Process:
    """A running program; stdin is empty, stdout and stderr are kept.

    What it leaves running in the background may go on writing: rest() tells that, and nothing of it
    dies of a closed pipe.

    Args:
        path: an executable. A script without `#!` is given to /bin/sh, as a shell would.
        arguments: handed over as they are.

    Attributes:
        status: its wait status, once it has ended.

    Raises:
        OSError: it cannot be executed.
        ValueError: an argument holds a NUL.
    """

    def __init__(self, path: str, arguments: list[str]) -> None:
        self.status = 0
        self._output = b""
        self._dropped = 0
        self._eof = False
        self._reader, end = os.pipe2(os.O_CLOEXEC)
        # Opened for reading as well, the program's own descriptor keeps the pipe from breaking.
        try:
            writer = os.open(f"/proc/self/fd/{end}", os.O_RDWR | os.O_CLOEXEC)
        finally:
            os.close(end)
        try:
            try:
                self._pid = _spawn([path, *arguments], writer)
            except OSError as error:
                if error.errno != errno.ENOEXEC:
                    raise
                self._pid = _spawn(["/bin/sh", path, *arguments], writer)
        except BaseException:
            os.close(self._reader)
            raise
        finally:
            os.close(writer)
        os.set_blocking(self._reader, False)

    def wait(self, stop: Callable[[], bool]) -> Ending:
        """Until it ends, or until `stop` says so: then its whole process group is killed."""
        try:
            ending = Ending.EXITED
            if not self._watch(stop):
                ending = Ending.STOPPED if self._kill() else Ending.STUCK
            if ending is not Ending.STUCK:
                # Reaped last: as long as it is a zombie its group's number is nobody else's.
                self.status = os.waitpid(self._pid, 0)[1]
            return ending
        finally:
            if self._eof:
                self._close()

    def rest(self) -> list[str]:
        """What its background processes wrote after its end; they are not listened to any more."""
        self._output, self._dropped = b"", 0
        if not self._eof:
            self._read()
        self._close()
        return self.lines()

    def _close(self) -> None:
        if self._reader >= 0:
            os.close(self._reader)
        self._reader = -1

    def lines(self) -> list[str]:
        """What it wrote, fit for a log."""
        text = self._output.decode("utf-8", "backslashreplace").expandtabs()
        lines = ["".join(c if c.isprintable() else "?" for c in one) for one in text.splitlines()]
        return [*lines, f"({self._dropped} more bytes)"] if self._dropped else lines

    def _watch(self, stop: Callable[[], bool], *, quiet: bool = False) -> bool:
        """True when it has ended (`quiet`: and nobody holds its output open), False at `stop`."""
        poll = select.poll()
        if not self._eof:
            poll.register(self._reader, select.POLLIN)
        pause = SOON
        while True:
            if poll.poll(pause) and self._read():
                poll.unregister(self._reader)
                pause = SOON
            if self._has_ended() and (self._eof or not quiet):
                if not self._eof:
                    self._read()
                return True
            if stop():
                return self._has_ended()
            pause = min(2 * pause, LOOK)

    def _has_ended(self) -> bool:
        """It is a zombie, and stays one. (Descriptors for its end, pidfds, came with Linux 5.3.)"""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._pid, how) is not None

    def _kill(self) -> bool:
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(self._pid, number)
            deadline = time.monotonic() + GRACE
            ended = self._watch(lambda: time.monotonic() >= deadline, quiet=True)  # noqa: B023
        return ended

    def _read(self) -> bool:
        """Takes what is there, at most 1 MiB. True at the end of the file."""
        for _ in range(16):
            try:
                data = os.read(self._reader, 65536)
            except BlockingIOError:
                return False
            if not data:
                self._eof = True
                return True
            room = KEPT - len(self._output)
            self._output += data[:room]
            self._dropped += max(0, len(data) - room)
        return False


def _spawn(command: list[str], output: int) -> int:
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ],
            setpgroup=0,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # which Python ignores
        )
    finally:
        os.close(null)
