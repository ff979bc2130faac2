"""Receives what recorded programs say (csrc/wire/recorder.h) and writes it to a recording.

Two threads: one only receives, so that no packet is lost while the other writes to a file that may
be on a frozen disk.
"""

from __future__ import annotations

import os
import queue
import secrets
import selectors
import socket
import struct
import threading
from typing import TYPE_CHECKING

from vmtpy._host import MessageKind, Transport
from vmtpy.host.recording import RecordedMessage
from vmtpy.transport import RECORDER

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from vmtpy.host.redaction import Redaction
    from vmtpy.host.timeline import Timeline

_HEAD = struct.Struct("=IIqII")  # RecordedHead
_MOST = _HEAD.size + 2 * 65536 + 16
_KINDS = (MessageKind.RPCI, MessageKind.TCLO_COMMAND, MessageKind.TCLO_REPLY)
_TRANSPORTS = (Transport.BACKDOOR, Transport.VSOCK, Transport.PRIVILEGED_VSOCK)
_CREDENTIALS = struct.Struct("=3i")  # struct ucred
ROOT = 0  # who may tell every recorder


class Recorder:
    """Records programs that have `environment` while the `with` block lasts.

    Args:
        timeline: where each message is written.
        redaction: what is left of values. None: all.

    Attributes:
        environment: that makes vmtpy in a program tell this recorder.
        messages: how many have come so far.
        lost: how many did not fit into the socket of their program.
        failure: the error after which no program was heard any more, as too many open files; None.
    """

    def __init__(self, timeline: Timeline, redaction: Redaction | None = None) -> None:
        self._timeline, self._redaction = timeline, redaction
        name = f"vmtpy-record-{secrets.token_hex(16)}"
        self.environment = {RECORDER: name}
        self.messages = 0
        self.lost = 0
        self.failure: OSError | None = None
        self._lost: dict[socket.socket, int] = {}  # of each program that is connected
        self._queue: queue.SimpleQueue[RecordedMessage | None] = queue.SimpleQueue()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(f"\0{name}")
        self._listener.listen(64)
        self._stop, self._stopped = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for one in (self._listener, self._stopped):
            self._selector.register(one, selectors.EVENT_READ)
        self._threads = [threading.Thread(target=one) for one in (self._receive, self._write)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.close()
        for thread in self._threads:
            thread.join()
        for one in (self._listener, self._stopped, *self._lost):
            one.close()
        self._selector.close()

    def _receive(self) -> None:
        try:
            self._receive_all()
        except OSError as error:
            self.failure = error
        finally:
            self._listener.close()  # so that no program waits for its place in the queue
            self._queue.put(None)

    def _receive_all(self) -> None:
        over = False
        while not over:
            ready = [key.fileobj for key, _ in self._selector.select()]
            over = self._stopped in ready  # what the programs have sent by now is still taken
            if self._listener in ready or over:
                self._accept()
            for one in list(self._lost):
                self._drain(one)

    def _accept(self) -> None:
        self._listener.setblocking(False)
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            sent = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            if _CREDENTIALS.unpack(sent)[1] not in (ROOT, os.geteuid()):
                connection.close()
                continue
            connection.setblocking(False)
            self._lost[connection] = 0
            self._selector.register(connection, selectors.EVENT_READ)

    def _drain(self, connection: socket.socket) -> None:
        while True:
            try:
                packet = connection.recv(_MOST)
            except BlockingIOError:
                return
            except ConnectionError:
                packet = b""
            message, lost = _parse(packet)
            if message is None:
                self._selector.unregister(connection)
                del self._lost[connection]
                connection.close()
                return
            self.lost += lost - self._lost[connection]
            self._lost[connection] = lost
            self.messages += 1
            self._queue.put(message)

    def _write(self) -> None:
        while (message := self._queue.get()) is not None:
            self._timeline.entry(self._redacted(message))

    def _redacted(self, message: RecordedMessage) -> RecordedMessage:
        if self._redaction is None:
            return message
        return RecordedMessage(
            message.kind,
            message.transport,
            message.time,
            self._redaction.message(message.kind, message.request),
            self._redaction.answer(message.reply),
        )


def _parse(packet: bytes) -> tuple[RecordedMessage | None, int]:
    """The message in a packet, and how many its program has lost; None at the end of all packets.

    A packet of another form, as another version of vmtpy may send it, is an end, too.
    """
    if len(packet) < _HEAD.size:
        return None, 0
    kind, transport, time, size, lost = _HEAD.unpack_from(packet)
    if kind >= len(_KINDS) or transport >= len(_TRANSPORTS):
        return None, 0
    body = packet[_HEAD.size :]
    made = RecordedMessage(
        _KINDS[kind], _TRANSPORTS[transport], time / 1e9, body[:size], body[size:]
    )
    return made, lost
