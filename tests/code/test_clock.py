"""A clock that is stepped changes no deadline: the core reads the monotonic one. The clock of the
wall is read once, for the record, and by what compares and sets it.
"""

from __future__ import annotations

import re
from pathlib import Path

CORE = Path(__file__).parent.parent.parent / "csrc/core"
WALL = re.compile(r"system_clock|CLOCK_REALTIME|gettimeofday|\btime\((?:nullptr|NULL|0)\)")
ALLOWED = {"session.cpp": 1}  # started_unix_ns


def test_the_core_reads_the_clock_of_the_wall_for_the_record_only() -> None:
    found = {
        file.name: len(WALL.findall(file.read_text()))
        for file in sorted(CORE.iterdir())
        if WALL.search(file.read_text())
    }
    assert found == ALLOWED
