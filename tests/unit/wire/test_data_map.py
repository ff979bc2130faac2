"""Packets of the vsock transport: written as hosts expect them, read without believing them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmtpy._host import Packet, PacketDecoder, encode_packet
from vmtpy.errors import ChannelError, MessageSizeError

INT64, STRING, INT64_LIST, STRING_LIST = 1, 2, 3, 4


def number(field: int, value: int) -> bytes:
    return struct.pack(">IIII", INT64, field, value & 0xFFFFFFFF, value >> 32)


def text(field: int, value: bytes) -> bytes:
    return struct.pack(">III", STRING, field, len(value)) + value


def packet(*fields: bytes) -> bytes:
    body = b"".join(fields)
    return struct.pack(">I", len(body)) + body


def decode(data: bytes) -> Packet:
    """The one packet in `data`."""
    decoder = PacketDecoder()
    decoder.feed(data)
    found = decoder.take()
    assert found is not None
    assert not decoder.in_the_middle
    return found


def test_a_request_is_the_bytes_that_open_vm_tools_sends() -> None:
    expected = bytes.fromhex(
        "0000001e 00000001 00000001 00000001 00000000 00000002 00000002 00000002"
    )
    assert encode_packet(b"ab") == expected + b"ab"


def test_a_ping_has_no_payload_on_the_wire() -> None:
    assert encode_packet(b"", ping=True) == packet(number(1, 2))
    assert decode(encode_packet(b"", ping=True)).ping


def test_a_close_is_a_flag() -> None:
    assert decode(encode_packet(b"x", close=True)).close
    assert decode(packet(number(3, 1 << 32), text(2, b"x"))).close
    assert not decode(packet(number(3, 0), text(2, b"x"))).close


def test_fields_may_come_in_any_order() -> None:
    found = decode(packet(text(2, b"1 ok"), number(1, 1)))
    assert (found.ping, found.payload) == (False, b"1 ok")


def test_unknown_fields_are_skipped() -> None:
    strings = struct.pack(">III", STRING_LIST, 9, 2) + b"\0\0\0\1a\0\0\0\0"
    numbers = struct.pack(">III", INT64_LIST, 8, 2) + bytes(16)
    found = decode(packet(number(7, 1), strings, numbers, text(6, b"xyz"), text(2, b"1 ok")))
    assert found.payload == b"1 ok"


def test_a_packet_without_fields_is_an_empty_message() -> None:
    assert decode(bytes(4)).payload == b""


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (packet(struct.pack(">II", 5, 9)), "unknown type 5"),
        (packet(struct.pack(">II", 0, 2)), "instead of 2"),
        (packet(number(2, 1)), "field 2 has type 1 instead of 2"),
        (packet(text(1, b"1")), "field 1 has type 2 instead of 1"),
        (packet(number(1, 3)), "its type 3 is unknown"),
        (packet(number(1, 1), number(1, 1)), "field 1 appears twice"),
        (packet(struct.pack(">III", STRING, 2, 5) + b"abcd"), "5 bytes where 4 are left"),
        (packet(struct.pack(">III", STRING, 2, 0xFFFFFFFF)), "4294967295 bytes where 0"),
        (packet(struct.pack(">III", INT64_LIST, 9, 0xFFFFFFFF)), "bytes where 0 are left"),
        (packet(struct.pack(">III", STRING_LIST, 9, 0xFFFFFFFF)), "4 bytes where 0 are left"),
        (packet(b"\0\0\0\1\0\0"), "4 bytes where 2 are left"),
        (packet(*(number(field, 0) for field in range(10, 80))), "more than 64 fields"),
        (packet(text(2, bytes(65537))), "its payload has 65537 bytes, but the limit is 65536"),
        (struct.pack(">I", 0x7FFFFFFF), "it has 2147483647 bytes, but the limit is 69632"),
    ],
)
def test_what_is_no_packet_is_refused_with_its_fault(data: bytes, why: str) -> None:
    decoder = PacketDecoder()
    decoder.feed(data)
    with pytest.raises(ChannelError, match=why):
        decoder.take()


def test_an_oversize_length_is_refused_before_its_bytes_arrive() -> None:
    decoder = PacketDecoder(max_payload=16)
    decoder.feed(struct.pack(">I", 16 + 4096))
    assert decoder.take() is None
    decoder = PacketDecoder(max_payload=16)
    decoder.feed(struct.pack(">I", 16 + 4097))
    with pytest.raises(ChannelError, match="the limit is 4112"):
        decoder.take()


def test_a_payload_over_64_kib_is_not_sent() -> None:
    assert decode(encode_packet(bytes(65536))).payload == bytes(65536)
    with pytest.raises(MessageSizeError, match="at most 65536 bytes"):
        encode_packet(bytes(65537))


@given(
    payloads=st.lists(st.binary(max_size=300), max_size=8),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=20),
)
def test_however_the_bytes_arrive_the_packets_are_the_same(
    payloads: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(encode_packet(payload) for payload in payloads)
    decoder = PacketDecoder()
    found = []
    turn = 0
    while data:
        size = cuts[turn % len(cuts)]
        decoder.feed(data[:size])
        data = data[size:]
        turn += 1
        while packet := decoder.take():
            found.append(packet.payload)
    assert found == payloads
    assert not decoder.in_the_middle


@pytest.mark.parametrize("size", [1, 3, 17, 4096])
@pytest.mark.parametrize("first", range(4))
def test_the_decoder_keeps_no_more_than_one_packet(size: int, first: int) -> None:
    """However the pieces lie to the packets; a host may send pings for ever."""
    pings = encode_packet(b"", ping=True) * 2000
    decoder = PacketDecoder()
    decoder.feed(pings[:first])
    most = 0
    for at in range(first, len(pings), size):
        decoder.feed(pings[at : at + size])
        while decoder.take():
            pass
        most = max(most, decoder.kept)
    assert most <= 2 * (size + len(encode_packet(b"", ping=True)))
    assert not decoder.in_the_middle


def test_pings_in_pieces_as_long_as_themselves_do_not_pile_up() -> None:
    ping = encode_packet(b"", ping=True)
    decoder = PacketDecoder()
    decoder.feed(ping[:3])
    for _ in range(10_000):
        decoder.feed(ping[3:] + ping[:3])
        while decoder.take():
            pass
    assert decoder.kept < 1024


def test_the_memory_of_a_large_packet_is_given_back_although_the_next_has_begun() -> None:
    decoder = PacketDecoder()
    decoder.feed(encode_packet(bytes(65536)) + b"\0\0\0")
    assert decoder.take() is not None
    assert decoder.take() is None
    assert decoder.kept < 1024
