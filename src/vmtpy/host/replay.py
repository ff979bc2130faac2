"""Plays a recorded host to a guest, and compares what the guest says with the recording.

Requests get the recorded answers, equal requests in their order. A command is sent when the guest
has said what it had said before it in the recording, and not sooner after that than it was then, up
to MOST_PAUSE. What a guest tells of its machine and of the moment is compared by its name alone.
Answers to commands and events of backups are compared in their order. So are the requests of a
program that takes no commands; of an agent's each need only be there, since its threads mix them
anew, and a reset a moment later has it announce itself once more.
"""

from __future__ import annotations

import difflib
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vmtpy._host import MessageKind
from vmtpy.host.redaction import Redaction, redacted_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmtpy._host import Device, TranscriptEntry
    from vmtpy.host.listener import Listener
    from vmtpy.host.recording import RecordedMessage, Recording

MOST_PAUSE = 2.0  # seconds
PATIENCE = 10.0  # seconds without a word of the guest, after which the host goes on
_GET = b"info-get guestinfo."
_EVENT = b"vmbackup.eventSet "
# They come as often as the clock says, and are not compared.
_PERIODIC = re.compile(rb"vmbackup\.eventSet req\.keepAlive|SetGuestInfo  [78] ")
# What follows is of the machine or of the moment.
_BY_NAME = re.compile(
    rb"SetGuestInfo  \d+ |SetGuestDiskInfo |log |info-set guestinfo\.vmtpy\.backup "
)
# Commands whose answers tell of the machine's files and state, by their names.
_OF_THE_MACHINE = (b"f ", b"Vix_1_Relayed_Command ")


@dataclass(frozen=True, slots=True)
class Difference:
    """What the guest did not say as in the recording.

    Attributes:
        kind: "missing": it is in the recording alone; "additional": in the guest's words alone.
        text: what was said.
        answers: the command that it answers; empty for what is no answer.
        line: of the recording; None for an additional one.
        time: when it was said, on time.monotonic(); None for a missing one.
    """

    kind: Literal["missing", "additional"]
    text: bytes
    answers: bytes
    line: int | None
    time: float | None


@dataclass(frozen=True, slots=True)
class _Said:
    """One message of a guest, with the key by which it is compared."""

    key: bytes
    text: bytes
    answers: bytes
    line: int
    time: float


class Replay:
    """One play of a recording.

    Args:
        recording: that was read.
        device: the emulated VMware. Where a value was redacted, one of its guestinfo that has the
            same hash stands for it, else one that is as long.
        listener: of the device, before the guest starts.

    Attributes:
        unplayed: commands that cannot be sent, since they were redacted.
    """

    def __init__(self, recording: Recording, device: Device, listener: Listener) -> None:
        self._messages = recording.messages
        self._redaction = None if recording.salt is None else Redaction(recording.salt)
        self._device = device
        self._follower = listener.follow()
        self._seen: list[TranscriptEntry] = []
        self._heard: Counter[bytes] = Counter()
        self._replies = 0
        self._last = time.monotonic()  # when the guest last said something that is compared
        self.unplayed: list[RecordedMessage] = []
        self._set_answers()

    @property
    def has_commands(self) -> bool:
        """It is the recording of an agent, which does not end by itself."""
        return any(message.kind == MessageKind.TCLO_COMMAND for message in self._messages)

    def play(self) -> None:
        """Sends the commands. Returns when the last is answered and the guest says no more."""
        needed: Counter[bytes] = Counter()
        replies = 0
        before: RecordedMessage | None = None
        for message in self._messages:
            if message.kind != MessageKind.TCLO_COMMAND:
                if message.kind == MessageKind.RPCI and not _PERIODIC.match(message.request):
                    needed[_key(message.request)] += 1
                    before = message
                continue
            self._hear(needed, replies, PATIENCE)
            if before is not None:
                pause = min(message.time - before.time, MOST_PAUSE)
                time.sleep(max(0.0, self._last + pause - time.monotonic()))
            before = message
            if redacted_size(message.request) is not None:
                self.unplayed.append(message)
                continue
            self._device.send_command(message.request)
            replies += 1
        self._hear(needed, replies, MOST_PAUSE)

    def differences(self) -> list[Difference]:
        """What the guest did not say as in the recording. To be called when the guest has ended."""
        while entry := self._follower.next():
            self._seen.append(entry)
        recorded = _streams(self._played(), None)
        said = _streams(self._seen, self._redaction)
        found = [
            *_in_order(recorded.replies, said.replies),
            *_in_order(recorded.events, said.events),
        ]
        compare = _in_any_order if self.has_commands else _in_order
        found += compare(recorded.others, said.others)
        return sorted(found, key=lambda one: (one.line is None, one.line or 0, one.time or 0.0))

    def _set_answers(self) -> None:
        """Has the device give the recorded answers: each once, the last to all later requests."""
        answers: dict[bytes, list[bytes]] = {}
        for message in self._messages:
            if message.kind == MessageKind.RPCI:
                answers.setdefault(_key(message.request), []).append(message.reply)
        for key, replies in answers.items():
            redacted = redacted_size(key) is not None
            prefix = key.partition(b"<redacted ")[0] if redacted else key
            whole = not redacted and not _BY_NAME.fullmatch(key)
            for number, reply in enumerate(replies, 1):
                times = 0 if number == len(replies) else 1
                self._device.answer_with(prefix, self._unredacted(key, reply), times, whole)

    def _unredacted(self, request: bytes, reply: bytes) -> bytes:
        size = redacted_size(reply)
        if size is None or self._redaction is None:
            return reply
        if request.startswith(_GET):
            value = self._device.guestinfo(request[len(_GET) :].split(b" ")[0])
            if value is not None and self._redaction.answer(b"1 " + value) == reply:
                return b"1 " + value
        return b"1 " + b"x" * size

    def _hear(self, needed: Counter[bytes], replies: int, patience: float) -> None:
        """Waits until the guest has said so much, or nothing new for a while."""
        deadline = time.monotonic() + patience
        while not self._has_said(needed, replies):
            entry = self._follower.next(deadline)
            if entry is None:  # what did not come now is not waited for again
                self._heard |= needed
                self._replies = max(self._replies, replies)
                return
            self._seen.append(entry)
            if entry.kind == MessageKind.TCLO_REPLY:
                self._replies += 1
            elif entry.kind == MessageKind.RPCI and not _PERIODIC.match(entry.request):
                self._heard[_key(entry.request, self._redaction)] += 1
            else:
                continue
            self._last = time.monotonic()
            deadline = self._last + patience

    def _has_said(self, needed: Counter[bytes], replies: int) -> bool:
        return self._replies >= replies and all(
            self._heard[key] >= number for key, number in needed.items()
        )

    def _played(self) -> Iterable[RecordedMessage]:
        """The recording without the answers to commands that were not sent."""
        unplayed = {message.line for message in self.unplayed}
        skip = False
        for message in self._messages:
            if message.kind == MessageKind.TCLO_COMMAND:
                skip = message.line in unplayed
            elif message.kind == MessageKind.TCLO_REPLY and skip:
                continue
            yield message


@dataclass(frozen=True, slots=True)
class _Streams:
    replies: list[_Said]
    events: list[_Said]
    others: list[_Said]


def _streams(
    messages: Iterable[RecordedMessage | TranscriptEntry], redaction: Redaction | None
) -> _Streams:
    """What a guest said, sorted by how it is compared."""
    made = _Streams([], [], [])
    command = b""
    for message in messages:
        text, line = message.request, getattr(message, "line", 0)
        if message.kind == MessageKind.TCLO_COMMAND:
            command = text
        elif message.kind == MessageKind.TCLO_REPLY:
            shown = text if redaction is None else redaction.message(message.kind, text)
            named = [name for name in _OF_THE_MACHINE if command.startswith(name)]
            key = named[0] if named else shown
            made.replies.append(_Said(key, shown, command, line, message.time))
        elif not _PERIODIC.match(text):
            stream = made.events if text.startswith(_EVENT) else made.others
            shown = text if redaction is None else redaction.message(message.kind, text)
            stream.append(_Said(_key(text, redaction), shown, b"", line, message.time))
    return made


def _key(request: bytes, redaction: Redaction | None = None) -> bytes:
    """By what a request is compared; `redaction` for one that is not redacted yet."""
    if name := _BY_NAME.match(request):
        return name[0]
    return request if redaction is None else redaction.message(MessageKind.RPCI, request)


def _in_order(recorded: list[_Said], said: list[_Said]) -> list[Difference]:
    matcher = difflib.SequenceMatcher(
        None, [one.key for one in recorded], [one.key for one in said], autojunk=False
    )
    found: list[Difference] = []
    for kind, start, end, start_said, end_said in matcher.get_opcodes():
        if kind != "equal":
            found += [_missing(one) for one in recorded[start:end]]
            found += [_additional(one) for one in said[start_said:end_said]]
    return found


def _in_any_order(recorded: list[_Said], said: list[_Said]) -> list[Difference]:
    ours, theirs = ({one.key: one for one in reversed(stream)} for stream in (said, recorded))
    return [
        *(_missing(one) for key, one in theirs.items() if key not in ours),
        *(_additional(one) for key, one in ours.items() if key not in theirs),
    ]


def _missing(one: _Said) -> Difference:
    return Difference("missing", one.text, one.answers, one.line, None)


def _additional(one: _Said) -> Difference:
    return Difference("additional", one.text, one.answers, None, one.time)
