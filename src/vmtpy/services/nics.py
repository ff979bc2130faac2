"""Chooses, orders and encodes the network interfaces for the host.

It serves guest_info.py. `Network` has the kernel's facts, `choose()` selects interfaces, and
`encode()` makes the XDR of open-vm-tools' lib/guestRpc/nicinfo.x, version 3.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from vmtpy.services import netlink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import StrPath

    from vmtpy.services.netlink import Address, Link, Route

T = TypeVar("T")

MOST_NICS = 16
MOST_ADDRESSES = 2048  # of an interface; older hosts accept 64
MOST_ADDRESSES_OLD = 64
MOST_ROUTES = 100
MOST_SERVERS = 16
MOST_SUFFIXES = 10
ETHERNET = 1
LOOPBACK_SCOPE = 254
# IFA_F_TENTATIVE and IFA_F_DADFAILED: the address is not usable, or not yet.
UNUSABLE = 0x40 | 0x08
TEMPORARY = 0x01  # IFA_F_TEMPORARY; for IPv4 IFA_F_SECONDARY
DEPRECATED = 0x20  # IFA_F_DEPRECATED: not for new connections
UP = 0x1
LOOPBACK = 0x8
# Links that stand on others; their lower link or their ports tell whether a real interface is
# below.
STANDS_ON_LOWER = ("vlan", "macvlan", "ipvlan", "macsec")
HAS_PORTS = ("bridge", "bond", "team", "vrf", "hsr")
# systemd-resolved's own address, and the servers that it asks.
STUB = "/run/systemd/resolve/stub-resolv.conf"
UPLINK = "/run/systemd/resolve/resolv.conf"


class Nic(NamedTuple):
    """A network interface for the host, with its addresses in their order."""

    link: Link
    addresses: tuple[Address, ...]


class Resolver(NamedTuple):
    """How names are resolved in this guest.

    Attributes:
        servers: the addresses of the name servers.
        suffixes: the domains to search, the guest's own first.
        host: the guest's name.
        domain: the guest's domain; "" if it has none.
    """

    servers: tuple[bytes, ...] = ()
    suffixes: tuple[str, ...] = ()
    host: str = ""
    domain: str = ""


class Network(NamedTuple):
    """The kernel's facts about the network, and the resolver."""

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    resolver: Resolver = Resolver()


def read(resolv_conf: StrPath = "/etc/resolv.conf") -> Network:
    """The network as it is now.

    Raises:
        OSError: the kernel does not answer.
    """
    return Network(
        tuple(netlink.links()),
        tuple(netlink.addresses()),
        tuple(netlink.default_routes()),
        read_resolver(os.uname().nodename, resolv_conf),
    )


def choose(network: Network) -> list[Nic]:
    """The interfaces for the host, the primary one first, at most 16.

    These are interfaces with a driver, and links that stand on them. A port is chosen only if it
    has addresses itself. A bridge or a veth pair without such an interface below is chosen only if
    it has the default route.
    """
    primary = primary_index(network)
    defaults = {route.interface for route in network.routes}
    by_index = {link.interface: link for link in network.links}
    # A machine with containers may have thousands of links, so none of these steps looks at all
    # links or addresses for each link.
    ports = grouped((link.master, link) for link in network.links)
    addresses = grouped((address.interface, address) for address in network.addresses)
    nics = []
    for link in network.links:
        if link.hardware != ETHERNET or link.flags & LOOPBACK or len(link.mac) != 6:
            continue
        found = usable(addresses.get(link.interface, []))
        port = by_index.get(link.master) is not None and by_index[link.master].kind != "vrf"
        wanted = is_real(link, by_index, ports) and (found or not port)
        if wanted or link.interface == primary:
            nics.append(Nic(link, tuple(found)))

    def rank(nic: Nic) -> tuple[bool, bool, bool, bool, int]:
        link = nic.link
        return (
            link.interface != primary,
            link.interface not in defaults,
            not nic.addresses,
            not link.flags & UP,
            link.interface,
        )

    return sorted(nics, key=rank)[:MOST_NICS]


def grouped(pairs: Iterable[tuple[int, T]]) -> dict[int, list[T]]:
    """The second members of all pairs by the first."""
    groups: dict[int, list[T]] = {}
    for number, one in pairs:
        groups.setdefault(number, []).append(one)
    return groups


def usable(addresses: Iterable[Address]) -> list[Address]:
    """The usable addresses: IPv4 first, global addresses first, then by their bytes."""
    found = [
        address
        for address in addresses
        if address.scope < LOOPBACK_SCOPE
        and not address.flags & UNUSABLE
        and len(address.address) in (4, 16)
    ]
    return sorted(
        found, key=lambda one: (len(one.address), one.scope, one.flags & TEMPORARY, one.address)
    )


def primary_index(network: Network) -> int:
    """The interface of the default route that the kernel uses; 0 without a default route."""

    def rank(route: Route) -> tuple[int, int, int, bytes]:
        return (route.family, route.metric, route.interface, route.gateway)

    best = min(network.routes, key=rank, default=None)
    return best.interface if best else 0


def primary_address(network: Network) -> str:
    """The address by which other machines reach this guest; "" if there is none."""
    primary = primary_index(network)
    own = usable(address for address in network.addresses if address.interface == primary)
    found = [address for address in own if address.scope == 0]
    if not found:
        found = [
            address for nic in choose(network) for address in nic.addresses if address.scope == 0
        ]
    return readable(found[0].address) if found else ""


def is_real(
    link: Link, by_index: dict[int, Link], ports: dict[int, list[Link]], depth: int = 8
) -> bool:
    """Whether this link, or one below it, is an interface with its own driver.

    Args:
        link: the link.
        by_index: all links by their numbers.
        ports: the ports of each bridge, bond and the like, by its number.
        depth: how many links to follow.
    """
    if not link.kind:
        return True
    if depth == 0:  # links can form a ring through veth pairs
        return False
    if link.kind in STANDS_ON_LOWER:
        lower = by_index.get(link.lower)
        return lower is not None and is_real(lower, by_index, ports, depth - 1)
    if link.kind in HAS_PORTS:
        own = ports.get(link.interface, [])
        return any(is_real(port, by_index, ports, depth - 1) for port in own)
    return False


def read_resolver(
    host: str, resolv_conf: StrPath, stub: StrPath = STUB, uplink: StrPath = UPLINK
) -> Resolver:
    """How names are resolved, by the rules of the C library and open-vm-tools.

    Args:
        host: the guest's name.
        resolv_conf: resolv.conf(5); if it does not exist, there are no servers.
        stub: if `resolv_conf` is a link to this file, its server is the guest itself.
        uplink: the file with the servers for that case.
    """
    servers, suffixes = parse_resolver(resolv_conf)
    if os.path.realpath(resolv_conf) == os.fspath(stub):
        servers = parse_resolver(uplink)[0] or servers
    if not suffixes and (own := host.partition(".")[2]):
        suffixes = (own,)
    return Resolver(servers, suffixes, host, suffixes[0] if suffixes else "")


def parse_resolver(file: StrPath) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """The servers and suffixes of a resolv.conf; both empty if it cannot be read."""
    try:
        lines = Path(file).read_text("utf-8", "replace").splitlines()
    except OSError:
        return (), ()
    servers: list[bytes] = []
    suffixes: list[str] = []
    for line in lines:
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            servers.append(binary(words[1].partition("%")[0]))
        elif words[:1] == ["search"]:  # the last of several lines is used
            suffixes = words[1:]
        elif words[:1] == ["domain"]:
            suffixes = words[1:2]
    return tuple(server for server in servers if server), tuple(suffixes)


def binary(address: str) -> bytes:
    """An address in bytes; b"" if the text is not an address."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, address)
        except OSError:
            pass
    return b""


def readable(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


# --- XDR ---------------------------------------------------------------------------------------


def encode(network: Network, most_addresses: int = MOST_ADDRESSES) -> bytes:
    """The body of `SetGuestInfo  10` (2048 addresses a NIC) or, for older hosts, 9 (64)."""
    nics = choose(network)
    places = {nic.link.interface: place for place, nic in enumerate(nics)}
    routes = [route for route in network.routes if route.interface in places]
    routes.sort(key=lambda one: (one.family, one.metric, places[one.interface], one.gateway))
    return b"".join(
        [
            word(3, 1, len(nics)),
            *(encode_nic(nic, most_addresses) for nic in nics),
            word(len(routes[:MOST_ROUTES])),
            *(encode_route(route, places[route.interface]) for route in routes[:MOST_ROUTES]),
            encode_resolver(network.resolver),
            word(0, 0, 0),  # no WINS, no DHCPv4, no DHCPv6
        ]
    )


def encode_nic(nic: Nic, most_addresses: int) -> bytes:
    addresses = nic.addresses[:most_addresses]
    mac = ":".join(f"{byte:02x}" for byte in nic.link.mac).encode()
    return b"".join(
        [
            opaque(mac),
            word(len(addresses)),
            *(
                typed(address.address) + word(address.prefix, 0, 1, status(address))  # no origin
                for address in addresses
            ),
            word(0, 0, 0, 0),  # no DNS, WINS, DHCPv4 and DHCPv6 of its own
        ]
    )


def status(address: Address) -> int:
    """The IpAddressStatus (RFC 4293): preferred or deprecated. Other addresses are not reported."""
    return 2 if address.flags & DEPRECATED else 1


def encode_route(route: Route, place: int) -> bytes:
    everywhere = bytes(4 if route.family == socket.AF_INET else 16)
    hop = word(1) + typed(route.gateway) if route.gateway else word(0)
    remote = 4  # ICRT_REMOTE
    return typed(everywhere) + word(0) + hop + word(place, remote, route.metric)


def encode_resolver(resolver: Resolver) -> bytes:
    """An optional DnsConfigInfo."""
    servers = resolver.servers[:MOST_SERVERS]
    suffixes = [name_bytes(suffix) for suffix in resolver.suffixes[:MOST_SUFFIXES]]
    if not servers and not suffixes and not resolver.host:
        return word(0)
    return b"".join(
        [
            word(1, 1),
            opaque(name_bytes(resolver.host)),
            word(1),
            opaque(name_bytes(resolver.domain)),
            word(len(servers)),
            *map(typed, servers),
            word(len(suffixes)),
            *map(opaque, suffixes),
        ]
    )


def name_bytes(name: str) -> bytes:
    """A DnsHostname: at most 255 bytes (RFC 2181)."""
    return name.encode("utf-8", "surrogateescape")[:255]


def word(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def opaque(data: bytes) -> bytes:
    """A length, the bytes, and zeros up to a multiple of four."""
    return word(len(data)) + data + bytes(-len(data) % 4)


def typed(address: bytes) -> bytes:
    """A TypedIpAddress: 1 for IPv4, 2 for IPv6."""
    return word(1 if len(address) == 4 else 2) + opaque(address)
