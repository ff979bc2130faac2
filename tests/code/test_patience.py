"""No test fails because the machine is busy: none bounds what really passes, or waits only shortly
for what must come (tests/support/patience.py).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(file for file in TESTS.rglob("*.py") if file != Path(__file__))
CLOCK = r"(?:time\.)?(?:monotonic|perf_counter)\(\)"
BOUND = re.compile(rf"{CLOCK} - [\w.]+(?: - [\w.]+)* <=? (?!PATIENCE\b)")
# A second and more: less than that is for what need not come.
SHORT = re.compile(rf"{CLOCK} \+ [1-5]?[0-9](?![0-9.])")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_real_time_is_neither_bounded_nor_waited_for_only_shortly(file: Path) -> None:
    lines = enumerate(file.read_text().splitlines(), 1)
    found = [
        f"{number}: {line}" for number, line in lines if BOUND.search(line) or SHORT.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "assert time.monotonic() - began < 0.1",
        "assert time.monotonic() - began - ran <= limit",
        "deadline = time.monotonic() + 10",
    ],
)
def test_such_a_line_would_be_found(line: str) -> None:
    assert BOUND.search(line) or SHORT.search(line)
