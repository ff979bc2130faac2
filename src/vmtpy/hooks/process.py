"""A child process with a time limit and limited output, in its own process group.

It serves hooks. It uses posix_spawn() because the module subprocess would cost the agent 0.5 MiB,
and neither limits a program's output nor asks while it waits whether to go on.
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
# Milliseconds between two checks of whether the process has ended or must stop. The pause doubles
# from SOON to LOOK, and is SOON again when the process has closed its output, which it does as it
# ends.
SOON, LOOK = 1, 32
KEPT = 16384  # bytes of output that are kept


class Ending(enum.Enum):
    """How a process ended."""

    EXITED = enum.auto()  # it ended by itself
    STOPPED = enum.auto()  # it was killed with its process group
    STUCK = enum.auto()  # it sleeps in the kernel, where SIGKILL has no effect


class Process:
    """A running program, whose standard input is empty and whose output is kept.

    Processes that it leaves in the background may continue to write: rest() returns their output,
    and a closed pipe does not kill them.

    Args:
        path: an executable. /bin/sh runs a script without `#!`, as a shell would do.
        arguments: the arguments after the name of the program.

    Attributes:
        status: the wait status; 0 until the program has ended.

    Raises:
        OSError: the program cannot be executed.
        ValueError: an argument contains NUL.
    """

    def __init__(self, path: str, arguments: list[str]) -> None:
        self.status = 0
        self._output = b""
        self._dropped = 0
        self._eof = False
        self._reader, end = os.pipe2(os.O_CLOEXEC)
        # The program's descriptor is also open for reading, so that a write after this process has
        # closed its end raises no SIGPIPE.
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
        """Waits until the program ends. If `stop` returns True, its process group is killed."""
        try:
            ending = Ending.EXITED
            if not self._watch(stop):
                ending = Ending.STOPPED if self._kill() else Ending.STUCK
            if ending is not Ending.STUCK:
                # The process is reaped last: while it is a zombie, no other group has its number.
                self.status = os.waitpid(self._pid, 0)[1]
            return ending
        finally:
            if self._eof:
                self._close()

    def rest(self) -> list[str]:
        """The lines that background processes wrote after the program's end. Closes the pipe."""
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
        """The output as lines for a log, without control characters."""
        text = self._output.decode("utf-8", "backslashreplace").expandtabs()
        lines = ["".join(c if c.isprintable() else "?" for c in line) for line in text.splitlines()]
        return [*lines, f"({self._dropped} more bytes)"] if self._dropped else lines

    def _watch(self, stop: Callable[[], bool], *, quiet: bool = False) -> bool:
        """Waits for the end of the program, or for `stop`.

        Args:
            stop: returns whether to stop waiting.
            quiet: also wait until no process has the output open.

        Returns:
            Whether the program has ended.
        """
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
        """Whether the program has ended; it stays a zombie. (Linux before 5.3 has no pidfds.)"""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._pid, how) is not None

    def _kill(self) -> bool:
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(self._pid, number)
            deadline = time.monotonic() + GRACE
            ended = self._watch(lambda: time.monotonic() >= deadline, quiet=True)  # noqa: B023
        return ended

    def _read(self) -> bool:
        """Reads the output that is there, at most 1 MiB. Returns whether the file has ended."""
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
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores these
        )
    finally:
        os.close(null)
