"""Makes the host's answer to `guestlib.info.get 3`, independently of the code that reads it."""

from __future__ import annotations

import struct

SESSION = 0x1234567890ABCDEF
WIDE = {4, 17, 19, 20, 22, 23, 24, 25, 26, 27, 28, 29, 30, 38}
OPAQUE = {18, 37}


def statistic(identifier: int, value: int | bytes, *, valid: bool = True) -> bytes:
    """One statistic, in XDR."""
    head = struct.pack(">II", identifier, valid)
    if isinstance(value, bytes):
        return head + struct.pack(">I", len(value)) + value + bytes(-len(value) % 4)
    return head + struct.pack(">Q" if identifier in WIDE else ">I", value)


def answer(
    *,
    count: int = 38,
    invalid: tuple[int, ...] = (),
    version: int = 3,
    session: int = SESSION,
    announced: int | None = None,
) -> bytes:
    """An answer in which each number is 1000 and its identifier.

    Args:
        count: how many statistics there are.
        invalid: those without a value.
        version, session: of the head.
        announced: how many the list says it has; count.
    """
    parts = [struct.pack(">I", count if announced is None else announced)]
    for identifier in range(1, count + 1):
        value = b"/host/user/pool1" if identifier in OPAQUE else 1000 + identifier
        parts.append(statistic(identifier, value, valid=identifier not in invalid))
    data = b"".join(parts)
    return struct.pack("<IQI", version, session, len(data)) + data
