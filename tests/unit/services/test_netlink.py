"""rtnetlink: made-up messages, and this machine's own against what /sys says."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from support.namespace import INSIDE, require_namespaces

from vmtpy.services import netlink
from vmtpy.services.netlink import Address, Link, Route


def attribute(number: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, number) + value + bytes(-size % 4)


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def test_a_link_is_read_with_its_kind_and_master() -> None:
    info = attribute(1, b"bridge\0") + attribute(2, b"rubbish")
    body = struct.pack("=BxHiII", 0, 1, 7, 0x1003, 0)
    body += attribute(3, b"br0\0") + attribute(1, bytes(range(6))) + attribute(10, u32(4))
    body += attribute(0x8000 | 18, info)
    assert netlink.parse_link(body) == Link(7, "br0", 1, 0x1003, bytes(range(6)), "bridge", 4)


def test_of_a_point_to_point_link_our_own_address_is_taken() -> None:
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0x80, 0, 3)
    body += attribute(1, bytes((10, 0, 0, 1))) + attribute(2, bytes((10, 0, 0, 2)))
    body += attribute(8, u32(0x100 | 0x40))
    assert netlink.parse_address(body) == Address(3, bytes((10, 0, 0, 2)), 32, 0, 0x140)


def route(bits: int = 0, table: int = 254, kind: int = 1) -> bytes:
    return struct.pack("=BBBBBBBBI", socket.AF_INET, bits, 0, 0, table, 3, 0, kind, 0)


def test_a_default_route_is_read_and_others_are_not() -> None:
    gateway = bytes((10, 0, 0, 1))
    tail = attribute(5, gateway) + attribute(4, u32(2)) + attribute(6, u32(100))
    assert netlink.parse_route(route() + tail) == [Route(socket.AF_INET, 2, gateway, 100)]
    assert netlink.parse_route(route(bits=8) + tail) == []
    assert netlink.parse_route(route(table=255) + tail) == []
    assert netlink.parse_route(route(kind=7) + tail) == [], "unreachable"
    assert netlink.parse_route(route(table=0) + tail + attribute(15, u32(1000))) == []


def test_each_next_hop_of_a_multipath_route_counts() -> None:
    hops = b""
    for index in (2, 3):
        rest = attribute(5, bytes((10, 0, 0, index)))
        hops += struct.pack("=HBBi", 8 + len(rest), 0, 0, index) + rest
    assert [
        (parsed.interface, parsed.gateway[-1])
        for parsed in netlink.parse_route(route() + attribute(9, hops))
    ] == [
        (2, 2),
        (3, 3),
    ]


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_message_cut_short_is_no_endless_loop_and_no_crash(cut: int) -> None:
    message = struct.pack("=IHHII", 60, 16, 0, 1, 0) + bytes(44)
    list(netlink.split(message[:cut]))
    body = route() + attribute(9, bytes(40)) + attribute(4, b"\x02")
    netlink.attributes(body[:cut], 12)
    list(netlink.next_hops(2, bytes(cut), 0))
    assert list(netlink.split(struct.pack("=IHHII", 0, 16, 0, 1, 0) * 2)) == []


def test_this_machines_links_are_those_of_sysfs() -> None:
    found = {link.name: link for link in netlink.links()}
    there = {entry.name for entry in Path("/sys/class/net").iterdir() if entry.is_dir()}
    assert found.keys() == there
    for name, link in found.items():
        base = Path("/sys/class/net", name)
        assert link.interface == int((base / "ifindex").read_text())
        assert link.hardware == int((base / "type").read_text())
        mac = (base / "address").read_text().strip()
        assert ":".join(f"{byte:02x}" for byte in link.mac) == mac


def test_this_machine_has_its_loopback_address() -> None:
    lo = next(link.interface for link in netlink.links() if link.name == "lo")
    if not any(address.interface == lo for address in netlink.addresses()):
        pytest.skip("needs a loopback interface that is up")
    assert Address(lo, socket.inet_aton("127.0.0.1"), 8, 254, 0x80) in netlink.addresses()


def test_an_error_of_the_kernel_is_raised() -> None:
    with pytest.raises(OSError, match="rtnetlink"):
        list(netlink.dump(9999))


def test_without_ipv6_no_route_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel then dumps the routes of all other families in its place."""
    body = route() + attribute(4, u32(2))
    monkeypatch.setattr(netlink, "dump", lambda *_: iter([(netlink.NEWROUTE, body)]))
    assert netlink.default_routes() == [Route(socket.AF_INET, 2)]


def test_the_default_route_is_found_behind_a_large_table() -> None:
    """Tables are dumped in an order of their own, and a router may have large ones for VRFs."""
    require_namespaces()
    large = "".join(
        f"route add 10.{number >> 8}.{number & 255}.0/24 via 192.0.2.1 table 10\n"
        for number in range(netlink.MOST_ROUTES + 1)
    )
    ask = "from vmtpy.services import netlink; print(netlink.default_routes()[0].gateway)"
    shell = f'{INSIDE} sh -c \'ip -batch - && "$@"\' sh "$@"'
    found = subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-c", ask],
        input=large.encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    assert found.stdout == f"{bytes((192, 0, 2, 1))}\n".encode()
