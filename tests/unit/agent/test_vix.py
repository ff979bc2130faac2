"""A host that asks for the state of the tools (VIX) hears what this guest is, over the backdoor and
over vsock; every other request gets VIX's own error, and no guest operation is promised.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.rig import Rig
from support.vix import (
    HEADER,
    HOST_NAME,
    NAME,
    ORDER,
    OS_NAME,
    OS_SHORT_NAME,
    PRODUCT,
    STRING,
    VERSION,
    Property,
    parse_answer,
    state_request,
)

import vmtpy
from vmtpy import _core
from vmtpy.config import Config, GuestInfoConfig
from vmtpy.services import os_info
from vmtpy.services.announce import tools_state
from vmtpy.testing import EmulatedHost, SimulatedGuest

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = b"Vix_1_Relayed_Command "
MALFORMED = b"OK 10000 0 \0"
UNRECOGNIZED = b"OK 3025 0 \0"
STATE = _core.ToolsState(
    os_name="Debian GNU/Linux 12 (bookworm) süß".encode(),
    os_short_name=b"debian12-64",
    product=b"vmtpy",
    version=b"1.2.3",
    host_name=b"guest.example",
)
TOLD = [
    Property(OS_NAME, STRING, "Debian GNU/Linux 12 (bookworm) süß\0".encode()),
    Property(OS_SHORT_NAME, STRING, b"debian12-64\0"),
    Property(PRODUCT, STRING, b"vmtpy\0"),
    Property(VERSION, STRING, b"1.2.3\0"),
    Property(HOST_NAME, STRING, b"guest.example\0"),
]


@pytest.fixture(params=["alone", "backdoor", "vsock"])
def ask(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    """Asks the function alone, or an agent over the wire."""
    if request.param == "alone":
        return lambda body: _core.answer_vix(body, STATE)
    rig = Rig(vsock=request.param == "vsock", tools=STATE)
    if request.param == "vsock":
        rig.until(lambda: rig.agent.status().transport == "vsock")
    return lambda body: rig.command(COMMAND + body)


def test_the_state_is_told_without_a_promise_of_guest_operations(
    ask: Callable[[bytes], bytes],
) -> None:
    assert parse_answer(ask(NAME + state_request())) == (0, 0, TOLD)


@pytest.mark.parametrize("name", [b'""\0', b'"a b"\0', b'"' + b"x" * 5000 + b'"\0', b'"\xff\n"\0'])
def test_any_quoted_name_will_do(ask: Callable[[bytes], bytes], name: bytes) -> None:
    assert parse_answer(ask(name + state_request())) == (0, 0, TOLD)


def test_a_request_cut_off_anywhere_is_malformed(ask: Callable[[bytes], bytes]) -> None:
    whole = NAME + state_request()
    assert parse_answer(ask(whole))[0] == 0
    for size in range(len(whole)):
        assert ask(whole[:size]) == MALFORMED, size


@pytest.mark.parametrize("name", [b"", b"\0", b'"', b'"vmtpy"', b"vmtpy\0", b'"vmtpy\0', b'"a" \0'])
def test_what_is_no_quoted_name_is_malformed(ask: Callable[[bytes], bytes], name: bytes) -> None:
    assert ask(name + state_request()) == MALFORMED


@pytest.mark.parametrize(
    "packet",
    [
        state_request(magic=0),
        state_request(magic=0xD00D0002),
        state_request(version=4),
        state_request(version=0x105),
        state_request(total=0),
        state_request(total=HEADER - 1),
        state_request(total=HEADER + 1),
        state_request(total=2**32 - 1),
        state_request(header=0),
        state_request(header=HEADER - 1),
        state_request(header=HEADER + 1),
        state_request(body=1),
        state_request(credentials=1),
        # Sums that are 51 again in 32 bits.
        state_request(body=2**31, credentials=2**31),
        state_request(header=2**32 - 1, body=52),
        state_request() + b"x",
        state_request() + b"\0x",
        state_request(total=HEADER + 3, body=4) + b"abc",
    ],
)
def test_a_wrong_magic_version_or_length_is_malformed(
    ask: Callable[[bytes], bytes], packet: bytes
) -> None:
    assert ask(NAME + packet) == MALFORMED


@pytest.mark.parametrize(
    ("lengths", "more"),
    [
        ({"body": 3}, b"abc"),
        ({"credentials": 3}, b"abc"),
        ({"header": HEADER + 1, "body": 1, "credentials": 1}, b"abc"),
        ({}, b"abc"),  # nobody's: open-vm-tools takes it as well
        ({}, bytes(3)),
    ],
)
def test_a_body_and_credentials_are_not_looked_at(
    ask: Callable[[bytes], bytes], lengths: dict[str, int], more: bytes
) -> None:
    packet = state_request(total=HEADER + len(more), **lengths) + more
    assert parse_answer(ask(NAME + packet)) == (0, 0, TOLD)
    assert parse_answer(ask(NAME + packet + bytes(2))) == (0, 0, TOLD)


@pytest.mark.parametrize("op", [0, 61, 63, 84, 185, 188, 195, 2**32 - 1, 62 << 8])
def test_no_other_operation_is_served(ask: Callable[[bytes], bytes], op: int) -> None:
    assert ask(NAME + state_request(op=op)) == UNRECOGNIZED
    assert ask(NAME + state_request(op=op, magic=1)) == MALFORMED


def test_every_length_of_a_value_is_told_whole_up_to_the_longest() -> None:
    for size in range(1, 300):
        state = _core.ToolsState(host_name=b"h" * size)
        told = parse_answer(_core.answer_vix(NAME + state_request(), state))[2]
        assert told == [Property(HOST_NAME, STRING, b"h" * min(size, 255) + b"\0")]


def test_a_value_ends_at_its_first_nul_and_an_empty_one_is_left_out() -> None:
    state = _core.ToolsState(os_name=b"\0x", os_short_name=b"a\0b", version=b"", product=b"p\0")
    told = parse_answer(_core.answer_vix(NAME + state_request(), state))[2]
    assert told == [Property(OS_SHORT_NAME, STRING, b"a\0"), Property(PRODUCT, STRING, b"p\0")]


def test_a_host_hears_the_same_names_as_in_guest_info() -> None:
    system = os_info.read()
    told = parse_answer(_core.answer_vix(NAME + state_request(), tools_state()))[2]
    assert [field.id for field in told] == ORDER
    assert [field.value for field in told] == [
        system.full_name.encode() + b"\0",
        system.name.encode() + b"\0",
        b"vmtpy\0",
        vmtpy.__version__.encode() + b"\0",
        os.uname().nodename.encode() + b"\0",
    ]


def test_without_guest_info_the_guest_keeps_its_names() -> None:
    told = parse_answer(_core.answer_vix(NAME + state_request(), tools_state(guest_info=False)))[2]
    assert [field.id for field in told] == [PRODUCT, VERSION]


def test_a_new_configuration_counts_for_the_next_request() -> None:
    rig = Rig()
    assert parse_answer(rig.command(COMMAND + NAME + state_request())) == (0, 0, [])
    rig.agent.configure(
        _core.AgentOptions(
            poll_min=0.01, poll_max=0.5, poll_busy=0.002, announce=[], withdraw=[], tools=STATE
        )
    )
    assert parse_answer(rig.command(COMMAND + NAME + state_request())) == (0, 0, TOLD)


def test_a_new_host_name_counts_for_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone gets its name after the agent has started."""
    names = list(os.uname())
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(tuple(names)))
    host = EmulatedHost()

    def told() -> bytes:
        return parse_answer(host.command(COMMAND + NAME + state_request()))[2][-1].value

    config = Config(guest_info=GuestInfoConfig(interval=1.0))
    with SimulatedGuest(host, config):
        host.wait_for_tools()
        assert told() == names[1].encode() + b"\0"
        names[1] = "clone.example"
        host.wait_until(lambda: told() == b"clone.example\0")


@pytest.mark.parametrize("op", [62, 185])
def test_it_is_answered_while_something_is_frozen(op: int) -> None:
    rig = Rig(tools=STATE)
    rig.freeze()
    answer = rig.command(COMMAND + NAME + state_request(op=op))
    assert parse_answer(answer) == ((0, 0, TOLD) if op == 62 else (3025, 0, []))
    assert rig.disk.frozen("/srv")
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.finish()
