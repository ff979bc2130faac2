"""Serves the page of metrics over HTTP: one answer for each connection, to at most 8 clients.

It does without http.server, which would cost the agent 7 MiB. It imports and writes nothing while
it answers, because filesystems may be frozen.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.errors import ConfigError
from vmtpy.exposition import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy.log import Log

PATIENCE = 5.0  # seconds that a client may take for its request, and as many for the answer
MOST_CLIENTS = 8  # at a time; further connections are closed
MOST_REQUEST = 8192  # bytes
PAUSE = 0.5  # seconds before accept() is repeated when no descriptor is left
STACK = 256 * 1024


def serve(listen: str, page: Callable[[], bytes], log: Log) -> str:
    """Starts to serve `page` on the address `listen`, in threads that end with the program.

    Returns:
        The address, with the port that was chosen for port 0.

    Raises:
        ConfigError: the server cannot listen on the address.
    """
    try:
        listening = _listen(listen)
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"[metrics] listen = {listen!r}: {why}") from error
    before = threading.stack_size(STACK)
    threading.Thread(target=_Server(listening, page, log).run, daemon=True).start()
    threading.stack_size(before)
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(listen: str) -> socket.socket:
    name, _, port = listen.rpartition(":")
    if int(port) > 65535:
        raise OverflowError(f"port {port} is above 65535")
    addresses = socket.getaddrinfo(name.strip("[]"), int(port), 0, socket.SOCK_STREAM)
    family, kind, protocol, _, address = addresses[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(MOST_CLIENTS)
    except BaseException:
        listening.close()
        raise
    return listening


class _Server:
    """The server: a thread that accepts, and one for each client."""

    def __init__(self, listening: socket.socket, page: Callable[[], bytes], log: Log) -> None:
        self._listening = listening
        self._page = page
        self._log = log
        self._clients = 0
        self._lock = threading.Lock()
        self._trouble = ""

    def run(self) -> None:
        _core.take_role(_core.Role.STATUS)
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError as error:
                # Without descriptors or memory a client stays in the queue until there are some.
                self._complain(f"accept: {error.strerror}")
                time.sleep(PAUSE)
                continue
            with self._lock:
                accepted = self._clients < MOST_CLIENTS
                self._clients += accepted
            if not accepted:
                client.close()
                continue
            try:
                threading.Thread(target=self._attend, args=(client,), daemon=True).start()
            except RuntimeError as error:  # there is no memory for a thread
                self._complain(str(error))
                self._leave(client)

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._log.debug(f"[metrics] listen: {trouble}")

    def _attend(self, client: socket.socket) -> None:
        try:
            with suppress(OSError):
                client.settimeout(PATIENCE)
                self._answer(client, _request(client))
                client.shutdown(socket.SHUT_RDWR)
        finally:
            self._leave(client)

    def _leave(self, client: socket.socket) -> None:
        client.close()
        with self._lock:
            self._clients -= 1

    def _answer(self, client: socket.socket, request: bytes) -> None:
        method, target = (*request.split(b"\r\n", 1)[0].split(b" "), b"", b"")[:2]
        if method not in (b"GET", b"HEAD"):
            status, body = "405 Method Not Allowed", b"GET and HEAD only\n"
        elif target.split(b"?")[0] not in (b"/metrics", b"/"):
            status, body = "404 Not Found", b"see /metrics\n"
        else:
            status, body = "200 OK", self._page()
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        client.sendall(head.encode() + (b"" if method == b"HEAD" else body))


def _request(client: socket.socket) -> bytes:
    """Reads the request up to the empty line. Unread data would reset the connection.

    Raises:
        OSError: the request is incomplete, too long or too late.
    """
    deadline = time.monotonic() + PATIENCE
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(MOST_REQUEST)
        data += part
        if not part or len(data) > MOST_REQUEST or time.monotonic() > deadline:
            raise OSError("the client sent no complete HTTP request")
    return data
