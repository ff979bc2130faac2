"""Reads ESXi's statistics of this virtual machine: the resources that it has been granted and uses.

It serves `vmtpy-toolbox-cmd stat`. The host answers `guestlib.info.get 3` with a version, a session
and statistics in XDR; numbers and types are those of open-vm-tools' libguestlib/guestlibV3.x.
Version 2, of hosts before ESX 4, is not supported.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from vmtpy.errors import RpcError, VmtError

if TYPE_CHECKING:
    from vmtpy.rpci import Rpci

VERSION = 3
REQUEST = b"guestlib.info.get %d" % VERSION
HEAD = struct.Struct("<IQI")  # version, session, length of the statistics
# Identifiers in the protocol.
CPU_RESERVATION, CPU_LIMIT = 1, 2
MEMORY_RESERVATION, MEMORY_LIMIT = 6, 7
MEMORY_BALLOONED, MEMORY_SWAPPED = 12, 13
# All other statistics are 32-bit numbers.
NUMBERS_64 = (4, 17, 19, 20, *range(22, 31), 38)
TEXTS = (18, 37)
LAST = 38


class GuestLibError(VmtError):
    """The host has no such statistics, or its answer is malformed."""


class Statistics(NamedTuple):
    """The host's statistics.

    Attributes:
        session: a number that changes when the virtual machine is moved, suspended or restarted.
        values: the values by identifier; None if the host has no value.
        known: the number of statistics that this host knows.
    """

    session: int
    values: dict[int, int | bytes | None]
    known: int


def read(rpci: Rpci) -> Statistics:
    """Asks the host.

    Raises:
        GuestLibError: the host refuses, or its answer is malformed.
    """
    try:
        answer = rpci.call(REQUEST)
    except RpcError as error:
        raise GuestLibError("VMware Guest API is not enabled on the host") from error
    return parse(answer)


def parse(answer: bytes) -> Statistics:
    """The statistics in an answer, up to the first that this version does not know.

    Raises:
        GuestLibError: the answer is malformed.
    """
    try:
        version, session, size = HEAD.unpack_from(answer)
        data = answer[HEAD.size : HEAD.size + size]
        if version != VERSION or len(data) != size:
            raise GuestLibError("Other error")
        count = min(struct.unpack_from(">I", data)[0], LAST)
        values: dict[int, int | bytes | None] = {}
        place = 4
        for expected in range(1, count + 1):
            identifier, valid = struct.unpack_from(">Ii", data, place)
            if identifier != expected:
                raise GuestLibError("Other error")
            value, place = _value(data, place + 8, identifier)
            values[identifier] = value if valid else None
    except struct.error as error:
        raise GuestLibError("Other error") from error
    return Statistics(session, values, count)


def _value(data: bytes, place: int, identifier: int) -> tuple[int | bytes, int]:
    """A value, and the place of the next statistic."""
    if identifier in NUMBERS_64:
        return struct.unpack_from(">Q", data, place)[0], place + 8
    (number,) = struct.unpack_from(">I", data, place)
    if identifier not in TEXTS:
        return number, place + 4
    end = place + 4 + number
    if end > len(data):
        raise GuestLibError("Other error")
    return data[place + 4 : end], end + -number % 4
