"""The file of a recording: any message comes back from it; what is none is named by its line."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmtpy._host import MessageKind, Transport
from vmtpy.errors import VmtError
from vmtpy.host.recording import RecordedMessage, head, load, read
from vmtpy.host.timeline import Timeline

if TYPE_CHECKING:
    from pathlib import Path

KINDS = st.sampled_from(list(MessageKind))
TRANSPORTS = st.sampled_from(list(Transport))


def written(messages: list[RecordedMessage], salt: bytes | None = None) -> list[str]:
    stream = io.StringIO()
    timeline = Timeline(stream, 100.0, as_json=True)
    timeline.head(head(["program", "argument"], salt))
    for message in messages:
        timeline.entry(message)
    timeline.phase("not a message", 101.0)
    return stream.getvalue().splitlines()


@given(st.lists(st.tuples(KINDS, TRANSPORTS, st.binary(max_size=40), st.binary(max_size=40))))
def test_any_message_comes_back(
    many: list[tuple[MessageKind, Transport, bytes, bytes]],
) -> None:
    messages = [
        RecordedMessage(kind, way, 100.0 + number, text, more if kind == MessageKind.RPCI else b"")
        for number, (kind, way, text, more) in enumerate(many)
    ]
    found = read(written(messages))
    assert found.salt is None
    assert [
        (message.kind, message.transport, message.request, message.reply)
        for message in found.messages
    ] == [(message.kind, message.transport, message.request, message.reply) for message in messages]
    assert [message.time for message in found.messages] == [float(n) for n in range(len(many))]
    assert [message.line for message in found.messages] == [n + 2 for n in range(len(many))]


def test_a_redacted_one_has_its_salt() -> None:
    assert read(written([], b"salt")).salt == b"salt"


def test_people_can_read_it() -> None:
    message = RecordedMessage(MessageKind.RPCI, Transport.VSOCK, 100.5, b"log h\xc3\xa9", b"1 \xff")
    first, line, _ = map(json.loads, written([message]))
    assert first["version"] == 1
    assert first["program"] == ["program", "argument"]
    assert (line["ms"], line["kind"], line["way"]) == (500.0, "rpci", "vsock")
    assert line["request"] == "log hé"
    assert line["reply_base64"] == "MSD/"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([], "empty"),
        (['{"kind": "phase"}'], 'does not have the kind "recording"'),
        (['{"kind": "recording", "version": 2}'], "version 1, not 2"),
        (["no JSON"], r"line 1 is not one of a recording: Expecting value"),
        (["[]"], "line 1 is not"),
        (
            ['{"kind": "recording", "version": 1}', '{"kind": "rpci"}'],
            "line 2 is not.*'way' is missing",
        ),
        (
            [
                '{"kind": "recording", "version": 1}',
                '{"kind": "reply", "way": "vsock", "ms": 1, "text_base64": "?"}',
            ],
            "line 2 is not",
        ),
        (
            [
                '{"kind": "recording", "version": 1}',
                '{"kind": "reply", "way": "vsock", "ms": 1, "text": 5}',
            ],
            "line 2 is not",
        ),
        (
            ['{"kind": "recording", "version": 1}', '{"kind": "reply", "way": "vs'],
            "line 2 is cut off",
        ),
        (
            ['{"kind": "recording", "version": 1}', '{"kind": "reply", "way": "vs\n'],
            "line 2 is not",
        ),
    ],
)
def test_what_is_no_recording_is_named(lines: list[str], error: str) -> None:
    with pytest.raises(VmtError, match=error):
        read(lines)


def test_a_file_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    file = tmp_path / "none"
    with pytest.raises(VmtError) as caught:
        load(file)
    assert str(caught.value) == f"{file}: No such file or directory"
