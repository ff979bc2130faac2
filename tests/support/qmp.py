"""QEMU's monitor: runs commands one after the other, and keeps the events that arrive meanwhile.

It serves support/qemu.py. The protocol is QMP: JSON objects, one a line, over a Unix socket.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket


class LineReader:
    """Lines from a socket, each waited for no longer than a deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = b""

    def line(self, deadline: float) -> bytes | None:
        """The next line; None at the deadline. Raises ConnectionError at the end."""
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.connection.settimeout(left)
            try:
                data = self.connection.recv(65536)
            except TimeoutError:
                return None
            if not data:
                raise ConnectionError("QEMU has closed the connection")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


class Qmp:
    """A monitor, ready for commands."""

    def __init__(self, reader: LineReader, timeout: float = 120.0) -> None:
        self._reader = reader
        self._timeout = timeout
        self.events: list[dict[str, Any]] = []
        self._read(time.monotonic() + timeout)  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: object) -> object:
        """Runs a command and returns its result. Raises RuntimeError with QEMU's words."""
        request = {"execute": command, "arguments": arguments}
        self._reader.connection.sendall(json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + self._timeout
        while True:
            answer = self._read(deadline)
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
            self.events.append(answer)

    def _read(self, deadline: float) -> dict[str, Any]:
        line = self._reader.line(deadline)
        if line is None:
            raise TimeoutError("QEMU's monitor does not answer")
        return dict(json.loads(line))
