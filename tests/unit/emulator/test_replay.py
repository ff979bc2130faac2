"""A recording played to a guest in this process: what is answered, sent, and found to differ."""

from __future__ import annotations

import io
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE

import vmtpy
from vmtpy._host import MessageKind, Transport
from vmtpy.host import replay as module
from vmtpy.host.recording import RecordedMessage, Recording, head, read
from vmtpy.host.redaction import Redaction
from vmtpy.host.replay import Difference, Replay
from vmtpy.host.timeline import Timeline
from vmtpy.testing import EmulatedHost, SimulatedGuest

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy._host import TranscriptEntry


def rpci(request: bytes, reply: bytes, line: int = 0) -> RecordedMessage:
    return RecordedMessage(MessageKind.RPCI, Transport.BACKDOOR, 0.0, request, reply, line)


def played(
    recording: Recording, guest: Callable[[vmtpy.Rpci], object], **guestinfo: bytes
) -> list[tuple[str, bytes]]:
    """The differences of a guest that only asks."""
    with EmulatedHost(guestinfo) as host:
        replay = Replay(recording, host.device, host._listener)
        with vmtpy.Rpci(host.backdoor) as conversation:
            guest(conversation)
        host.close()
        return [(difference.kind, difference.text) for difference in replay.differences()]


def test_equal_requests_get_their_answers_in_order_and_then_the_last() -> None:
    recording = Recording(
        (rpci(b"a", b"1 first"), rpci(b"b", b"1 other"), rpci(b"a", b"0 second")), None
    )

    def guest(host: vmtpy.Rpci) -> None:
        assert host.call(b"a") == b"first"
        assert host.call(b"b") == b"other"
        for _ in range(2):
            with pytest.raises(vmtpy.RpcError, match="second"):
                host.call(b"a")

    assert played(recording, guest) == [("additional", b"a")]


def test_a_request_whose_beginning_was_recorded_is_another() -> None:
    recording = Recording((rpci(b"info-get guestinfo.a", b"1 recorded", 7),), None)

    def guest(host: vmtpy.Rpci) -> None:
        assert host.call(b"info-get guestinfo.ab") == b"own"

    assert played(recording, guest, ab=b"own") == [
        ("missing", b"info-get guestinfo.a"),
        ("additional", b"info-get guestinfo.ab"),
    ]


def test_facts_of_the_machine_are_compared_by_their_names() -> None:
    recorded = (rpci(b"SetGuestInfo  1 their-name", b"0 not today"), rpci(b"log theirs", b"1 "))

    def guest(host: vmtpy.Rpci) -> None:
        for name in (b"7 123", b"7 124"):  # the uptime
            host.call(b"SetGuestInfo  " + name)
        with pytest.raises(vmtpy.RpcError, match="not today"):
            host.call(b"SetGuestInfo  1 our-name")
        host.call(b"log ours")

    assert played(Recording(recorded, None), guest) == []


def test_redacted_values_are_compared_by_hash_and_stood_in_for() -> None:
    redaction = Redaction(b"salt")
    texts = [b"info-get guestinfo.known", b"info-get guestinfo.lost", b"info-set guestinfo.a same"]
    replies = [b"1 value", b"1 12345", b"1 "]
    recording = Recording(
        tuple(
            rpci(redaction.message(MessageKind.RPCI, text), redaction.answer(reply))
            for text, reply in zip(texts, replies, strict=True)
        ),
        b"salt",
    )

    def guest(value: bytes) -> Callable[[vmtpy.Rpci], None]:
        def ask(host: vmtpy.Rpci) -> None:
            assert host.call(b"info-get guestinfo.known") == b"value"
            assert host.call(b"info-get guestinfo.lost") == b"xxxxx"
            host.call(b"info-set guestinfo.a " + value)

        return ask

    assert played(recording, guest(b"same"), known=b"value") == []
    kinds = [kind for kind, _ in played(recording, guest(b"other"), known=b"value")]
    assert kinds == ["missing", "additional"]


def record(entries: list[TranscriptEntry], start: float) -> Recording:
    """What `vmtpy record` would have made of them."""
    stream = io.StringIO()
    timeline = Timeline(stream, start, as_json=True)
    timeline.head(head(["test"]))
    for entry in entries:
        timeline.entry(entry)
    return read(stream.getvalue().splitlines())


def a_life(refuse: int = 0) -> Recording:
    """An agent's, with a backup, as it was recorded."""
    with EmulatedHost() as host:
        with SimulatedGuest(host) as guest:
            guest.disk.refuse_freeze("/srv", refuse)
            host.greet()
            host.backup()
            assert host.command("nonsense").startswith(b"ERROR ")
        return record(host._seen(), host.messages[0].time)


def replayed(recording: Recording, refuse: int = 0) -> tuple[list[Difference], SimulatedGuest]:
    with EmulatedHost() as host:
        replay = Replay(recording, host.device, host._listener)
        guest = SimulatedGuest(host)
        guest.disk.refuse_freeze("/srv", refuse)
        with guest:
            replay.play()
        host.close()
        return replay.differences(), guest


def test_an_agent_says_the_same_again() -> None:
    recording = a_life()
    differences, guest = replayed(recording)
    assert differences == []
    (run,) = guest.records
    assert run.outcome is vmtpy.Outcome.RELEASED, "the snapshot was done after the commit"


def test_what_an_agent_says_otherwise_is_told_with_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The recorded host goes on although the commit does not come."""
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    recording = a_life()
    differences, _ = replayed(recording, refuse=5)
    missing = [difference for difference in differences if difference.kind == "missing"]
    (commit,) = (difference for difference in missing if b"prov.snapshotCommit" in difference.text)
    assert commit.line is not None
    (entry,) = (message for message in recording.messages if message.line == commit.line)
    assert entry.request == commit.text
    additional = [difference.text for difference in differences if difference.kind == "additional"]
    assert any(text.endswith(b" FIFREEZE /srv: Input/output error") for text in additional)
    answers = [
        difference for difference in differences if difference.answers == b"vmbackup.snapshotDone"
    ]
    assert [difference.kind for difference in answers] == ["missing", "additional"]


def test_a_failed_backup_fails_alike() -> None:
    assert replayed(a_life(refuse=5), refuse=5)[0] == []


def test_a_command_that_was_redacted_is_not_sent_and_its_answer_not_missed() -> None:
    redaction = Redaction(b"salt")
    commands = [b"ping", b"evil secret", b"reset"]
    answers = [b"OK ", b"OK ", b"OK ATR toolbox"]
    messages = []
    for number, (command, answer) in enumerate(zip(commands, answers, strict=True)):
        kinds = (MessageKind.TCLO_COMMAND, MessageKind.TCLO_REPLY)
        for kind, text in zip(kinds, (command, answer), strict=True):
            redacted = redaction.message(kind, text)
            messages.append(
                RecordedMessage(kind, Transport.BACKDOOR, 0.0, redacted, b"", 2 + 2 * number)
            )
    with EmulatedHost() as host:
        replay = Replay(Recording(tuple(messages), b"salt"), host.device, host._listener)
        with SimulatedGuest(host):
            replay.play()
        host.close()
        assert [message.line for message in replay.unplayed] == [4]
        assert [difference.kind for difference in replay.differences() if difference.answers] == []


def test_pauses_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is not sent sooner after the message before it than in the recording."""
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=time.monotonic)
    monkeypatch.setattr(module, "time", clock)
    command = MessageKind.TCLO_COMMAND
    messages = tuple(
        RecordedMessage(command, Transport.BACKDOOR, time, b"ping", b"", 1)
        for time in (0.0, 1.5, 900.0)
    )
    with EmulatedHost() as host:
        replay = Replay(Recording(messages, None), host.device, host._listener)
        with SimulatedGuest(host):
            thread = threading.Thread(target=replay.play)
            thread.start()
            thread.join(PATIENCE)
    assert any(1.0 < pause <= 1.5 for pause in slept)
    assert max(slept) <= module.MOST_PAUSE
