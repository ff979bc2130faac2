"""A quiesced snapshot of 1, 8 and 32 disks with 8 MiB of dirty pages each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from benchmarks.disks import Disk
from benchmarks.freezing import METRICS as FREEZE_METRICS
from benchmarks.freezing import OWN_METRICS, Setting, freeze
from benchmarks.freezing import contenders as all_freezers
from benchmarks.scenario import Measurement, Metric, Place

NAME = "many"
TITLE = "quiesce, many disks"
# As the writers see it: they write every 2 ms, so that 32 of them leave the processors free.
METRICS: tuple[Metric, ...] = (
    Metric("first_last_ms", "first → last frozen, ms"),
    *FREEZE_METRICS,
    *OWN_METRICS,
)

SIZE = 64 << 20
DIRTY = 8 << 20


def dirty_pages(disks: Sequence[Disk]) -> Iterator[None]:
    """Leaves 8 MiB of each disk in the page cache."""
    block = os.urandom(1 << 20)
    for disk in disks:
        with (disk.path / "dirty").open("wb", buffering=0) as file:
            for _ in range(DIRTY // len(block)):
                file.write(block)
    yield


SETTINGS = {
    f"{count} ext4": Setting("ext4", count, SIZE, 0.1, pause=2e-3, prepare=dirty_pages)
    for count in (1, 8, 32)
}
CASES: tuple[str, ...] = tuple(SETTINGS)


def contenders(case: str) -> dict[str, str]:  # noqa: ARG001 (Scenario)
    return all_freezers()


def measure(case: str, contender: str, place: Place) -> Measurement:
    return Measurement(freeze(contender, SETTINGS[case], place).values())
