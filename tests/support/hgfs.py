"""Calls to an HGFS server, and the answers that every server must give: vmtoolsd's, which serves a
file of a directory, and vmtpy's, which serves the manifest. It serves tests/peer and tests/unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vmtpy.host.hgfs import (
    BY_HANDLE,
    MAX_READ,
    NO_SESSION,
    Hgfs,
    HgfsStatusError,
    Op,
    Reply,
    Status,
    close_body,
    close_v3_body,
    create_session_body,
    getattr_body,
    name_on_wire,
    open_body,
    open_v3_body,
    read_body,
    request,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"<quiesceManifest>\n" + bytes(range(256)) + b"\n</quiesceManifest>\n"
LAST = (1 << 32) - 1
BAD_HANDLE = 0x7FFFFFFF


class Talk(NamedTuple):
    """A session with a server of one file.

    Attributes:
        guest: the client, in a session.
        path: of the file that is served, whose content is CONTENT.
    """

    guest: Hgfs
    path: str

    @property
    def name(self) -> bytes:
        return name_on_wire(self.path)

    def raw(self, op: int, body: bytes, session: int | None = None) -> Reply:
        session = self.guest.session if session is None else session
        return self.guest.send(request(op, body, session))

    def status(self, op: int, body: bytes, session: int | None = None) -> int:
        return self.raw(op, body, session).status

    def attributes(self, name: bytes) -> int:
        return self.status(Op.GETATTR_V2, getattr_body(name))

    def opened(self, name: bytes) -> int:
        """The status of Open, which must equal that of OpenV3."""
        old = self.status(Op.OPEN, open_body(name))
        assert self.status(Op.OPEN_V3, open_v3_body(name)) == old
        return old


def refusal(call: Callable[[], object]) -> int:
    """The status of a call; success if it is not refused."""
    try:
        call()
    except HgfsStatusError as error:
        return error.status
    return Status.SUCCESS


def reads_whole(talk: Talk) -> None:
    for opening, closing in (
        (talk.guest.open, talk.guest.close),
        (talk.guest.open_v3, talk.guest.close_v3),
        (talk.guest.open, talk.guest.close_v3),
    ):
        handle = opening(talk.path)
        assert talk.guest.read(handle, 0) == CONTENT
        closing(handle)
        assert refusal(lambda: talk.guest.read(handle, 0)) == Status.INVALID_HANDLE  # noqa: B023
        assert refusal(lambda: closing(handle)) == Status.INVALID_HANDLE  # noqa: B023


def reads_any_part(talk: Talk) -> None:
    handle = talk.guest.open(talk.path)
    size = len(CONTENT)
    for offset in (0, 1, 7, size - 1, size, size + 1, 1 << 32, (1 << 62) - 1):
        for wanted in (0, 1, 3, size - 1, size, size + 1, MAX_READ):
            assert talk.guest.read(handle, offset, wanted) == CONTENT[offset : offset + wanted]
    talk.guest.close(handle)


def tells_type_and_size(talk: Talk) -> None:
    found = talk.guest.attributes(talk.path)
    assert (found.mask & 3, found.type, found.size) == (3, 0, len(CONTENT))
    handle = talk.guest.open(talk.path)
    open_one = talk.guest.attributes_of(handle)
    assert (open_one.mask & 3, open_one.type, open_one.size) == (3, 0, len(CONTENT))
    talk.guest.close(handle)
    assert refusal(lambda: talk.guest.attributes_of(handle)) == Status.INVALID_HANDLE


def knows_no_other_name(talk: Talk) -> None:
    for name, status in (
        (talk.name + b"x", Status.NO_SUCH_FILE),
        (talk.name[:-1], Status.NO_SUCH_FILE),
        (b"else" + talk.name[4:], Status.NO_SUCH_FILE),
        (b"roo", Status.NO_SUCH_FILE),
        (talk.path.encode(), Status.NO_SUCH_FILE),
        (b"root\0nothing\0there", Status.NO_SUCH_FILE),
        (talk.name + b"\0below", Status.NOT_DIRECTORY),
        (talk.name + b"\0below\0that", Status.NOT_DIRECTORY),
        (b"root\0tmp\0..\0x", Status.INVALID_NAME),
        (b"root\0tmp\0.\0x", Status.INVALID_NAME),
        (talk.name + b"\0..", Status.INVALID_NAME),
        (talk.name + b"\0", Status.INVALID_NAME),
    ):
        assert talk.attributes(name) == status, name
        assert talk.opened(name) == status, name


def knows_no_other_handle(talk: Talk) -> None:
    for handle in (BAD_HANDLE, LAST):
        assert talk.status(Op.READ_V3, read_body(handle, 0, 9)) == Status.INVALID_HANDLE
        assert talk.status(Op.CLOSE, close_body(handle)) == Status.INVALID_HANDLE
        assert talk.status(Op.CLOSE_V3, close_v3_body(handle)) == Status.INVALID_HANDLE
        assert (
            talk.status(Op.GETATTR_V2, getattr_body(b"", BY_HANDLE, handle))
            == Status.INVALID_HANDLE
        )


def keeps_sessions_apart(talk: Talk) -> None:
    handle = talk.guest.open(talk.path)
    mine = talk.guest.session
    talk.guest.create_session()
    other = talk.guest.session
    assert other != mine
    assert refusal(lambda: talk.guest.read(handle, 0)) == Status.INVALID_HANDLE
    assert refusal(lambda: talk.guest.close(handle)) == Status.INVALID_HANDLE
    talk.guest.destroy_session()
    talk.guest.session = mine
    assert talk.guest.read(handle, 0) == CONTENT
    talk.guest.close(handle)


def knows_no_stale_session(talk: Talk) -> None:
    mine = talk.guest.session
    talk.guest.create_session()
    handle = talk.guest.open(talk.path)
    gone = talk.guest.session
    talk.guest.destroy_session()
    for session in (gone, 0, NO_SESSION, NO_SESSION - 1):
        for op, body in (
            (Op.GETATTR_V2, getattr_body(talk.name)),
            (Op.OPEN, open_body(talk.name)),
            (Op.OPEN_V3, open_v3_body(talk.name)),
            (Op.READ_V3, read_body(handle, 0, 9)),
            (Op.CLOSE, close_body(handle)),
            (Op.CLOSE_V3, close_v3_body(handle)),
            (Op.DESTROY_SESSION_V4, bytes(8)),
        ):
            reply = talk.raw(op, body, session)
            assert (reply.status, reply.session) == (Status.STALE_SESSION, NO_SESSION), (
                op,
                session,
            )
    talk.guest.session = mine


def refuses_short_bodies(talk: Talk) -> None:
    """Checks that bodies of every shorter length are refused, by the length in the packet."""
    for op, body in (
        (Op.GETATTR_V2, getattr_body(talk.name)),
        (Op.OPEN, open_body(talk.name)),
        (Op.OPEN_V3, open_v3_body(talk.name)),
        (Op.READ_V3, read_body(BAD_HANDLE, 0, 9)),
    ):
        found = {talk.status(op, body[:size]) for size in range(len(body))}
        assert found == {Status.PROTOCOL_ERROR}, op
    assert talk.status(Op.CREATE_SESSION_V4, create_session_body()[:11]) == Status.PROTOCOL_ERROR


def needs_no_word_behind(talk: Talk) -> None:
    for more in (1, 100):
        assert talk.status(Op.GETATTR_V2, getattr_body(talk.name) + bytes(more)) == Status.SUCCESS
    reply = talk.raw(Op.CREATE_SESSION_V4, create_session_body()[:16])
    assert (reply.status, reply.session) == (Status.SUCCESS, NO_SESSION)
    talk.status(Op.DESTROY_SESSION_V4, bytes(8), int.from_bytes(reply.body[:8], "little"))


def refuses_long_names(talk: Talk) -> None:
    """Checks that a name longer than the packet is refused."""
    for size in (len(talk.name) + 1, 0x7FFFFFFF, 0x80000000, LAST - 1, LAST):
        length = size.to_bytes(4, "little")
        at = getattr_body(talk.name)
        assert talk.status(Op.GETATTR_V2, at[:20] + length + at[24:]) == Status.PROTOCOL_ERROR
        at = open_body(talk.name)
        assert talk.status(Op.OPEN, at[:17] + length + at[21:]) == Status.PROTOCOL_ERROR
        at = open_v3_body(talk.name)
        assert talk.status(Op.OPEN_V3, at[:64] + length + at[68:]) == Status.PROTOCOL_ERROR


def refuses_unknown_ways_to_open(talk: Talk) -> None:
    for mode, flags in ((3, 0), (LAST, 0), (0, 5), (0, LAST)):
        assert talk.status(Op.OPEN, open_body(talk.name, mode, flags)) == Status.PROTOCOL_ERROR
        assert (
            talk.status(Op.OPEN_V3, open_v3_body(talk.name, mode, flags)) == Status.PROTOCOL_ERROR
        )


def refuses_unknown_operations(talk: Talk) -> None:
    for op in (66, 254, 256, 1000, 1 << 31, LAST):
        for body in (b"", bytes(8), bytes(200)):
            assert talk.status(op, body) == Status.PROTOCOL_ERROR, op


def takes_any_request_id(talk: Talk) -> None:
    for number in (0, 1, 0x80000000, LAST):
        body = getattr_body(talk.name)
        reply = talk.guest.send(request(Op.GETATTR_V2, body, talk.guest.session, number))
        assert (reply.status, reply.op) == (Status.SUCCESS, Op.GETATTR_V2)
        assert (reply.request_id, reply.session) == (number, talk.guest.session)


CASES = (
    reads_whole,
    reads_any_part,
    tells_type_and_size,
    knows_no_other_name,
    knows_no_other_handle,
    keeps_sessions_apart,
    knows_no_stale_session,
    refuses_short_bodies,
    needs_no_word_behind,
    refuses_long_names,
    refuses_unknown_ways_to_open,
    refuses_unknown_operations,
    takes_any_request_id,
)
