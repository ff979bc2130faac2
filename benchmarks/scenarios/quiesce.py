"""A quiesced snapshot of one disk to which only the timed writer writes."""

from __future__ import annotations

from benchmarks.freezing import METRICS as FREEZE_METRICS
from benchmarks.freezing import OWN_METRICS, Setting, freeze
from benchmarks.freezing import contenders as all_freezers
from benchmarks.scenario import Measurement, Metric, Place

NAME = "quiesce"
TITLE = "quiesce, idle disk"
METRICS: tuple[Metric, ...] = (*FREEZE_METRICS, *OWN_METRICS)

SETTINGS = {
    f"{fs}, snapshot of {milliseconds} ms": Setting(fs, snapshot=milliseconds / 1e3)
    for fs in ("ext4", "xfs", "btrfs")
    for milliseconds in (0, 100)
}
CASES: tuple[str, ...] = tuple(SETTINGS)


def contenders(case: str) -> dict[str, str]:  # noqa: ARG001 (Scenario)
    return all_freezers()


def measure(case: str, contender: str, place: Place) -> Measurement:
    return Measurement(freeze(contender, SETTINGS[case], place).values())
