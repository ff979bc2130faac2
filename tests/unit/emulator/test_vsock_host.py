"""The emulated host on vsock framing: answers, pushes commands, survives whatever a guest sends."""

from __future__ import annotations

import contextlib
import random
import secrets
import select
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest
from support.emulated import EmulatedHost
from support.names import unique_base

from vmtpy._core import SteadyClock, Tclo
from vmtpy._host import (
    Device,
    MessageKind,
    PacketDecoder,
    Transport,
    VsockFault,
    VsockService,
    encode_packet,
)
from vmtpy.errors import SystemCallError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RPCI, TCLO = 976, 975
TIMEOUT = 60.0
_sockets: list[socket.socket] = []


class Guest:
    """A guest's socket, and the packets that come from it."""

    def __init__(self, base: str, port: int, local_port: int = 2000) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        _sockets.append(self.socket)
        self.socket.settimeout(TIMEOUT)
        self.socket.bind(f"\0vmtpy-vsock-{local_port}-{secrets.token_hex(8)}")
        self.socket.connect(f"\0{base[1:]}.{port}" if base[0] == "@" else f"{base}.{port}")
        self.decoder = PacketDecoder()

    def send(self, payload: bytes, *, ping: bool = False, close: bool = False) -> None:
        self.socket.sendall(encode_packet(payload, ping=ping, close=close))

    def receive(self) -> bytes:
        """The payload of the next packet."""
        while not (packet := self.decoder.take()):
            self.feed()
        return packet.payload

    def feed(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        self.decoder.feed(data)

    def call(self, request: bytes) -> bytes:
        self.send(request)
        return self.receive()

    def ended(self) -> bool:
        """Waits for the host to close it, skipping what it still says."""
        with contextlib.suppress(ConnectionResetError):
            while self.socket.recv(65536):
                pass
        return True

    def is_silent(self) -> bool:
        return not select.select([self.socket], [], [], 0.05)[0]


class Host:
    def __init__(self, base: str, *, secure: bool = False) -> None:
        self.base = base
        self.device = Device(SteadyClock(), secure=secure)
        self.service = VsockService(self.device, base)

    def guest(self, port: int = RPCI, local_port: int = 2000) -> Guest:
        return Guest(self.base, port, local_port)


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while _sockets:
        _sockets.pop().close()


@pytest.fixture
def base() -> str:
    return unique_base("test")


@pytest.fixture
def host(base: str) -> Host:
    return Host(base)


def test_a_request_gets_its_answer_and_stands_in_the_transcript(host: Host) -> None:
    host.device.set_guestinfo("key", "value")
    assert host.guest().call(b"info-get guestinfo.key") == b"1 value"
    (entry,) = host.device.take_transcript()
    assert (entry.kind, entry.transport) == (MessageKind.RPCI, Transport.VSOCK)
    assert (entry.request, entry.reply) == (b"info-get guestinfo.key", b"1 value")


def test_many_requests_on_one_connection_and_on_many(host: Host) -> None:
    guests = [host.guest() for _ in range(20)]
    for turn in range(5):
        for number, guest in enumerate(guests):
            assert guest.call(b"info-set guestinfo.k%d %d" % (number, turn)) == b"1 "
    assert host.device.guestinfo("k19") == b"4"
    assert host.service.counts() == {
        "connections": 20,
        "packets": 200,
        "pings": 0,
        "rejected": 0,
    }


def test_requests_that_were_sent_ahead_are_answered_in_order(host: Host) -> None:
    guest = host.guest()
    guest.socket.sendall(b"".join(encode_packet(b"log %d" % i) for i in range(100)))
    assert [guest.receive() for _ in range(100)] == [b"1 "] * 100
    sent = [entry.request for entry in host.device.take_transcript()]
    assert sent == [b"log %d" % i for i in range(100)]


def test_a_guest_that_does_not_read_is_not_read_from_any_more(host: Host) -> None:
    host.device.set_guestinfo("large", "x" * 60_000)
    guest = host.guest()
    guest.socket.settimeout(0.2)
    requests = encode_packet(b"info-get guestinfo.large") * 100_000
    with pytest.raises(TimeoutError):
        guest.socket.sendall(requests)
    assert host.guest().call(b"log still there") == b"1 "


def test_a_request_with_the_close_flag_is_answered_and_the_connection_closed(host: Host) -> None:
    guest = host.guest()
    guest.send(b"log last", close=True)
    assert guest.receive() == b"1 "
    assert guest.ended()


def test_a_local_port_below_1024_makes_a_connection_privileged(host: Host) -> None:
    for port in (1023, 1024):
        host.guest(local_port=port).call(b"log hello")
    transports = [entry.transport for entry in host.device.take_transcript()]
    assert transports == [Transport.PRIVILEGED_VSOCK, Transport.VSOCK]


def test_a_secure_host_lets_only_privileged_guests_set_guestinfo(base: str) -> None:
    host = Host(base, secure=True)
    assert host.guest().call(b"info-set guestinfo.key no") == b"0 Permission denied"
    assert host.guest(local_port=900).call(b"info-set guestinfo.key yes") == b"1 "
    assert host.guest().call(b"info-get guestinfo.key") == b"1 yes"


def test_commands_are_pushed_one_at_a_time(host: Host) -> None:
    host.device.send_command("reset")
    host.device.send_command("ping")
    assert not host.device.tclo_seen()
    guest = host.guest(TCLO)
    assert guest.receive() == b"reset"
    assert host.device.tclo_seen()
    assert host.service.connections() == 1  # it has looked at it again
    assert guest.is_silent()
    guest.send(b"OK ATR toolbox")
    assert guest.receive() == b"ping"
    guest.send(b"OK ")
    assert guest.is_silent()
    host.device.send_command("later")
    assert guest.receive() == b"later"
    kinds = [(entry.kind, entry.request) for entry in host.device.take_transcript()]
    assert kinds == [
        (MessageKind.TCLO_COMMAND, b"reset"),
        (MessageKind.TCLO_REPLY, b"OK ATR toolbox"),
        (MessageKind.TCLO_COMMAND, b"ping"),
        (MessageKind.TCLO_REPLY, b"OK "),
        (MessageKind.TCLO_COMMAND, b"later"),
    ]


def test_pings_are_counted_and_not_answered(host: Host) -> None:
    guest = host.guest(TCLO)
    guest.send(b"", ping=True)
    guest.send(b"", ping=True)
    until(lambda: host.service.counts()["pings"] == 2)
    assert guest.is_silent()


def test_a_newer_tclo_client_takes_the_place_of_the_older(host: Host) -> None:
    older = host.guest(TCLO)
    host.device.wait_for_tools(time.monotonic() + TIMEOUT)
    newer = host.guest(TCLO)
    assert older.ended()
    host.device.send_command("ping")
    assert newer.receive() == b"ping"


def test_the_backdoor_takes_over_and_vsock_takes_it_back(base: str) -> None:
    emulated = EmulatedHost()
    service = VsockService(emulated.device, base)
    over_vsock = Guest(base, TCLO)
    assert emulated.device.wait_for_tools(time.monotonic() + TIMEOUT)
    tclo = Tclo(emulated.backdoor)
    assert tclo.poll() is None  # now it is open
    assert over_vsock.ended()
    emulated.device.send_command("ping")
    assert tclo.poll() == b"ping"
    again = Guest(base, TCLO)
    emulated.device.send_command("more")
    assert again.receive() == b"more"
    tclo.answer(b"OK ")
    assert tclo.poll() is None
    assert service.connections() == 1


def test_tools_are_gone_when_their_connection_is(host: Host) -> None:
    guest = host.guest(TCLO)
    assert host.device.wait_for_tools(time.monotonic() + TIMEOUT)
    guest.socket.close()
    until(lambda: not host.device.tclo_seen())


def test_where_the_host_does_not_listen_a_connection_is_refused_until_it_does(
    host: Host,
) -> None:
    before = host.guest()
    assert before.call(b"log accepted") == b"1 "
    host.service.stop_listening()
    with pytest.raises(ConnectionRefusedError):
        host.guest()
    assert before.call(b"log still open") == b"1 "
    host.service.listen_again()
    assert host.guest().call(b"log new") == b"1 "


def test_all_connections_are_dropped_at_once(host: Host) -> None:
    guests = [host.guest(), host.guest(TCLO)]
    guests[0].call(b"log hello")
    assert host.device.wait_for_tools(time.monotonic() + TIMEOUT)
    host.service.drop_connections()
    assert host.service.connections() == 0
    assert not host.device.tclo_seen()
    assert all(guest.ended() for guest in guests)


def test_a_path_is_listened_on_and_removed(tmp_path: Path) -> None:
    host = Host(str(tmp_path / "vsock"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["vsock.975", "vsock.976"]
    assert host.guest().call(b"log hello") == b"1 "
    with pytest.raises(SystemCallError, match=r"vsock\.976: Address already in use"):
        VsockService(host.device, host.base)
    host.service.stop_listening()
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(SystemCallError, match="too long"):
        VsockService(Device(SteadyClock()), "/" + "x" * 200)


# --- misbehaviour ---


def test_a_connection_is_reset_on_request(host: Host) -> None:
    host.service.misbehave(VsockFault.RESET, times=2)
    assert host.guest().ended()
    assert host.guest(TCLO).ended()
    assert host.guest().call(b"log third") == b"1 "


def test_a_misbehaviour_begins_after_and_ends_after_so_many_packets(host: Host) -> None:
    host.service.misbehave(VsockFault.SILENCE, port=RPCI, after=1, times=1)
    guest = host.guest()
    assert guest.call(b"log 1") == b"1 "
    guest.send(b"log 2")
    assert guest.is_silent()
    assert guest.call(b"log 3") == b"1 "


@pytest.mark.parametrize("fault", [VsockFault.CLOSE, VsockFault.HALF])
def test_a_packet_is_left_out_or_torn_and_the_connection_closed(
    host: Host, fault: VsockFault
) -> None:
    host.service.misbehave(fault)
    guest = host.guest()
    with pytest.raises(EOFError):
        guest.call(b"log hello")
    assert guest.decoder.in_the_middle == (fault is VsockFault.HALF)


def test_a_packet_stalls(host: Host) -> None:
    host.service.misbehave(VsockFault.STALL)
    guest = host.guest()
    guest.send(b"log hello")
    guest.feed()
    guest.send(b"log again")
    assert guest.is_silent()
    assert guest.decoder.take() is None
    assert guest.decoder.in_the_middle


@pytest.mark.parametrize("fault", [VsockFault.OVERSIZE, VsockFault.UNKNOWN_TYPE])
def test_a_packet_that_is_none_is_seen_as_such(host: Host, fault: VsockFault) -> None:
    host.service.misbehave(fault)
    with pytest.raises(OSError, match="cannot be decoded"):
        host.guest().call(b"log hello")


@pytest.mark.parametrize("fault", [VsockFault.UNKNOWN_FIELDS, VsockFault.SLOW])
def test_an_odd_packet_arrives_all_the_same(host: Host, fault: VsockFault) -> None:
    host.service.misbehave(fault, times=0)
    guest = host.guest()
    assert guest.call(b"log hello") == b"1 "
    assert guest.call(b"log again") == b"1 "


def test_a_storm_of_pings_precedes_the_packet(host: Host) -> None:
    host.service.misbehave(VsockFault.PING_STORM)
    guest = host.guest()
    assert guest.call(b"log hello") == b""
    pings = 1
    while (payload := guest.receive()) == b"":
        pings += 1
    assert (pings, payload) == (1000, b"1 ")


def test_raw_bytes_are_sent_as_they_are(host: Host) -> None:
    guest = host.guest(TCLO)
    assert host.device.wait_for_tools(time.monotonic() + TIMEOUT)
    host.service.send_raw(TCLO, b"\0\xff")
    assert guest.socket.recv(10) == b"\0\xff"


# --- hostile guests ---


def fields(*parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 4,
        b"GET / HTTP/1.1\r\n\r\n",
        fields(struct.pack(">III", 2, 2, 0xFFFFFFFF)),
        fields(struct.pack(">II", 9, 9)),
        fields(b"\0\0\0"),
        encode_packet(b"x" * 65536)[:-1] + b"x" + b"\xff" * 8,
    ],
)
def test_what_is_no_packet_ends_its_connection_and_no_other(host: Host, data: bytes) -> None:
    other = host.guest()
    bad = host.guest()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        bad.socket.sendall(data)
    assert bad.ended()
    assert other.call(b"log hello") == b"1 "
    assert host.service.counts()["rejected"] == 1


def test_no_bytes_of_a_guest_hurt_the_host(host: Host) -> None:
    chance = random.Random(4711)
    good = encode_packet(b"info-get guestinfo.key")
    for _ in range(300):
        data = bytearray(chance.choice((good, good * 3, encode_packet(b"", ping=True))))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 2, 3, 4, 0x7F, 0xFF))
        guest = Guest(host.base, chance.choice((RPCI, TCLO)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            guest.socket.sendall(bytes(data[: chance.randrange(len(data) + 1)]))
        guest.socket.close()
    assert host.guest().call(b"log survived") == b"1 "
    until(lambda: host.service.connections() == 1)


def test_more_connections_than_it_serves_wait_and_come_in_turn(host: Host) -> None:
    first = [host.guest() for _ in range(128)]
    late = host.guest()
    late.send(b"log late")
    assert late.is_silent()
    first[0].socket.close()
    assert late.receive() == b"1 "


def until(condition: object) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.002)
