"""The manifest of the last backup is served to the host over TCLO, and nothing else: our agent's
native side, in the process, over the backdoor and over vsock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.hgfs import CASES, CONTENT, Talk
from support.rig import KIND, Rig, State

from vmtpy import _host
from vmtpy.host.hgfs import (
    Hgfs,
    HgfsStatusError,
    Op,
    Status,
    close_body,
    close_v3_body,
    create_session_body,
    fetch,
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
    one = Rig(vsock=request.param)
    if request.param:
        one.until(lambda: one.agent.status().transport == "vsock")
    yield one
    if one.session is not None:
        one.session.abort("the test is over")


def exchange(rig: Rig) -> Callable[[bytes], bytes]:
    def ask(command: bytes) -> bytes:
        before = len(rig.replies())
        rig.device.send_command(command)
        rig.until(lambda: len(rig.replies()) > before)
        return rig.replies()[-1]

    return ask


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
    for at, value in ((0, 0), (4, 0), (8, 51), (12, 51), (12, 77), (8, 77)):
        changed = packet[:at] + value.to_bytes(1, "little") + packet[at + 1 :]
        assert ask(b"f " + changed) == NO_PACKET, (at, value)


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
    with pytest.raises(ValueError, match="at most 3072 bytes, this one has 3073"):
        rig.agent.finish(PATH, bytes(3073))
    with pytest.raises(ValueError, match="absolute: relative"):
        rig.agent.finish("relative", b"")


def test_no_answer_is_larger_than_a_page(rig: Rig) -> None:
    back_up(rig, bytes(3072))
    assert fetch(exchange(rig), PATH) == bytes(3072)
    sizes = [len(one.request) for one in rig.seen if one.kind == _host.MessageKind.TCLO_REPLY]
    assert 3072 < max(sizes) <= 4096
