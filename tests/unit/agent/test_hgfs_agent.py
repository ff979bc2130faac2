"""The manifest of the last backup is served to the host over TCLO, and nothing else: our agent's
native side, in the process, over the backdoor and over vsock.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.hgfs import CASES, CONTENT, LAST, Talk
from support.rig import KIND, Rig, State

from vmtpy import _core, _host
from vmtpy.host.hgfs import (
    BY_HANDLE,
    HEADER,
    Hgfs,
    HgfsStatusError,
    Op,
    Status,
    close_body,
    close_v3_body,
    create_session_body,
    fetch,
    getattr_body,
    name_on_wire,
    open_body,
    open_v3_body,
    request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATH = "/run/vmtpy/quiesce_manifest.xml"
NO_PACKET = b"ERROR Invalid HGFS packet"


@pytest.fixture(params=[False, True], ids=["backdoor", "vsock"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(vsock=request.param)
    if request.param:
        rig.until(lambda: rig.agent.status().transport == "vsock")
    yield rig
    if rig.session is not None:
        rig.session.abort("the test is over")


def exchange(rig: Rig) -> Callable[[bytes], bytes]:
    def ask(command: bytes) -> bytes:
        before = len(rig.replies())
        rig.device.send_command(command)
        rig.until(lambda: len(rig.replies()) > before)
        return rig.replies()[-1]

    return ask


def changed(packet: bytes, at: int, size: int, value: int) -> bytes:
    """The packet with another value in the field of that place and size."""
    return packet[:at] + value.to_bytes(size, "little") + packet[at + size :]


def extremes(bits: int, least: int = 0) -> list[int]:
    """Each bit alone, all, and none if `least` is 0."""
    return [least, *(1 << number for number in range(bits)), (1 << bits) - 1]


def back_up(rig: Rig, manifest: bytes) -> None:
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.take(KIND.ENDED)
    rig.agent.finish(PATH, manifest)
    rig.until(lambda: rig.agent.backup_state == State.IDLE)
    rig.turn()
    assert rig.events()[-2:] == [b"req.genericManifest 0 " + PATH.encode(), b"req.done 0 "]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_it_answers_as_vmtoolsd_does(rig: Rig, case: Callable[[Talk], None]) -> None:
    back_up(rig, CONTENT)
    guest = Hgfs(exchange(rig))
    guest.create_session()
    case(Talk(guest, PATH))
    guest.destroy_session()


def test_it_is_there_until_the_next_backup(rig: Rig) -> None:
    ask = exchange(rig)
    with pytest.raises(HgfsStatusError, match="no such file"):
        fetch(ask, PATH)
    back_up(rig, CONTENT)
    assert fetch(ask, PATH) == CONTENT
    guest = Hgfs(ask)
    guest.create_session()
    handle = guest.open(PATH)
    rig.turn(86400)
    assert fetch(ask, PATH) == CONTENT
    rig.freeze()
    for refused in (lambda: fetch(ask, PATH), lambda: guest.read(handle, 0)):
        with pytest.raises(HgfsStatusError):
            refused()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.take(KIND.ENDED)
    rig.agent.finish(PATH, b"second")
    rig.until(lambda: rig.agent.backup_state == State.IDLE)
    assert fetch(ask, PATH) == b"second"


def test_the_manifest_of_a_backup_is_not_announced_with_the_next(rig: Rig) -> None:
    """Whose end Python does not answer, so that it names none."""
    back_up(rig, CONTENT)
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.take(KIND.ENDED)
    rig.until(lambda: rig.agent.backup_state == State.IDLE, seconds=60)
    rig.turn()
    assert rig.events()[-1] == b"req.done 0 "
    assert rig.events().count(b"req.genericManifest 0 " + PATH.encode()) == 1


def test_a_manifest_that_comes_when_its_backup_is_over_is_neither_served_nor_announced(
    rig: Rig,
) -> None:
    """Its hooks took longer than Python is waited for at the end; the next backup fails."""
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.take(KIND.ENDED)
    rig.until(lambda: rig.agent.backup_state == State.IDLE, seconds=60)
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.agent.finish(PATH, CONTENT)
    rig.take(KIND.START)
    with pytest.raises(HgfsStatusError, match="no such file"):
        fetch(exchange(rig), PATH)
    rig.agent.refuse(_core.BackupCode.SCRIPT, "a hook has failed")
    rig.until(lambda: rig.agent.backup_state == State.FINISHING)
    rig.until(lambda: rig.agent.backup_state == State.IDLE, seconds=60)
    assert b"req.genericManifest 0 " + PATH.encode() not in rig.events()


def test_nothing_of_the_disk_is_served_nor_written(rig: Rig) -> None:
    back_up(rig, CONTENT)
    guest = Hgfs(exchange(rig))
    guest.create_session()
    talk = Talk(guest, PATH)
    for path in ("/etc/passwd", "/", "/run", "/run/vmtpy"):
        assert talk.opened(name_on_wire(path)) in (Status.NO_SUCH_FILE, Status.INVALID_NAME)
    for mode, flags in [(m, f) for m in range(3) for f in range(5) if m or f]:
        for op, body in ((Op.OPEN, open_body), (Op.OPEN_V3, open_v3_body)):
            assert talk.status(op, body(talk.name, mode, flags)) == Status.ACCESS_DENIED
    served = guest.create_session()
    for op in set(range(65)) - set(served):
        assert talk.status(op, bytes(200)) == Status.NOT_SUPPORTED, op
    assert set(served) == set(Op)


def test_short_packets_get_a_fixed_error(rig: Rig) -> None:
    ask = exchange(rig)
    packet = request(Op.CREATE_SESSION_V4, create_session_body())
    assert ask(b"f") == ask(b"f ") == b"ERROR 1 argument required"
    for size in range(1, len(packet)):
        assert ask(b"f " + packet[:size]) == NO_PACKET
    assert ask(b"f " + changed(packet, 0, 1, 0)) == NO_PACKET  # the version
    for value in (0, 1, 0xFE, 0x100, 0x1FF, LAST):
        assert ask(b"f " + changed(packet, 4, 4, value)) == NO_PACKET, value


def test_sizes_that_do_not_fit_each_other_get_a_fixed_error(rig: Rig) -> None:
    ask = exchange(rig)
    packet = request(Op.CREATE_SESSION_V4, create_session_body())
    whole = len(packet)
    for size in (0, 1, HEADER.size - 1, whole + 1, 0xFFFF, 1 << 31, LAST):
        assert ask(b"f " + changed(packet, 8, 4, size)) == NO_PACKET, size
    for header in (0, 1, HEADER.size - 1, whole + 1, 0xFFFF, 1 << 31, LAST):
        assert ask(b"f " + changed(packet, 12, 4, header)) == NO_PACKET, header
    for size, header in ((LAST, LAST), (0, 0), (HEADER.size, HEADER.size + 1), (whole, whole + 1)):
        both = changed(changed(packet, 8, 4, size), 12, 4, header)
        assert ask(b"f " + both) == NO_PACKET, (size, header)


def test_a_body_is_what_the_sizes_tell(rig: Rig) -> None:
    """A longer header is skipped, and what follows the packet is not looked at."""
    guest = Hgfs(exchange(rig))
    body = create_session_body()
    packet = request(Op.CREATE_SESSION_V4, body)
    later = HEADER.pack(
        1, 0xFF, len(packet) + 8, HEADER.size + 8, 7, Op.CREATE_SESSION_V4, *[0] * 4
    )
    assert guest.send(later + bytes(8) + body).status == Status.SUCCESS
    assert guest.send(packet + b"\xff" * 100).status == Status.SUCCESS
    for size in range(HEADER.size, HEADER.size + 12):
        assert guest.send(changed(packet, 8, 4, size)).status == Status.PROTOCOL_ERROR, size
    for header in range(len(packet) - 11, len(packet) + 1):
        assert guest.send(changed(packet, 12, 4, header)).status == Status.PROTOCOL_ERROR, header


@pytest.mark.parametrize(
    ("field", "at", "size"),
    [
        ("version", 0, 1),
        ("reserved", 1, 3),
        ("request id", 16, 4),
        ("status", 24, 4),
        ("flags", 28, 4),
        ("information", 32, 4),
        ("behind the session", 44, 8),
    ],
)
def test_what_a_header_holds_besides_changes_nothing(
    rig: Rig, field: str, at: int, size: int
) -> None:
    back_up(rig, CONTENT)
    guest = Hgfs(exchange(rig))
    guest.create_session()
    talk = Talk(guest, PATH)
    body = getattr_body(talk.name)
    plain = talk.raw(Op.GETATTR_V2, body)
    packet = request(Op.GETATTR_V2, body, guest.session)
    for value in extremes(8 * size, least=field == "version"):
        reply = guest.send(changed(packet, at, size, value))
        number = value if field == "request id" else plain.request_id
        assert reply == replace(plain, request_id=number), value


def test_of_the_hints_of_getattr_only_that_for_a_handle_counts(rig: Rig) -> None:
    back_up(rig, CONTENT)
    guest = Hgfs(exchange(rig))
    guest.create_session()
    talk = Talk(guest, PATH)
    handle = guest.open(PATH)
    for hints in extremes(64):
        named = talk.status(Op.GETATTR_V2, getattr_body(talk.name, hints, LAST))
        opened = talk.status(Op.GETATTR_V2, getattr_body(b"", hints, handle))
        if hints & BY_HANDLE:
            assert (named, opened) == (Status.INVALID_HANDLE, Status.SUCCESS), hex(hints)
        else:
            assert (named, opened) == (Status.SUCCESS, Status.INVALID_NAME), hex(hints)


def test_neither_mask_nor_lock_of_an_open_changes_anything(rig: Rig) -> None:
    back_up(rig, CONTENT)
    guest = Hgfs(exchange(rig))
    guest.create_session()
    talk = Talk(guest, PATH)
    bodies = [open_v3_body(talk.name, mask=mask) for mask in extremes(64)]
    bodies += [open_v3_body(talk.name, lock=lock) for lock in (*range(7), *extremes(32))]
    for body in bodies:
        opened = talk.raw(Op.OPEN_V3, body)
        handle, lock, _ = struct.unpack("<IIQ", opened.body)
        assert (opened.status, lock) == (Status.SUCCESS, 0)  # no lock was taken
        assert guest.read(handle, 0) == CONTENT
        guest.close_v3(handle)
    for mask in extremes(64):  # nor does the mask make an open of one that writes
        for mode, flags in ((1, 0), (0, 4)):
            body = open_v3_body(talk.name, mode, flags, mask=mask)
            assert talk.status(Op.OPEN_V3, body) == Status.ACCESS_DENIED


def test_short_closes_are_refused(rig: Rig) -> None:
    guest = Hgfs(exchange(rig))
    guest.create_session()
    talk = Talk(guest, PATH)
    for op, body in ((Op.CLOSE, close_body(1)), (Op.CLOSE_V3, close_v3_body(1))):
        assert {talk.status(op, body[:size]) for size in range(12)} == {Status.PROTOCOL_ERROR}


def test_a_host_that_forgets_its_sessions_and_handles_can_still_fetch(rig: Rig) -> None:
    back_up(rig, CONTENT)
    ask = exchange(rig)
    first = Hgfs(ask)
    first.create_session()
    handle = first.open(PATH)
    for _ in range(16):
        first.open(PATH)
    with pytest.raises(HgfsStatusError, match="invalid handle"):
        first.read(handle, 0)
    for _ in range(8):
        Hgfs(ask).create_session()
    with pytest.raises(HgfsStatusError, match="stale session"):
        first.open(PATH)
    assert fetch(ask, PATH) == CONTENT


def test_what_cannot_be_served_is_refused_at_once(rig: Rig) -> None:
    with pytest.raises(ValueError, match="at most 3072 bytes, but this one has 3073"):
        rig.agent.finish(PATH, bytes(3073))
    with pytest.raises(ValueError, match="absolute: relative"):
        rig.agent.finish("relative", b"")


def test_no_answer_is_larger_than_a_page(rig: Rig) -> None:
    back_up(rig, bytes(3072))
    assert fetch(exchange(rig), PATH) == bytes(3072)
    sizes = [len(entry.request) for entry in rig.seen if entry.kind == _host.MessageKind.TCLO_REPLY]
    assert 3072 < max(sizes) <= 4096
