"""The times for which tests wait on a busy machine.

Another process may hold the machine for seconds, so a test waits for an event and does not measure
how soon it comes. It distinguishes outcomes by what happened, by the order, and by limits that are
far apart: writers continue within PATIENCE of an agent's death, while the limit of the freeze is
later, and the mount's watchdog (support/loop.py) fails a test for which it had to thaw. fastest()
and the benchmarks measure what is promised in milliseconds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0  # seconds for whatever must come; pytest-timeout ends a test that takes much longer
FAR = 240.0  # seconds of a limit that must not matter to a test: the longest that there is
TURNS = 20  # of what other processes may delay


def await_true(condition: Callable[[], bool], what: Callable[[], object] = str) -> None:
    """Waits until `condition` holds. Raises AssertionError with what() if it does not come true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.001)


def fastest(measure: Callable[[], float], bound: float) -> float:
    """Measures until one result, in seconds, is below `bound`; the smallest after TURNS results.

    Other processes make some results long. What the code under test waits for makes all of them
    long.
    """
    results: list[float] = []
    while len(results) < TURNS and (not results or results[-1] >= bound):
        results.append(measure())
    return min(results)
