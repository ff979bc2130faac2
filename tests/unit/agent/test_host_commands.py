"""Every command of the host's table as real hosts send them: without a NUL at the end, with one and
with several, over the backdoor and over vsock. A binary body keeps each of its bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.rig import KIND, Rig, State
from support.start_options import start_options
from support.vix import NAME, parse_answer, state_request

from vmtpy import _core
from vmtpy.host.hgfs import Op, create_session_body, parse, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INVALID_MESSAGE_HEADER = b"OK 10000 0 \0"  # VIX's own error, errno, no text
NULS = [b"", b"\0", b"\0\0\0"]
BINARY = {name for name, binary in _core.host_commands() if binary}


@pytest.fixture(params=["backdoor", "vsock"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    vsock = request.param == "vsock"
    rig = Rig(vsock=vsock)
    rig.until(lambda: rig.agent.status().connected)
    if vsock:
        rig.until(lambda: rig.agent.status().transport == "vsock")
    yield rig
    if rig.session is not None:
        rig.session.abort("the test is over")


def answered_by_python(rig: Rig, text: bytes, end: bytes) -> bytes:
    """Python gets the command without NULs, and its answer goes to the host."""
    rig.device.send_command(text + end)
    event = rig.take(KIND.COMMAND)
    assert f"{event.text} {event.arguments}".strip() == text.decode()
    rig.agent.answer(event.id, b"OK python")
    rig.until(lambda: bool(rig.replies()))
    return rig.replies()[-1]


def service(text: bytes) -> Callable[[Rig, bytes], None]:
    def ask(rig: Rig, end: bytes) -> None:
        assert answered_by_python(rig, text, end) == b"OK python"

    return ask


def simple(text: bytes, answer: bytes) -> Callable[[Rig, bytes], None]:
    def ask(rig: Rig, end: bytes) -> None:
        assert rig.command(text + end) == answer

    return ask


def register(rig: Rig, end: bytes) -> None:
    announced = rig.requests().count(b"log hello")
    assert rig.command(b"Capabilities_Register" + end) == b"OK "
    assert rig.requests().count(b"log hello") == announced + 1


def reset(rig: Rig, end: bytes) -> None:
    announced = rig.requests().count(b"log hello")
    assert rig.command(b"reset" + end) == b"OK ATR toolbox"
    rig.until(lambda: rig.requests().count(b"log hello") == announced + 1, seconds=0.01)


def option(rig: Rig, end: bytes) -> None:
    assert rig.command(b"Set_Option broadcastIP 1" + end) == b"OK "
    assert rig.take(KIND.COMMAND).arguments == "broadcastIP 1"


def start(rig: Rig, end: bytes) -> None:
    assert rig.command(b"vmbackup.start 1 /srv" + end) == b"OK "
    request = rig.take(KIND.START).request
    assert request.manifest
    assert request.volumes == "/srv"


def start_with_options(rig: Rig, end: bytes) -> None:
    """The last field of the body is an empty string: four NULs that belong to it."""
    assert rig.command(b"vmbackup.startWithOpts " + start_options(volumes=b"") + end) == b"OK "
    assert rig.take(KIND.START).request.volumes == ""


def snapshot_done(rig: Rig, end: bytes) -> None:
    rig.freeze()
    assert rig.command(b"vmbackup.snapshotDone" + end) == b"OK "
    assert rig.finish().outcome == _core.Outcome.RELEASED


def abort(rig: Rig, end: bytes) -> None:
    rig.freeze()
    assert rig.command(b"vmbackup.abort" + end) == b"OK "
    rig.until(lambda: rig.agent.backup_state == State.FINISHING)
    assert not rig.disk.frozen("/srv")


def hgfs(rig: Rig, end: bytes) -> None:
    """NULs behind a packet are no part of it; those within it count: its body has eight."""
    packet = request(Op.CREATE_SESSION_V4, create_session_body())
    assert packet.endswith(bytes(8))
    answer = rig.command(b"f " + packet + end)
    assert parse(answer.removeprefix(b"OK ")).status == 0


def vix(rig: Rig, end: bytes) -> None:
    """NULs behind a packet are no part of it; those within it count: it ends with many."""
    packet = state_request()
    assert packet.endswith(bytes(8))
    answer = rig.command(b"Vix_1_Relayed_Command " + NAME + packet + end)
    assert parse_answer(answer) == (0, 0, [])


CASES: dict[str, Callable[[Rig, bytes], None]] = {
    "Capabilities_Register": register,
    "OS_Halt": service(b"OS_Halt"),
    "OS_PowerOn": service(b"OS_PowerOn"),
    "OS_Reboot": service(b"OS_Reboot"),
    "OS_Resume": service(b"OS_Resume"),
    "OS_Suspend": service(b"OS_Suspend"),
    "Set_Option": option,
    "Time_Synchronize": service(b"Time_Synchronize 0"),
    "Vix_1_Relayed_Command": vix,
    "f": hgfs,
    "ping": simple(b"ping", b"OK "),
    "reset": reset,
    "vmbackup.abort": abort,
    "vmbackup.snapshotCompleted": simple(
        b"vmbackup.snapshotCompleted", b"ERROR Error: no quiesce complete in progress"
    ),
    "vmbackup.snapshotDone": snapshot_done,
    "vmbackup.start": start,
    "vmbackup.startWithOpts": start_with_options,
}


def test_every_command_of_the_table_has_a_case() -> None:
    assert list(CASES) == [name for name, _ in _core.host_commands()]


@pytest.mark.parametrize("end", NULS, ids=["no NUL", "one NUL", "three NULs"])
@pytest.mark.parametrize("name", CASES)
def test_it_is_understood_with_and_without_nuls_at_its_end(rig: Rig, name: str, end: bytes) -> None:
    CASES[name](rig, end)


@pytest.mark.parametrize("end", NULS, ids=["no NUL", "one NUL", "three NULs"])
def test_the_nuls_of_a_binary_body_are_counted(rig: Rig, end: bytes) -> None:
    """The body needs four of them at its end, and is too short with fewer."""
    whole = b"vmbackup.startWithOpts " + start_options(volumes=b"")
    assert whole.endswith(bytes(4))
    cut = b"ERROR vmbackup.startWithOpts: diskUuids is cut off"
    assert rig.command(whole[:-4] + end) == cut


@pytest.mark.parametrize("end", NULS, ids=["no NUL", "one NUL", "three NULs"])
@pytest.mark.parametrize("text", [b"Nonsense", b"Nonsense 1", b" ", b"ping\0x", b"ping\0 x"])
def test_an_unknown_command_stays_unknown(rig: Rig, text: bytes, end: bytes) -> None:
    assert rig.command(text + end) == b"ERROR Unknown Command"


@pytest.mark.parametrize("text", [b"", b" ", b' "vmtpy"', b' "vmtpy"\0', b' "', b" " + bytes(70)])
def test_a_broken_vix_command_gets_its_own_error(rig: Rig, text: bytes) -> None:
    assert rig.command(b"Vix_1_Relayed_Command" + text) == INVALID_MESSAGE_HEADER


def test_nothing_but_nuls_is_an_unknown_command(rig: Rig) -> None:
    assert rig.command(bytes(2)) == b"ERROR Unknown Command"


def test_a_register_is_answered_although_its_announcement_fails(rig: Rig) -> None:
    # What fails over vsock is asked once more over the backdoor.
    times = 2 if rig.agent.status().transport == "vsock" else 1
    rig.device.answer_with(b"log hello", b"malformed", times=times)
    rig.device.send_command(b"Capabilities_Register")
    rig.until(lambda: rig.agent.status().losses == 1)
    rig.until(lambda: bool(rig.replies()), seconds=0.1)
    rig.until(lambda: rig.agent.status().announced, seconds=0.1)
    assert rig.replies() == [b"OK "]
    assert rig.agent.status().losses == 1
    assert rig.command("ping") == b"OK "
