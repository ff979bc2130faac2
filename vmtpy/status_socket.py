"""The Unix socket of `vmtpy status`: whoever connects is sent one JSON object. Only root can.

Served by a thread of its own, of the least kind (threading costs more memory than this needs).
Everything that it uses is loaded before it starts: nothing may be written while / is frozen; and
neither pathlib nor the Python half of socket, which cost 0.6 and 0.2 MiB.
"""

from __future__ import annotations

import _socket
import _thread
import errno
import json
import os
import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from vmtpy import _core
from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmtpy.log import Log

TIMEOUT = 5.0  # seconds, for one who asks and for one who is asked
STACK = 256 * 1024


class NotRunningError(VmtError, ConnectionError):
    """No agent answers on its socket."""

    hint = "is it running? `systemctl status vmtpy`, or `vmtpy run`"


def ask(path: str) -> dict[str, Any]:
    """What the agent says of itself.

    Raises:
        NotRunningError: nobody answers there.
    """
    import socket

    data = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            # A queue that is full is waited for, which a non-blocking connect() would not do.
            limit = struct.pack("@ll", int(TIMEOUT), 0)
            asked.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            asked.connect(path)
            asked.settimeout(TIMEOUT)
            while part := asked.recv(65536):
                data += part
        answer: dict[str, Any] = json.loads(data)
    except OSError as error:
        raise NotRunningError(f"no agent answers on {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise NotRunningError(f"the agent on {path} broke off its answer") from error
    return answer


@contextmanager
def served(path: str, report: Callable[[], dict[str, object]], log: Log) -> Iterator[None]:
    """Serves `report` on `path` as long as the block runs; "" for not at all.

    An agent that cannot be asked is an agent all the same: what goes wrong is only logged.
    """
    listening = _listen(path, log) if path else None
    if listening is None:
        yield
        return
    done = _thread.allocate_lock()
    done.acquire()
    before = _thread.stack_size(STACK)
    _thread.start_new_thread(_serve, (listening, report, done))
    _thread.stack_size(before)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108
        with suppress(OSError):
            listening.shutdown(_socket.SHUT_RDWR)  # wakes accept()
        done.acquire(timeout=TIMEOUT)
        listening.close()


def _listen(path: str, log: Log) -> _socket.socket | None:
    listening = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
        try:
            _bind(listening, path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or _is_served(path):
                raise
            os.unlink(path)  # noqa: PTH108  # of an agent that was killed
            _bind(listening, path)
        listening.listen(8)
    except OSError as error:
        log.warning(f"`vmtpy status` will not reach this agent: {path}: {error.strerror}")
        listening.close()
        return None
    return listening


def _bind(listening: _socket.socket, path: str) -> None:
    mask = os.umask(0o177)
    try:
        listening.bind(path)
    finally:
        os.umask(mask)


def _is_served(path: str) -> bool:
    asked = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    asked.settimeout(TIMEOUT)
    try:
        asked.connect(path)
    except ConnectionRefusedError:
        return False
    finally:
        asked.close()
    return True


def _serve(
    listening: _socket.socket, report: Callable[[], dict[str, object]], done: _thread.LockType
) -> None:
    _core.take_role(_core.Role.STATUS)
    try:
        while True:
            descriptor, _ = listening._accept()  # type: ignore[attr-defined]
            caller = _socket.socket(fileno=descriptor)
            with suppress(OSError):
                caller.settimeout(TIMEOUT)
                caller.sendall(json.dumps(report()).encode())
            caller.close()
    except OSError:  # shut down
        pass
    finally:
        done.release()
