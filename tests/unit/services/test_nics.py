"""Which network interfaces the host is told of, in which order, and the bytes of it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.xdr import read_nics

from vmtpy.services import nics
from vmtpy.services.netlink import Address, Link, Route
from vmtpy.services.nics import Network, Resolver

if TYPE_CHECKING:
    from pathlib import Path

UP = 1


def link(index: int, name: str = "", **facts: object) -> Link:
    mac = bytes((2, 0, 0, 0, index >> 8, index & 255))
    return Link(index, name or f"eth{index}", **{"flags": UP, "mac": mac, **facts})  # type: ignore[arg-type]


def ip(index: int, text: str, scope: int = 0, flags: int = 0) -> Address:
    address, _, prefix = text.partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return Address(index, socket.inet_pton(family, address), int(prefix), scope, flags)


def default(index: int, gateway: str = "", metric: int = 0, family: int = socket.AF_INET) -> Route:
    return Route(family, index, socket.inet_pton(family, gateway) if gateway else b"", metric)


def names(network: Network) -> list[str]:
    return [nic.link.name for nic in nics.choose(network)]


LOOPBACK = Link(1, "lo", hardware=772, flags=9, mac=bytes(6))


def test_the_record_byte_for_byte() -> None:
    network = Network(
        (LOOPBACK, link(2)),
        (ip(1, "127.0.0.1/8", 254), ip(2, "fe80::1/64", 253), ip(2, "192.0.2.7/24")),
        (default(2, "192.0.2.1", 100),),
        Resolver((bytes((198, 51, 100, 53)),), ("example.org",), "guest", "example.org"),
    )
    assert nics.encode(network).hex(" ", 4) == (
        "00000003 00000001 00000001"  # version 3, here it is, one NIC
        " 00000011 30323a30 303a3030 3a30303a 30303a30 32000000"  # 02:00:00:00:00:02
        " 00000002"
        " 00000001 00000004 c0000207 00000018 00000000 00000001 00000001"  # 192.0.2.7/24, preferred
        " 00000002 00000010 fe800000 00000000 00000000 00000001 00000040"
        " 00000000 00000001 00000001"
        " 00000000 00000000 00000000 00000000"
        " 00000001"  # one route
        " 00000001 00000004 00000000 00000000"  # 0.0.0.0/0
        " 00000001 00000001 00000004 c0000201"  # via 192.0.2.1
        " 00000000 00000004 00000064"  # the first NIC, remote, metric 100
        " 00000001 00000001 00000005 67756573 74000000"  # a resolver; guest
        " 00000001 0000000b 6578616d 706c652e 6f726700"  # example.org
        " 00000001 00000001 00000004 c6336435"
        " 00000001 0000000b 6578616d 706c652e 6f726700"
        " 00000000 00000000 00000000"
    )


def test_without_any_network_the_record_is_as_short_as_it_can_be() -> None:
    words = nics.encode(Network()).hex(" ", 4).split()
    assert words == ["00000003", "00000001", *["00000000"] * 6]


def test_an_independent_reader_gets_out_what_went_in() -> None:
    network = Network(
        (LOOPBACK, link(2), link(3)),
        (ip(2, "10.0.0.2/8"), ip(3, "2001:db8::3/64"), ip(3, "192.0.2.3/25")),
        (
            default(3, "2001:db8::1", 1024, socket.AF_INET6),
            default(3, "192.0.2.1", 10),
            default(2, "", 20),
        ),
        Resolver((socket.inet_pton(socket.AF_INET6, "2001:db8::53"),), ()),
    )
    assert read_nics(nics.encode(network)) == {
        "nics": [
            {"mac": "02:00:00:00:00:03", "ips": ["192.0.2.3/25", "2001:db8::3/64"]},
            {"mac": "02:00:00:00:00:02", "ips": ["10.0.0.2/8"]},
        ],
        "routes": [
            {"to": "0.0.0.0/0", "via": "192.0.2.1", "nic": 0, "type": 4, "metric": 10},
            {"to": "0.0.0.0/0", "via": None, "nic": 1, "type": 4, "metric": 20},
            {"to": "::/0", "via": "2001:db8::1", "nic": 0, "type": 4, "metric": 1024},
        ],
        "dns": {"host": b"", "domain": b"", "servers": ["2001:db8::53"], "suffixes": []},
    }


@given(
    counts=st.lists(st.integers(0, 5), max_size=40),
    routed=st.lists(st.integers(0, 39), max_size=4),
    suffixes=st.lists(st.text(max_size=300), max_size=14),
)
def test_any_network_is_read_back_within_the_limits(
    counts: list[int], routed: list[int], suffixes: list[str]
) -> None:
    links = tuple(link(index + 2) for index in range(len(counts)))
    found = tuple(
        ip(index + 2, f"10.{index}.0.{n}/16")
        for index, count in enumerate(counts)
        for n in range(count)
    )
    routes = tuple(default(index + 2, "10.0.0.1") for index in routed)
    network = Network(links, found, routes, Resolver((), tuple(suffixes)))
    read = read_nics(nics.encode(network))
    assert len(read["nics"]) == min(16, len(counts))


def test_older_hosts_get_at_most_64_addresses_of_a_nic() -> None:
    network = Network((link(2),), tuple(ip(2, f"10.0.{n}.1/24") for n in range(100)))
    assert len(read_nics(nics.encode(network))["nics"][0]["ips"]) == 100
    assert len(read_nics(nics.encode(network, 64))["nics"][0]["ips"]) == 64


def test_what_docker_makes_is_left_out_whatever_its_name() -> None:
    network = Network(
        (
            LOOPBACK,
            link(2, "eth0"),
            link(3, "looks-real", kind="bridge"),
            link(4, "eth9", kind="veth", master=3, lower=9),
            link(5, "dummy-to-the-eye", kind="dummy"),
            link(6, "tun0", kind="tun", hardware=65534, mac=b""),
        ),
        (ip(2, "192.0.2.2/24"), ip(3, "172.17.0.1/16"), ip(5, "10.9.9.9/8")),
    )
    assert names(network) == ["eth0"]


def test_what_stands_on_a_real_nic_is_told_and_its_ports_are_not() -> None:
    network = Network(
        (
            link(2, "port0", master=4),
            link(3, "port1", master=4),
            link(4, "bond0", kind="bond"),
            link(5, "office", kind="vlan", lower=4),
            link(6, "br0", kind="bridge"),
            link(7, "port2", master=6),
            link(8, "vnet3", kind="tun", master=6),
            link(9, "spare"),
        ),
        (ip(5, "192.0.2.5/24"), ip(6, "192.0.2.6/24")),
    )
    assert names(network) == ["office", "br0", "bond0", "spare"]


def test_a_port_with_an_address_of_its_own_is_told() -> None:
    network = Network(
        (
            link(2, master=3),
            link(3, "vrf-blue", kind="vrf"),
            link(4, master=5),
            link(5, kind="bond"),
        ),
        (ip(4, "192.0.2.4/24"),),
    )
    assert names(network) == ["eth4", "eth2", "vrf-blue", "eth5"]


def test_links_stacked_in_a_ring_end() -> None:
    ring = (link(2, kind="vlan", lower=3), link(3, kind="vlan", lower=2))
    assert names(Network(ring)) == []


def test_thousands_of_links_do_not_cost_their_square() -> None:
    """With two thousand containers it took a second of Python, again for each that came or went."""

    class Counted(tuple):  # type: ignore[type-arg]
        looks = 0

        def __iter__(self) -> object:  # type: ignore[override]
            Counted.looks += 1
            return super().__iter__()

    bridges = [link(index, kind="bridge") for index in range(100, 150)]
    veths = [link(index, kind="veth", master=index - 100) for index in range(200, 250)]
    network = Network(
        Counted([link(2), *bridges, *veths]),
        Counted([ip(index, f"10.0.0.{index}/24") for index in (2, *range(100, 250))]),
        (default(2),),
    )
    assert names(network) == ["eth2"]
    assert Counted.looks < 10


def test_the_primary_is_told_even_if_it_is_virtual() -> None:
    network = Network((link(2, kind="veth", lower=9),), (ip(2, "10.0.0.2/24"),), (default(2),))
    assert names(network) == ["eth2"]
    assert nics.primary_address(network) == "10.0.0.2"


def test_of_more_than_16_the_ones_that_matter_stay() -> None:
    links = tuple(link(index) for index in range(2, 42))
    network = Network(
        links,
        (ip(40, "192.0.2.40/24"), ip(30, "10.0.0.30/8"), ip(41, "10.0.0.41/8")),
        (default(40, "192.0.2.1", 100), default(41, "10.0.0.1", 200)),
    )
    chosen = names(network)
    assert len(chosen) == 16
    assert chosen[:4] == ["eth40", "eth41", "eth30", "eth2"]


def test_the_primary_is_where_the_kernel_would_send() -> None:
    network = Network(
        (link(2), link(3)),
        (ip(2, "192.0.2.2/24"), ip(3, "192.0.2.3/24")),
        (default(2, "192.0.2.1", 200), default(3, "192.0.2.1", 100)),
    )
    assert nics.primary_address(network) == "192.0.2.3"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((), ""),
        ((ip(2, "fe80::1/64", 253),), ""),
        ((ip(2, "2001:db8::2/64"), ip(2, "10.0.0.2/8")), "10.0.0.2"),
        ((ip(2, "2001:db8::2/64"), ip(2, "fe80::1/64", 253)), "2001:db8::2"),
        ((ip(2, "2001:db8::1/64", flags=0x01), ip(2, "2001:db8::2/64")), "2001:db8::2"),
        ((ip(2, "10.0.0.1/8", flags=0x40), ip(2, "10.0.0.2/8")), "10.0.0.2"),
        ((ip(2, "10.0.0.1/8", flags=0x08),), ""),
    ],
)
def test_the_primary_address(found: tuple[Address, ...], expected: str) -> None:
    """IPv4 before IPv6, global before local, lasting before temporary, usable only."""
    assert nics.primary_address(Network((link(2),), found)) == expected


def test_the_order_does_not_depend_on_the_kernels() -> None:
    links = (link(2), link(3))
    found = (ip(2, "10.0.0.2/8"), ip(2, "10.0.0.1/8"), ip(3, "2001:db8::3/64"))
    routes = (default(2, "10.0.0.254"), default(3, "10.0.0.253"))
    one = Network(links, found, routes)
    other = Network(links[::-1], found[::-1], routes[::-1])
    assert nics.encode(one) == nics.encode(other)


# The record of open-vm-tools 12.2 (Debian) in a network of its own: one NIC, 192.0.2.2/24, the host
# name "guest", one name server, neither a domain nor suffixes.
THEIRS = bytes.fromhex(
    "0000000300000001000000010000001130323a30303a30303a30303a30303a30310000000000000100000001"
    "00000004c0000202000000180000000000000001000000010000000000000000000000000000000000000002"
    "00000001000000040000000000000000000000010000000100000004c0000201000000000000000000000000"
    "0000000100000004c00002000000001800000000000000000000000000000000000000010000000100000005"
    "677565737400000000000001000000000000000100000001000000040affff35000000000000000000000000"
    "00000000"
)


def test_address_status_and_resolver_are_those_of_open_vm_tools_to_the_byte() -> None:
    network = Network(
        (Link(2, "eth0", flags=UP, mac=bytes((2, 0, 0, 0, 0, 1))),),
        (ip(2, "192.0.2.2/24"),),
        (),
        Resolver((nics.binary("10.255.255.53"),), (), "guest", ""),
    )
    ours = nics.encode(network)
    routes = ours.index(bytes(4 * 5)) + 4 * 4  # behind what the NIC has not of its own
    their_resolver = THEIRS.index(b"\0\0\0\1\0\0\0\1\0\0\0\5guest")
    assert ours[:routes] == THEIRS[:routes]
    assert ours[routes + 4 :] == THEIRS[their_resolver:]
    assert read_nics(THEIRS)["nics"] == read_nics(ours)["nics"]
    assert read_nics(THEIRS)["dns"] == read_nics(ours)["dns"]


def test_an_address_that_is_not_for_new_connections_is_deprecated() -> None:
    assert nics.status(ip(2, "2001:db8::1/64")) == 1
    assert nics.status(ip(2, "2001:db8::1/64", flags=0x20)) == 2
    network = Network((link(2),), (ip(2, "2001:db8::1/64", flags=0x20 | 0x80),))
    assert read_nics(nics.encode(network))["nics"][0]["ips"] == ["2001:db8::1/64"]


@pytest.mark.parametrize(
    ("host", "text", "domain", "suffixes"),
    [
        ("guest", "", "", ()),
        ("guest.example.org", "", "example.org", ("example.org",)),
        ("guest.example.org", "search a.example b.example\n", "a.example", "a.example b.example"),
        ("guest", "domain a.example b.example\n", "a.example", "a.example"),
        (
            "guest",
            "domain a.example\nsearch b.example c.example\n",
            "b.example",
            "b.example c.example",
        ),
        ("guest", "search b.example\ndomain a.example\n", "a.example", "a.example"),
    ],
)
def test_the_domain_is_the_first_suffix_or_the_host_names_own(
    tmp_path: Path, host: str, text: str, domain: str, suffixes: str | tuple[str, ...]
) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(text)
    wanted = tuple(suffixes.split()) if isinstance(suffixes, str) else suffixes
    assert nics.read_resolver(host, file) == Resolver((), wanted, host, domain)
    dns = read_nics(nics.encode(Network(resolver=nics.read_resolver(host, file))))["dns"]
    assert dns == {
        "host": host.encode(),
        "domain": domain.encode(),
        "servers": [],
        "suffixes": list(wanted),
    }


def test_behind_systemd_resolved_the_servers_are_those_that_it_asks(tmp_path: Path) -> None:
    stub, uplink, file = (tmp_path / name for name in ("stub", "uplink", "resolv.conf"))
    stub.write_text("nameserver 127.0.0.53\nsearch example.org\n")
    uplink.write_text("nameserver 192.0.2.53\nnameserver 2001:db8::53\n")
    file.symlink_to(stub)
    found = nics.read_resolver("guest", file, stub, uplink)
    assert found.servers == (nics.binary("192.0.2.53"), nics.binary("2001:db8::53"))
    assert found.suffixes == ("example.org",)
    uplink.unlink()
    found = nics.read_resolver("guest", file, stub, uplink)
    assert found.servers == (nics.binary("127.0.0.53"),)


def test_names_that_are_too_long_are_cut() -> None:
    long = Resolver((), ("s" * 300,), "h" * 300, "d" * 300)
    dns = read_nics(nics.encode(Network(resolver=long)))["dns"]
    assert dns == {"host": b"h" * 255, "domain": b"d" * 255, "servers": [], "suffixes": ["s" * 255]}


def test_the_resolver_is_read_leniently(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_bytes(
        b"# a comment\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver nonsense\n"
        b"nameserver\nsearch a.example b.example\n\xff\noptions ndots:2\n"
    )
    assert nics.parse_resolver(file) == (
        (nics.binary("192.0.2.53"), nics.binary("fe80::1")),
        ("a.example", "b.example"),
    )
    assert nics.parse_resolver(tmp_path / "none") == ((), ())
