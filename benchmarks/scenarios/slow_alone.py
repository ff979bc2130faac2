"""The disk and the writers of `slow` for a minute, without a backup: what they wait for anyhow.

On btrfs whoever overwrites what is just being written waits for that.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.scenario import Measurement, Metric, Place
from benchmarks.scenarios import slow

NAME = "slow_alone"
TITLE = "a disk slower than its writers, for a minute without a backup"
METRICS: tuple[Metric, ...] = (
    Metric("before_gap_ms", "longest gap between two small writes, ms"),
    Metric("bulk_before_gap_ms", "longest gap between two bulk writes, ms"),
)
CASES: tuple[str, ...] = tuple(case for case in slow.CASES if "disk 40" in case)
WATCHED = 60.0  # seconds


def contenders(case: str) -> dict[str, str]:
    lacking = slow.contenders(case)["vmtpy"]
    return {"nobody": lacking}


def measure(case: str, contender: str, place: Place) -> Measurement:
    rates = replace(slow.CASES_OF[case], before=WATCHED)
    values = slow.measured(rates, contender, place).values
    return Measurement({metric.key: values[metric.key] for metric in METRICS})
