"""One case of `slow` with the image in a file of a disk's filesystem in place of memory.

Its loop device is held to the same rate, so that the disk below has to take that, and no more.
"""

from __future__ import annotations

from benchmarks.scenario import Measurement, Metric, Place
from benchmarks.scenarios import slow

NAME = "slow_file"
TITLE = "quiesce, slow disk, its image a file on a disk"
METRICS: tuple[Metric, ...] = slow.METRICS
CASES: tuple[str, ...] = (slow.PICTURE_CASE,)
STORE = "/var/tmp"


def contenders(case: str) -> dict[str, str]:
    found = slow.contenders(case)
    return {name: found[name] for name in ("vmtpy", "open-vm-tools")}


def measure(case: str, contender: str, place: Place) -> Measurement:
    return slow.measured(slow.CASES_OF[case], contender, place)
