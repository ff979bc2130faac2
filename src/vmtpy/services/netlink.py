"""Reads network links, addresses and routes from the kernel by rtnetlink.

It serves nics.py. The formats are those of linux/netlink.h, linux/rtnetlink.h, linux/if_link.h and
linux/if_addr.h, in host byte order and aligned to four bytes.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

NEWLINK, GETLINK = 16, 18
NEWADDR, GETADDR = 20, 22
NEWROUTE, GETROUTE = 24, 26
ERROR, DONE = 2, 3
REQUEST_DUMP = 0x301
DUMP_INTERRUPTED = 0x10
SOL_NETLINK, GET_STRICT_CHK = 270, 12
MAIN_TABLE = 254
# The multicast groups to watch: links, and IPv4 and IPv6 addresses and routes.
CHANGES = 0x1 | 0x10 | 0x100 | 0x40 | 0x400
# A router may have a million routes; the default routes come first in the dump of a table.
MOST_ROUTES = 4096
TIMEOUT = 2.0  # seconds; the kernel normally answers at once
BUFFER = 65536

HEADER = struct.Struct("=IHHII")
LINK = struct.Struct("=BxHiII")
ADDRESS = struct.Struct("=BBBBI")
ROUTE = struct.Struct("=BBBBBBBBI")
ATTRIBUTE = struct.Struct("=HH")


class Link(NamedTuple):
    """A network interface.

    Attributes:
        interface: its number.
        name: "eth0".
        hardware: ARPHRD_…, 1 for Ethernet.
        flags: IFF_….
        mac: the hardware address, 6 bytes for Ethernet.
        kind: "bridge", "veth" and the like for a virtual link; "" for a device with a driver.
        master: the number of the bridge or bond of which it is a port; 0 for none.
        lower: the number of the link on which it stands or with which it is paired; 0 for none.
    """

    interface: int
    name: str
    hardware: int = 1
    flags: int = 0
    mac: bytes = b""
    kind: str = ""
    master: int = 0
    lower: int = 0


class Address(NamedTuple):
    """An address of an interface.

    Attributes:
        interface: its number.
        address: 4 or 16 bytes.
        prefix: its length in bits.
        scope: 0 global, 253 link, 254 host.
        flags: IFA_F_….
    """

    interface: int
    address: bytes
    prefix: int
    scope: int = 0
    flags: int = 0


class Route(NamedTuple):
    """A default route of the main table.

    Attributes:
        family: AF_INET or AF_INET6.
        interface: its number.
        gateway: 4 or 16 bytes; b"" without a gateway.
        metric: the priority; the kernel uses the route with the lowest.
    """

    family: int
    interface: int
    gateway: bytes = b""
    metric: int = 0


def watch() -> socket.socket:
    """A socket that becomes readable when links, addresses or routes change.

    Raises:
        OSError: the kernel has no rtnetlink.
    """
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
    opened.bind((0, CHANGES))
    return opened


def drain(watched: socket.socket) -> None:
    """Discards the messages of a watching socket."""
    try:
        while watched.recv(BUFFER):
            pass
    except BlockingIOError:
        pass
    except OSError:  # ENOBUFS: there were more changes than the socket can hold
        pass


def links() -> list[Link]:
    """All interfaces.

    Raises:
        OSError: the kernel does not answer.
    """
    return [parse_link(body) for kind, body in dump(GETLINK) if kind == NEWLINK]


def addresses() -> list[Address]:
    """All addresses, in the kernel's order.

    Raises:
        OSError: the kernel does not answer.
    """
    return [parse_address(body) for kind, body in dump(GETADDR) if kind == NEWADDR]


def default_routes() -> list[Route]:
    """The default routes of the main table.

    Raises:
        OSError: the kernel does not answer.
    """
    found: list[Route] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for number, (kind, body) in enumerate(dump(GETROUTE, family)):
            # Without IPv6 (ipv6.disable=1) the kernel dumps all other families in its place.
            if kind == NEWROUTE and body[0] == family:
                found += parse_route(body)
            if number >= MOST_ROUTES:
                break
    return found


def dump(request: int, family: int = 0) -> Iterator[tuple[int, bytes]]:
    """The messages of a dump: type and body. A dump that a change interrupts is repeated.

    Of the routes only those in the main table are dumped, since other tables may be as large and
    come before it; before Linux 4.20 it is all tables.
    """
    routes = request == GETROUTE
    body = struct.pack("=B15x", family)
    if routes:
        body = ROUTE.pack(family, 0, 0, 0, MAIN_TABLE, 0, 0, 0, 0)
    messages: list[tuple[int, bytes]] = []
    for _ in range(3):
        messages = []
        interrupted = False
        asked = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        try:
            asked.settimeout(TIMEOUT)
            if routes:
                with suppress(OSError):
                    asked.setsockopt(SOL_NETLINK, GET_STRICT_CHK, 1)
            asked.send(HEADER.pack(HEADER.size + len(body), request, REQUEST_DUMP, 1, 0) + body)
            for kind, flags, content in receive(asked):
                interrupted = interrupted or bool(flags & DUMP_INTERRUPTED)
                messages.append((kind, content))
                if len(messages) > MOST_ROUTES and routes:
                    break
        finally:
            asked.close()
        if not interrupted:
            break
    yield from messages


def receive(asked: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """The messages up to the end of the answer: type, flags, body."""
    while True:
        data = asked.recv(BUFFER)
        for kind, flags, body in split(data):
            if kind == DONE:
                return
            if kind == ERROR:
                code = struct.unpack_from("=i", body)[0]
                raise OSError(-code, "rtnetlink")
            yield kind, flags, body


def split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The messages of one datagram: type, flags, body."""
    at = 0
    while at + HEADER.size <= len(data):
        size, kind, flags, _, _ = HEADER.unpack_from(data, at)
        if size < HEADER.size or at + size > len(data):
            return
        yield kind, flags, data[at + HEADER.size : at + size]
        at += (size + 3) & ~3


def attributes(data: bytes, start: int) -> dict[int, bytes]:
    """The attributes by number, without the flags in the number."""
    found = {}
    at = start
    while at + ATTRIBUTE.size <= len(data):
        size, number = ATTRIBUTE.unpack_from(data, at)
        if size < ATTRIBUTE.size or at + size > len(data):
            break
        found[number & 0x3FFF] = data[at + ATTRIBUTE.size : at + size]
        at += (size + 3) & ~3
    return found


def parse_link(body: bytes) -> Link:
    _, hardware, index, flags, _ = LINK.unpack_from(body)
    found = attributes(body, LINK.size)
    info = attributes(found.get(18, b""), 0)  # IFLA_LINKINFO: IFLA_INFO_KIND 1
    return Link(
        interface=index,
        name=text(found.get(3, b"")),
        hardware=hardware,
        flags=flags,
        mac=found.get(1, b""),
        kind=text(info.get(1, b"")),
        master=number(found.get(10, b"")),
        lower=number(found.get(5, b"")),
    )


def parse_address(body: bytes) -> Address:
    _, prefix, flags, scope, index = ADDRESS.unpack_from(body)
    found = attributes(body, ADDRESS.size)
    address = found.get(2) or found.get(1, b"")  # IFA_LOCAL is ours on a point-to-point link
    return Address(index, address, prefix, scope, number(found.get(8, b"")) or flags)


def parse_route(body: bytes) -> list[Route]:
    """The default routes in a message, one for each next hop; empty for another route."""
    family, bits, _, _, table, _, _, kind, _ = ROUTE.unpack_from(body)
    found = attributes(body, ROUTE.size)
    if bits != 0 or kind != 1 or (number(found.get(15, b"")) or table) != MAIN_TABLE:
        return []
    metric = number(found.get(6, b""))
    if 9 in found:  # RTA_MULTIPATH: rtnexthop {u16 size, u8, u8, i32 index}, then attributes
        return list(next_hops(family, found[9], metric))
    if 4 not in found:
        return []
    return [Route(family, number(found[4]), gateway(found), metric)]


def next_hops(family: int, data: bytes, metric: int) -> Iterator[Route]:
    at = 0
    while at + 8 <= len(data):
        size, _, _, index = struct.unpack_from("=HBBi", data, at)
        if size < 8:
            return
        yield Route(family, index, gateway(attributes(data[at : at + size], 8)), metric)
        at += (size + 3) & ~3


def gateway(found: dict[int, bytes]) -> bytes:
    """RTA_GATEWAY, or RTA_VIA {u16 family, address}, an IPv6 router of an IPv4 route."""
    return found.get(5, b"") or found.get(18, b"")[2:]


def number(data: bytes) -> int:
    return int.from_bytes(data, "little") if len(data) == 4 else 0  # x86-64


def text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("utf-8", "backslashreplace")
