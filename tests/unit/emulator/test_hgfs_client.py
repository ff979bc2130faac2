"""The host's HGFS client does not trust a guest: whatever it answers is taken or named."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from vmtpy import _core, _host
from vmtpy.host.hgfs import (
    HEADER,
    NO_SESSION,
    REQUEST_ID,
    Hgfs,
    HgfsError,
    HgfsStatusError,
    Op,
    commands_to,
    fetch,
    parse,
)
from vmtpy.host.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION = 0x1234


def reply(op: int, body: bytes = b"", status: int = 0, **changed: int) -> bytes:
    """A guest's packet."""
    fields = {
        "version": 1,
        "new": 0xFF,
        "size": HEADER.size + len(body),
        "header": HEADER.size,
        "id": REQUEST_ID,
        "op": op,
        "status": status,
        "flags": 2,
        "information": 0,
        "session": SESSION,
    }
    return HEADER.pack(*{**fields, **changed}.values()) + body


def answering(*answers: bytes) -> Hgfs:
    left = list(answers)
    return Hgfs(lambda _: b"OK " + left.pop(0))


@pytest.mark.parametrize(
    "changed",
    [{"version": 0}, {"new": 0}, {"header": 51}, {"size": 51}, {"size": 59}, {"flags": 1}],
    ids=str,
)
def test_a_header_that_is_none_is_refused(changed: dict[str, int]) -> None:
    assert parse(reply(Op.CLOSE, bytes(8))).body == bytes(8)
    with pytest.raises(HgfsError):
        parse(reply(Op.CLOSE, bytes(8), **changed))


@pytest.mark.parametrize("size", range(HEADER.size))
def test_a_packet_without_a_header_is_refused(size: int) -> None:
    with pytest.raises(HgfsError, match=f"a packet of {size} bytes has no header of 52"):
        parse(reply(Op.CLOSE)[:size])


def test_an_error_has_no_body() -> None:
    with pytest.raises(HgfsError, match="an error of close has a body of 8 bytes"):
        parse(reply(Op.CLOSE, bytes(8), status=2))


@pytest.mark.parametrize(
    ("call", "op", "good"),
    [
        (lambda guest: guest.attributes("/a"), Op.GETATTR_V2, bytes(117)),
        (lambda guest: guest.open("/a"), Op.OPEN, bytes(12)),
        (lambda guest: guest.open_v3("/a"), Op.OPEN_V3, bytes(16)),
        (lambda guest: guest.read(1, 0, 4), Op.READ_V3, struct.pack("<IQ", 4, 0) + b"abcd"),
        (lambda guest: guest.close(1), Op.CLOSE, bytes(8)),
        (lambda guest: guest.close_v3(1), Op.CLOSE_V3, bytes(8)),
        (lambda guest: guest.destroy_session(), Op.DESTROY_SESSION_V4, bytes(8)),
        (
            lambda guest: guest.create_session(),
            Op.CREATE_SESSION_V4,
            struct.pack("<QIIII4xII", SESSION, 1, 0xF800, 0, 1, 0, 1),
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Op) else "",
)
def test_a_reply_of_another_length_or_operation_is_refused(
    call: Callable[[Hgfs], object], op: Op, good: bytes
) -> None:
    call(answering(reply(op, good)))
    # A byte behind a structure that ends with an array of one may be there or not.
    spare = {Op.GETATTR_V2: (116,), Op.READ_V3: (17,)}.get(op, ())
    for size in range(len(good) + 3):
        if size != len(good) and size not in spare:
            with pytest.raises(HgfsError):
                call(answering(reply(op, (good + bytes(2))[:size])))
    with pytest.raises(HgfsError, match="was answered as"):
        call(answering(reply(op + 1, good)))
    with pytest.raises(HgfsError, match="was answered as"):
        call(answering(reply(op, good, id=1)))
    with pytest.raises(HgfsStatusError, match="status 13") as caught:
        call(answering(reply(op, status=13)))
    assert (caught.value.op, caught.value.status) == (op, 13)


def test_more_bytes_than_were_asked_for_are_refused() -> None:
    guest = answering(reply(Op.READ_V3, struct.pack("<IQ", 5, 0) + b"abcde"))
    with pytest.raises(HgfsError, match="claims 5 of the 4 bytes asked for"):
        guest.read(1, 0, 4)


def test_a_session_without_a_number_is_refused() -> None:
    body = struct.pack("<QIIII4x", NO_SESSION, 0, 0xF800, 0, 1)
    with pytest.raises(HgfsError, match="no number"):
        answering(reply(Op.CREATE_SESSION_V4, body)).create_session()


@pytest.mark.parametrize("answer", [b"", b"ERROR Unknown Command", b"OK", b"ok x"])
def test_a_guest_without_hgfs_is_told_as_such(answer: bytes) -> None:
    with pytest.raises(HgfsError, match="does not serve HGFS"):
        fetch(lambda _: answer, "/a")


def test_a_file_that_ends_early_is_refused_and_the_session_ended() -> None:
    attributes = bytes(8) + struct.pack("<QIQ", 3, 0, 10) + bytes(84 + 5)
    answers = [
        reply(Op.CREATE_SESSION_V4, struct.pack("<QIIII4x", SESSION, 0, 0xF800, 0, 1)),
        reply(Op.GETATTR_V2, attributes),
        reply(Op.OPEN, bytes(12)),
        reply(Op.READ_V3, struct.pack("<IQ", 4, 0) + b"abcd"),
        reply(Op.READ_V3, bytes(12)),
        reply(Op.DESTROY_SESSION_V4, bytes(8)),
    ]
    with pytest.raises(HgfsError, match="/a ends after 4 of 10 bytes"):
        fetch(lambda _: b"OK " + answers.pop(0), "/a")
    assert not answers


def test_a_silent_guest_is_named() -> None:
    device = _host.Device(_core.SteadyClock())
    with Listener(device) as listener:
        exchange = commands_to(device, listener, 0.05)
        with pytest.raises(HgfsError, match=r"no answer within 0\.05 s"):
            exchange(b"ping")
