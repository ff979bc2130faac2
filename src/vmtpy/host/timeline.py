"""Writes each message between a guest and an emulated host as one line, for people or as JSON.

A line for people has the milliseconds since the start, the kind and the text. A JSON object has
"ms" (since the start), "monotonic" (seconds of time.monotonic()), "kind", and the fields of that
kind. A message also has the "way" by which it came: "backdoor", "vsock" or "privileged vsock".
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from typing import TYPE_CHECKING, TextIO

from vmtpy._host import MessageKind, Transport
from vmtpy.errors import VmtError
from vmtpy.host.script import parse_event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmtpy._host import TranscriptEntry
    from vmtpy.host.recording import RecordedMessage
    from vmtpy.host.replay import Difference
    from vmtpy.host.verdict import Verdict

_SHOWN = 160  # characters of a message in a line for people
_TRANSPORTS = {
    Transport.BACKDOOR: "backdoor",
    Transport.VSOCK: "vsock",
    Transport.PRIVILEGED_VSOCK: "privileged vsock",
}
_NAMES = {
    MessageKind.RPCI: "rpci",
    MessageKind.TCLO_COMMAND: "command",
    MessageKind.TCLO_REPLY: "reply",
}


class Timeline:
    """Writes to a stream, from any thread. After an error it writes nothing more.

    Args:
        output: the stream, which is flushed after each line.
        start: the time.monotonic() of millisecond 0.
        as_json: whether to write JSON objects, one a line.

    Attributes:
        failure: the error after which nothing more was written, such as a full disk; None also
            where the reader has closed the pipe.
    """

    def __init__(self, output: TextIO, start: float, as_json: bool = False) -> None:
        self._output = output
        self._start = start
        self._as_json = as_json
        self._lock = threading.Lock()
        self._broken = False
        self.failure: OSError | None = None

    def head(self, facts: dict[str, object]) -> None:
        """Writes the first line of a recording (vmtpy/host/recording.py), nothing for people."""
        if self._as_json:
            self._object(self._start, str(facts["kind"]), facts)

    def entry(self, entry: TranscriptEntry | RecordedMessage) -> None:
        """Writes a message of a transcript or a recording."""
        kind = _NAMES[entry.kind]
        event = parse_event(entry)
        if not self._as_json:
            text = shown(entry.request)
            if event:
                kind = "event"
                text = f"{event.name} {event.code} {event.text}".rstrip()
            elif entry.kind == MessageKind.RPCI:
                text += f" -> {shown(entry.reply)}"
            if entry.transport != Transport.BACKDOOR:
                text += f"  [{_TRANSPORTS[entry.transport]}]"
            self._line(entry.time, kind, text)
            return
        facts: dict[str, object] = {"way": _TRANSPORTS[entry.transport]}
        _put(facts, "request" if entry.kind == MessageKind.RPCI else "text", entry.request)
        if entry.kind == MessageKind.RPCI:
            _put(facts, "reply", entry.reply)
        if event:
            facts["event"] = {"name": event.name, "code": event.code, "text": event.text}
        self._object(entry.time, kind, facts)

    def phase(self, name: str, moment: float, **facts: object) -> None:
        """Writes a phase of a backup or of the emulation, with its facts."""
        if self._as_json:
            self._object(moment, "phase", {"phase": name, **facts})
        else:
            more = ", ".join(f"{key} {value}" for key, value in facts.items() if value != "")
            self._line(moment, "host", f"{name}: {more}" if more else name)

    def end(
        self, moment: float, traps: dict[str, int], cpuid: str, vsock: dict[str, int] | None = None
    ) -> None:
        """Writes the counts.

        Args:
            moment: the time.
            traps: the numbers of traps by kind.
            cpuid: how CPUID was answered.
            vsock: the numbers of connections, packets and pings; None without vsock.
        """
        if self._as_json:
            facts: dict[str, object] = {"traps": traps, "cpuid": cpuid}
            self._object(moment, "traps", facts if vsock is None else {**facts, "vsock": vsock})
            return
        if vsock is not None:
            text = ", ".join(f"{number} {name}" for name, number in vsock.items() if number)
            self._line(moment, "vsock", text or "nothing")
        self._line(moment, "traps", f"{sum(traps.values())} (cpuid: {cpuid})")
        for name, number in sorted(traps.items(), key=lambda item: (-item[1], item[0])):
            self._write(f"{'':>12}  {'':<8}{number:>8}  {name}")

    def verdict(self, moment: float, verdict: Verdict) -> None:
        """Writes what vSphere would show of the guest, as the last lines."""
        if self._as_json:
            self._object(moment, "verdict", verdict.as_dict())
            return
        for finding in verdict.findings:
            self._line(moment, "verdict", str(finding))
        for remark in verdict.remarks:
            self._line(moment, "verdict", f"remark: {remark}")

    def replayed(
        self, moment: float, differences: Sequence[Difference], unplayed: Sequence[RecordedMessage]
    ) -> None:
        """How what a guest said differs from a recording that was played to it; the last of all."""
        if self._as_json:
            for one in differences:
                facts: dict[str, object] = {"difference": one.kind, "line": one.line}
                _put(facts, "text", one.text)
                _put(facts, "answers", one.answers)
                self._object(moment if one.time is None else one.time, "replay", facts)
            facts = {"agrees": not differences, "not_sent": [one.line for one in unplayed]}
            self._object(moment, "replay", facts)
            return
        for message in unplayed:
            text = f"line {message.line}: redacted, and not sent: {shown(message.request)}"
            self._line(moment, "replay", text)
        for one in differences:
            place = "additional" if one.line is None else f"line {one.line}: missing"
            answers = f"the answer to {shown(one.answers)}: " if one.answers else ""
            when = moment if one.time is None else one.time
            self._line(when, "replay", f"{place}: {answers}{shown(one.text)}")
        count = f"{len(differences)} differences" if differences else "as in the recording"
        self._line(moment, "replay", f"the guest said: {count}")

    def _line(self, moment: float, kind: str, text: str) -> None:
        self._write(f"{(moment - self._start) * 1000:>9.1f} ms  {kind:<8}{text}".rstrip())

    def _object(self, moment: float, kind: str, facts: dict[str, object]) -> None:
        milliseconds = round((moment - self._start) * 1000, 3)
        head = {"ms": milliseconds, "monotonic": round(moment, 6), "kind": kind}
        self._write(json.dumps({**head, **facts}))

    def _write(self, line: str) -> None:
        with self._lock:
            if self._broken:
                return
            try:
                self._output.write(line + "\n")
                self._output.flush()
            except (BrokenPipeError, ValueError):
                self._broken = True
            except OSError as error:
                self._broken = True
                self.failure = error


@contextlib.contextmanager
def written(stream: TextIO, path: str) -> Iterator[TextIO]:
    """Closes the file of a timeline at the end.

    Raises:
        VmtError: the file has not all that was written to it.
    """
    try:
        with stream:
            yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None or isinstance(error, VmtError):
            raise
        raise VmtError(f"{path}: {error.strerror}: the file is not complete") from error


def shown(message: bytes) -> str:
    """A message for people: one line, with escapes for unprintable bytes, cut if it is long."""
    text = message.decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}... ({len(message)} bytes)"
    return text


def _put(facts: dict[str, object], name: str, message: bytes) -> None:
    """Adds a message as text; other bytes in base64, under a name that ends in `_base64`."""
    try:
        facts[name] = message.decode()
    except UnicodeDecodeError:
        facts[f"{name}_base64"] = base64.b64encode(message).decode()
