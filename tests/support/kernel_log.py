"""Reads the kernel's new log messages from /dev/kmsg, as root."""

from __future__ import annotations

import os


class KernelLog:
    """A position in the log, at first its end."""

    def __init__(self) -> None:
        self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._file, 0, os.SEEK_END)

    def close(self) -> None:
        os.close(self._file)

    def lines(self) -> list[str]:
        """The messages since the last call, or since the beginning."""
        found = []
        while True:
            try:
                record = os.read(self._file, 8192)
            except BlockingIOError:
                return found
            except BrokenPipeError:  # the kernel has overwritten the next one
                continue
            found.append(record.decode(errors="replace").partition(";")[2].splitlines()[0])
