"""An independent reader of the statistics record (open-vm-tools' guestStats.h), with which tests
check the guest's bytes. It shares no code with the package.
"""

from __future__ import annotations

import struct
from typing import NamedTuple


class Value(NamedTuple):
    """A statistic as an independent reader finds it: None where it has no value."""

    kind: int
    unit: int
    value: float | None


def read(record: bytes) -> tuple[tuple[int, int, int, int], dict[int, Value]]:
    """An independent reader of guestStats.h: the fixed part and the statistics by identifier."""
    version, flags, memory = struct.unpack_from("<IIQ", record)
    assert not any(record[16:88]), "no longer used"
    (pages,) = struct.unpack_from("<Q", record, 88)
    assert not any(record[96:112])
    at = 112
    found: dict[int, Value] = {}

    def datum() -> bytes:
        nonlocal at
        (size,) = struct.unpack_from("<H", record, at)
        at += 2 + size
        assert at <= len(record), "truncated"
        return record[at - size : at]

    while at < len(record):
        (fields,) = struct.unpack_from("<I", record, at)
        at += 4
        assert fields & ~0xAE == 0
        assert bool(fields & 0x02) == (not found), "the namespace stands in front of the first"
        if fields & 0x02:
            assert datum() == b"_tools/v1\0"
        identifier, kind, unit = (int.from_bytes(datum(), "little") for _ in range(3))
        value: float | None = None
        if fields & 0x80:
            data = datum()
            if kind == 11:
                formats = {0: None, 4: "<f", 8: "<d"}
                form = formats[len(data)]
                value = struct.unpack(form, data)[0] if form else 0.0
            else:
                assert len(data) in (0, 1, 2, 4, 8)
                value = int.from_bytes(data, "little")
        assert identifier not in found
        found[identifier] = Value(kind, unit, value)
    return (version, flags, memory, pages), found
