"""What a redacted recording keeps of messages, and that no secret is left in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.start_options import start_options

from vmtpy._host import MessageKind
from vmtpy.host.redaction import Redaction, redacted_size

REDACTION = Redaction(b"salt")
RPCI, COMMAND, REPLY = MessageKind.RPCI, MessageKind.TCLO_COMMAND, MessageKind.TCLO_REPLY
MARK = rb"<redacted 6 bytes [0-9a-f]{12}>"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (RPCI, b"info-get guestinfo.password"),
        (RPCI, b"tools.capability.statechange "),
        (RPCI, b"vmbackup.eventSet req.error 3 FIFREEZE /srv: Input/output error"),
        (COMMAND, b"reset"),
        (COMMAND, b"ping\0"),
        (COMMAND, b"Set_Option synctime.period 0"),
        (COMMAND, b"vmbackup.start 1 /srv"),
        (COMMAND, b"vmbackup.snapshotDone"),
        (COMMAND, b"vmbackup.startWithOpts " + start_options()),
        (REPLY, b"OK ATR toolbox"),
        (REPLY, b"OK "),
        (REPLY, b"ERROR Unknown Command"),
    ],
)
def test_commands_errors_and_events_are_kept(kind: MessageKind, text: bytes) -> None:
    assert REDACTION.message(kind, text) == text


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        (RPCI, b"info-set guestinfo.password "),
        (RPCI, b"SetGuestInfo  1 "),
        (RPCI, b"SetGuestDiskInfo "),
        (RPCI, b"log "),
        (RPCI, b"nobody.knows "),
        (COMMAND, b"Vix_1_Relayed_Command "),
        (COMMAND, b"vmbackup.startWithOpts "),
        (COMMAND, b"f "),
        (COMMAND, b"nobody_knows "),
        (REPLY, b"OK "),
        (REPLY, b"f "),
    ],
)
def test_of_the_rest_length_and_hash_are_left(kind: MessageKind, kept: bytes) -> None:
    redacted = REDACTION.message(kind, kept + b"SECRET")
    assert redacted.startswith(kept + b"<redacted 6 bytes ")
    assert redacted_size(redacted) == 6
    assert b"SECRET" not in redacted


def test_an_argument_for_scripts_is_a_secret() -> None:
    text = b"vmbackup.startWithOpts " + start_options(argument=b"password")
    assert b"password" not in REDACTION.message(COMMAND, text)


def test_answers_lose_their_data_and_keep_their_reasons() -> None:
    assert REDACTION.answer(b"0 No value found") == b"0 No value found"
    assert REDACTION.answer(b"1 ") == b"1 "
    assert redacted_size(REDACTION.answer(b"1 SECRET")) == 6


def test_a_length_that_no_message_has_is_no_mark() -> None:
    for size, found in ((65536, 65536), (10**14, None)):
        assert redacted_size(b"1 <redacted %d bytes 0123456789ab>" % size) == found


def test_the_same_value_has_the_same_hash_under_the_same_salt_alone() -> None:
    value = b"info-set guestinfo.a SECRET"
    assert REDACTION.message(RPCI, value) == Redaction(b"salt").message(RPCI, value)
    assert REDACTION.message(RPCI, value) != Redaction(b"tlas").message(RPCI, value)
    other = REDACTION.message(RPCI, b"info-set guestinfo.a SECRFT")
    assert REDACTION.message(RPCI, value) != other


@given(st.sampled_from([RPCI, COMMAND, REPLY]), st.text("ab ", max_size=9), st.binary(min_size=8))
def test_whatever_an_unknown_message_holds_is_gone(
    kind: MessageKind, word: str, secret: bytes
) -> None:
    text = f"x{word} ".encode() + secret
    redacted = REDACTION.message(kind, text)
    assert secret not in redacted
