"""Recordings: what passed between a guest and its host, as a file that can be read and replayed.

JSON, one object a line, as `vmtpy emulate --json` writes it (vmtpy/host/timeline.py). The first has
the "kind" "recording", the "version" 1, the "time" when it began, the "program", and the "salt" of
a redacted one (vmtpy/host/redaction.py), else null. Of the others these are read:

    "kind"               "rpci": a request of the guest; "command" of the host; "reply" to it
    "ms"                 milliseconds since the beginning
    "way"                "backdoor", "vsock" or "privileged vsock"
    "request", "reply"   of a request; "text" of the others. What is no UTF-8 is in base64, under
                         the same name with "_base64" behind it.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmtpy import __version__
from vmtpy._host import MessageKind, Transport
from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

VERSION = 1
_KINDS = {
    "rpci": MessageKind.RPCI,
    "command": MessageKind.TCLO_COMMAND,
    "reply": MessageKind.TCLO_REPLY,
}
_TRANSPORTS = {
    "backdoor": Transport.BACKDOOR,
    "vsock": Transport.VSOCK,
    "privileged vsock": Transport.PRIVILEGED_VSOCK,
}


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One message, with the names that a transcript's entry has.

    Attributes:
        kind: whose it is.
        transport: by which it came.
        time: seconds; of time.monotonic(), or since the beginning of a recording that was read.
        request: the request, command or reply.
        reply: the host's to a request.
        line: its number in the file; 0 where it is from none.
    """

    kind: MessageKind
    transport: Transport
    time: float
    request: bytes
    reply: bytes
    line: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was read.

    Attributes:
        messages: in order.
        salt: of a redacted one; None: it has all values.
    """

    messages: tuple[RecordedMessage, ...]
    salt: bytes | None


def head(program: Sequence[str], salt: bytes | None = None) -> dict[str, object]:
    """What the first line says."""
    return {
        "kind": "recording",
        "version": VERSION,
        "vmtpy": __version__,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "program": list(program),
        "salt": None if salt is None else salt.hex(),
    }


def load(path: Path) -> Recording:
    """Reads a recording.

    Raises:
        VmtError: it cannot be read, or is none; the text names the line.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            return read(lines)
    except OSError as error:
        raise VmtError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise VmtError(f"{path}: {error}") from error
    except VmtError as error:
        raise VmtError(f"{path}: {error}") from error


def read(lines: Iterable[str]) -> Recording:
    """The same from lines."""
    messages: list[RecordedMessage] = []
    salt: bytes | None = None
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            facts = json.loads(line)
            if number == 1:
                salt = _read_head(facts)
            elif facts["kind"] in _KINDS:
                messages.append(_read_message(facts, number))
        except json.JSONDecodeError as error:
            if number > 1 and not line.endswith("\n"):
                raise VmtError(
                    f"line {number} is cut off, as by a full disk; without it the lines before it "
                    "can be played"
                ) from error
            raise VmtError(f"line {number} is not one of a recording: {error}") from error
        except KeyError as error:
            raise VmtError(
                f"line {number} is not one of a recording: {error} is missing or unknown"
            ) from error
        except (AttributeError, OverflowError, RecursionError, TypeError, ValueError) as error:
            raise VmtError(f"line {number} is not one of a recording: {error}") from error
    if number == 0:
        raise VmtError("the file is empty, and no recording")
    return Recording(tuple(messages), salt)


def _read_head(facts: dict[str, Any]) -> bytes | None:
    if facts["kind"] != "recording":
        raise VmtError('line 1 does not have the kind "recording"')
    if facts["version"] != VERSION:
        raise VmtError(f"this vmtpy reads recordings of version {VERSION}, not {facts['version']}")
    return None if facts.get("salt") is None else bytes.fromhex(facts["salt"])


def _read_message(facts: dict[str, Any], line: int) -> RecordedMessage:
    kind = _KINDS[facts["kind"]]
    of_guest = kind == MessageKind.RPCI
    return RecordedMessage(
        kind,
        _TRANSPORTS[facts["way"]],
        float(facts["ms"]) / 1000,
        _bytes(facts, "request" if of_guest else "text"),
        _bytes(facts, "reply") if of_guest else b"",
        line,
    )


def _bytes(facts: dict[str, Any], name: str) -> bytes:
    packed = facts.get(f"{name}_base64")
    if packed is not None:
        return base64.b64decode(packed, validate=True)
    text: str = facts[name]
    return text.encode()
