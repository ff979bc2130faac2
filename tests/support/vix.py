"""A host's side of VIX: makes the request for the state of the tools, and parses the answer. It
serves the tests of vmtpy and of its peers, and uses no code of theirs.
"""

from __future__ import annotations

import base64
import re
import struct
from typing import NamedTuple

NAME = b'"vmtpy"\0'
GET_TOOLS_STATE = 62
_REQUEST = struct.Struct("<IHIIIIBIIIQII")
HEADER = _REQUEST.size
STRING = 2
VERSION, OS_NAME, HOST_NAME, PRODUCT, OS_SHORT_NAME = 4500, 4503, 4505, 4511, 4520
ORDER = [OS_NAME, OS_SHORT_NAME, PRODUCT, VERSION, HOST_NAME]  # in an answer


def state_request(
    *,
    magic: int = 0xD00D0001,
    version: int = 5,
    total: int = HEADER,
    header: int = HEADER,
    body: int = 0,
    credentials: int = 0,
    op: int = GET_TOOLS_STATE,
) -> bytes:
    """A request as a host sends it, by default without body and credentials."""
    flags = 0x45
    return _REQUEST.pack(
        magic, version, total, header, body, credentials, flags, op, 0, 0, 0x1122334455, 0, 0
    )


class Property(NamedTuple):
    """One property: its id, its type and its bytes."""

    id: int
    type: int
    value: bytes


def parse_answer(answer: bytes) -> tuple[int, int, list[Property]]:
    """The VIX error, the errno and the properties of an answer. Fails if it is not an answer."""
    found = re.fullmatch(rb"OK (\d+) (\d+) ([A-Za-z0-9+/]*={0,2})\0", answer)
    assert found, answer
    left = base64.b64decode(found[3], validate=True)
    properties = []
    while left:
        number, kind, size = struct.unpack_from("<III", left)
        value = left[12 : 12 + size]
        assert len(value) == size, left
        properties.append(Property(number, kind, value))
        left = left[12 + size :]
    return int(found[1]), int(found[2]), properties
