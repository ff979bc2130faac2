"""An independent reader of XDR (RFC 4506) and of the NIC record of nicinfo.x, with which tests
check the guest's bytes. It shares no code with the package.
"""

from __future__ import annotations

import ipaddress
from typing import Any

# RFC 4293; None where the guest does not say.
ORIGINS = (None, 1, 2, 4, 5, 6)
STATES = (None, 1, 2, 3, 4, 5, 6, 7, 8)


class Xdr:
    """Reads values from the front; at the end no byte may be left."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def u32(self) -> int:
        self.at += 4
        assert self.at <= len(self.data), "truncated"
        return int.from_bytes(self.data[self.at - 4 : self.at], "big")

    def opaque(self) -> bytes:
        size = self.u32()
        value = self.data[self.at : self.at + size]
        assert len(value) == size, "truncated"
        padded = -(-size // 4) * 4
        assert not any(self.data[self.at + size : self.at + padded]), "padding is zero"
        self.at += padded
        return value

    def optional(self, read: Any) -> Any:  # noqa: ANN401
        flag = self.u32()
        assert flag in (0, 1)
        return read() if flag else None

    def array(self, read: Any, most: int) -> list[Any]:  # noqa: ANN401
        count = self.u32()
        assert count <= most
        return [read() for _ in range(count)]

    def address(self) -> str:
        family, data = self.u32(), self.opaque()
        assert (family, len(data)) in ((1, 4), (2, 16))
        return str(ipaddress.ip_address(data))


def read_nics(data: bytes) -> dict[str, Any]:
    """Version 3 of GuestNicProto as plain values."""
    xdr = Xdr(data)

    def entry() -> str:
        address = xdr.address()
        prefix = xdr.u32()
        assert xdr.optional(xdr.u32) in ORIGINS
        assert xdr.optional(xdr.u32) in STATES
        return f"{address}/{prefix}"

    def dns() -> dict[str, Any]:
        return {
            "host": xdr.optional(xdr.opaque),
            "domain": xdr.optional(xdr.opaque),
            "servers": xdr.array(xdr.address, 16),
            "suffixes": [element.decode() for element in xdr.array(xdr.opaque, 10)],
        }

    def nothing() -> None:
        raise AssertionError("this has no place here")

    def nic() -> dict[str, Any]:
        found = {"mac": xdr.opaque().decode(), "ips": xdr.array(entry, 2048)}
        assert len(found["mac"]) <= 18
        assert xdr.optional(dns) is None
        for _ in range(3):
            xdr.optional(nothing)
        return found

    def route() -> dict[str, Any]:
        return {
            "to": f"{xdr.address()}/{xdr.u32()}",
            "via": xdr.optional(xdr.address),
            "nic": xdr.u32(),
            "type": xdr.u32(),
            "metric": xdr.u32(),
        }

    assert xdr.u32() == 3, "version"
    assert xdr.u32() == 1, "the record is there"
    found = {"nics": xdr.array(nic, 16), "routes": xdr.array(route, 100), "dns": xdr.optional(dns)}
    for _ in range(3):
        xdr.optional(nothing)
    assert xdr.at == len(data), "bytes after the end"
    return found
