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
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from vmtpy import _core
from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmtpy.log import Log

TIMEOUT = 5.0  # seconds, for one who asks and for one who is asked
PAUSE = 0.5  # seconds until another try where the machine has no descriptors left
ONLY_ROOT = "only root may ask"
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
    except PermissionError as error:
        refused = NotRunningError(f"{ONLY_ROOT} the agent on {path}")
        refused.hint = "run it with sudo"
        raise refused from error
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
    _thread.start_new_thread(_serve, (listening, report, log, done))
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
    # Linux gives the file the mode that the socket has at bind(). The umask would be the process's,
    # and other threads make files, too.
    os.fchmod(listening.fileno(), 0o600)
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
        try:
            listening.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or _is_served(path):
                raise
            os.unlink(path)  # noqa: PTH108  # of an agent that was killed
            listening.bind(path)
        listening.listen(8)
    except OSError as error:
        log.warning(f"`vmtpy status` will not reach this agent: {path}: {error.strerror}")
        listening.close()
        return None
    return listening


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
    listening: _socket.socket,
    report: Callable[[], dict[str, object]],
    log: Log,
    done: _thread.LockType,
) -> None:
    _core.take_role(_core.Role.STATUS)
    refused = False
    try:
        while True:
            try:
                descriptor, _ = listening._accept()  # type: ignore[attr-defined]
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.EBADF):  # shut down
                    return
                # No descriptors or no memory: who asks stays in the queue until there are.
                if not refused and not report().get("frozen"):
                    refused = True
                    log.warning(f"`vmtpy status` has to wait: accept: {error.strerror}")
                time.sleep(PAUSE)
                continue
            refused = False
            caller = _socket.socket(fileno=descriptor)
            with suppress(OSError):
                caller.settimeout(TIMEOUT)
                caller.sendall(json.dumps(report()).encode())
            caller.close()
    finally:
        done.release()
