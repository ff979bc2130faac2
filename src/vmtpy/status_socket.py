"""The Unix socket of `vmtpy status`: sends one JSON object to each client. Only root can connect.

One thread serves it, also while filesystems are frozen. All modules are imported before the thread
starts, because an import may write __pycache__.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmtpy import _core
from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmtpy.log import Log

TIMEOUT = 5.0  # seconds, for the client and for the agent
PAUSE = 0.5  # seconds before accept() is repeated when no descriptor is left
STACK = 256 * 1024


class NotRunningError(VmtError, ConnectionError):
    """No agent answers on its socket."""

    hint = "check that the agent runs: `systemctl status vmtpy`"


class AskingRefusedError(NotRunningError):
    """An agent may run, but this user may not ask it."""

    hint = "run it with sudo"


def ask(path: str) -> dict[str, Any]:
    """The status of the agent on the socket `path`.

    Raises:
        NotRunningError: no agent answers on the socket.
    """
    data = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
            # SO_SNDTIMEO lets connect() wait while the queue is full; a non-blocking connect() on
            # a Unix socket would fail with EAGAIN.
            limit = struct.pack("@ll", int(TIMEOUT), 0)
            asked.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            asked.connect(path)
            asked.settimeout(TIMEOUT)
            while part := asked.recv(65536):
                data += part
        answer: dict[str, Any] = json.loads(data)
    except PermissionError as error:
        raise AskingRefusedError(f"only root may ask the agent on {path} for its status") from error
    except OSError as error:
        raise NotRunningError(f"no agent answers on {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise NotRunningError(f"the agent on {path} sent an incomplete answer") from error
    return answer


@contextmanager
def served(path: str, report: Callable[[], dict[str, object]], log: Log) -> Iterator[None]:
    """Serves `report` on the socket `path` while the block runs. A `path` of "" serves nothing.

    A failure is only logged, because an agent without this socket still takes part in backups.
    """
    listening = _listen(path, log) if path else None
    if listening is None:
        yield
        return
    server = threading.Thread(target=_serve, args=(listening, report, log), daemon=True)
    before = threading.stack_size(STACK)
    server.start()
    threading.stack_size(before)
    try:
        yield
    finally:
        with suppress(OSError):
            Path(path).unlink()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes accept()
        server.join(TIMEOUT)
        listening.close()


def _listen(path: str, log: Log) -> socket.socket | None:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Linux gives the file the socket's mode at bind(). A change of the umask would also affect
    # files that other threads make at the same time.
    os.fchmod(listening.fileno(), 0o600)
    try:
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            listening.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if _is_served(path):
                log.warning(
                    f"another agent already answers on {path}; end one of the two, because they "
                    "share the host's commands, and snapshots fail (`vmtpy doctor` names both)"
                )
                listening.close()
                return None
            Path(path).unlink()  # an agent that was killed has left it
            listening.bind(path)
        listening.listen(8)
    except OSError as error:
        log.warning(f"`vmtpy status` cannot reach this agent: {path}: {error.strerror}")
        listening.close()
        return None
    return listening


def _is_served(path: str) -> bool:
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    asked.settimeout(TIMEOUT)
    try:
        asked.connect(path)
    except ConnectionRefusedError:
        return False
    finally:
        asked.close()
    return True


def _serve(listening: socket.socket, report: Callable[[], dict[str, object]], log: Log) -> None:
    _core.take_role(_core.Role.STATUS)
    refused = False
    while True:
        try:
            caller, _ = listening.accept()
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EBADF):  # served() has shut it down
                return
            # Without descriptors or memory the client stays in the queue until there are some.
            if not refused and not report().get("frozen"):
                refused = True
                log.warning(f"`vmtpy status` gets no answer yet: accept: {error.strerror}")
            time.sleep(PAUSE)
            continue
        refused = False
        with caller, suppress(OSError):
            caller.settimeout(TIMEOUT)
            caller.sendall(json.dumps(report()).encode())
