"""How long tests wait on a machine that is busy with other things.

Another process may hold the machine for seconds, so a test waits for what must come and does not
measure how soon it came. It tells apart what happened by what it is, in which order, and by limits
that are far from each other: writers go on within PATIENCE of an agent's death, where the freeze's
own limit comes later, and the watchdog of the mount (support/loop.py) fails the test that it had to
thaw for. What is promised in milliseconds is measured by fastest(), and in the benchmarks.
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
