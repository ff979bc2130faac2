"""A quiesced snapshot of a disk with 1 GiB of dirty pages, or with a writer of 200 MiB/s."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import native
from benchmarks.disks import Disk
from benchmarks.freezing import METRICS as FREEZE_METRICS
from benchmarks.freezing import OWN_METRICS, Setting, freeze
from benchmarks.freezing import contenders as all_freezers
from benchmarks.scenario import Measurement, Metric, Place

NAME = "dirty"
TITLE = "quiesce, dirty disk"
METRICS: tuple[Metric, ...] = (
    *FREEZE_METRICS,
    *OWN_METRICS,
    Metric("dirty_mib", "dirty pages when the host asks, MiB", ratio=False),
)

SIZE = 3 << 30
DIRTY = 1 << 30
RATE_MIB = 200
BLOCK = 4 << 20

dirty_before: list[float] = []


def note_dirty() -> None:
    """Notes the kernel's number of dirty MiB at this moment."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("Dirty:"))
    dirty_before.append(int(kilobytes) / 1024)


def dirty_pages(disks: Sequence[Disk]) -> Iterator[None]:
    """Leaves 1 GiB in the page cache, spread over the disks."""
    block = os.urandom(BLOCK)
    for disk in disks:
        with (disk.path / "dirty").open("wb", buffering=0) as file:
            for _ in range(DIRTY // len(disks) // BLOCK):
                file.write(block)
    note_dirty()
    yield


def steady_writer(disks: Sequence[Disk]) -> Iterator[None]:
    """Overwrites 512 MiB at 200 MiB/s during the run."""
    command = [str(native.compiled("load")), str(disks[0].path / "load"), str(RATE_MIB), "512"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd="/") as load:
        try:
            assert load.stdout is not None
            load.stdout.readline()
            note_dirty()
            yield
        finally:
            load.terminate()


SETTINGS = {
    f"{fs}, {what}": Setting(fs, size=SIZE, snapshot=0.1, prepare=prepare)
    for what, prepare in (("1 GiB dirty", dirty_pages), ("200 MiB/s", steady_writer))
    for fs in ("ext4", "xfs", "btrfs")
}
CASES: tuple[str, ...] = tuple(SETTINGS)


def contenders(case: str) -> dict[str, str]:  # noqa: ARG001 (Scenario)
    return all_freezers()


def measure(case: str, contender: str, place: Place) -> Measurement:
    values = freeze(contender, SETTINGS[case], place).values()
    return Measurement(values | {"dirty_mib": dirty_before[-1]})
