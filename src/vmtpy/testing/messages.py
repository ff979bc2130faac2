"""Messages between a guest and an emulated host, as public values.

This module makes them of the native transcript for src/vmtpy/testing/host.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vmtpy._host import MessageKind
from vmtpy._host import Transport as NativeTransport

if TYPE_CHECKING:
    from vmtpy._host import TranscriptEntry

Kind = Literal["rpci", "command", "reply"]
Transport = Literal["backdoor", "vsock", "privileged vsock"]

_KINDS: dict[MessageKind, Kind] = {
    MessageKind.RPCI: "rpci",
    MessageKind.TCLO_COMMAND: "command",
    MessageKind.TCLO_REPLY: "reply",
}
_TRANSPORTS: dict[NativeTransport, Transport] = {
    NativeTransport.BACKDOOR: "backdoor",
    NativeTransport.VSOCK: "vsock",
    NativeTransport.PRIVILEGED_VSOCK: "privileged vsock",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message between a guest and the host.

    Attributes:
        kind: "rpci" is a request of the guest, "command" a command of the host, and "reply" the
            guest's reply to a command.
        text: the request, the command or the reply, as it was sent.
        answer: the host's answer to a request, with its status: `1 DATA` or `0 REASON`; it is empty
            for the other kinds.
        transport: "backdoor", "vsock", or "privileged vsock", which is from a port below 1024.
        time: the time of the message, in seconds of time.monotonic().
    """

    kind: Kind
    text: bytes
    answer: bytes
    transport: Transport
    time: float


def message_of(entry: TranscriptEntry) -> Message:
    """Makes the message of a transcript's entry."""
    return Message(
        _KINDS[entry.kind], entry.request, entry.reply, _TRANSPORTS[entry.transport], entry.time
    )
