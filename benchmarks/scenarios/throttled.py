"""A quiesced snapshot of a virtual machine whose disk QEMU throttles, as shared storage is.

Agent and writers run in a test machine of tests/vm, by software emulation: the figures compare the
agents, and are larger than on a real processor. A bulk writer dirties pages from before the host
asks; a small writer beside it writes 4 KiB each 2 ms.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from benchmarks.contenders import freezers, vmtpy_agent
from benchmarks.emulated import Snapshot
from benchmarks.freezing import beyond
from benchmarks.scenario import Measurement, Metric, Place
from benchmarks.writer import Write

NAME = "throttled"
TITLE = "quiesce, virtual machine on a throttled disk, by software emulation"
METRICS: tuple[Metric, ...] = (
    Metric("failed", "backups that failed, 1 of 1", ratio=False),
    Metric("gap_ms", "longest gap between two small writes beyond the host's snapshot, ms"),
    Metric("bulk_gap_ms", "longest gap between two bulk writes beyond the host's snapshot, ms"),
    Metric("before_gap_ms", "the same of the small writer before the host asks, ms", ratio=False),
    Metric("backup_s", "the whole backup, s"),
    Metric("own_paced_ms", "its own record: writers slowed down for, ms", ratio=False),
    Metric("own_expected_ms", "its own record: freeze, as expected, ms", ratio=False),
    Metric("own_freeze_ms", "its own record: first freeze → all frozen, ms", ratio=False),
)
# MiB/s and requests/s of the disk, MiB/s of the bulk writer.
CASES_OF = {
    "disk 8 MiB/s, writer 4 MiB/s": (8, 0, 4),
    "disk 4 MiB/s, writer 8 MiB/s": (4, 0, 8),
    "disk 20 requests/s, writer 8 MiB/s": (0, 20, 8),
}
CASES: tuple[str, ...] = tuple(CASES_OF)
CONTENDERS = ("vmtpy", "open-vm-tools")
KERNEL = "6.12"
TESTS = Path(__file__).parents[2] / "tests"


def support(name: str) -> Any:  # noqa: ANN401 (a module of the tests, which are no package)
    """A module of tests/support."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    return importlib.import_module(f"support.{name}")


def contenders(case: str) -> dict[str, str]:  # noqa: ARG001 (Scenario)
    missing = support("roots").missing(KERNEL)
    return {name: missing or freezers()[name].missing() for name in CONTENDERS}


def measure(case: str, contender: str, place: Place) -> Measurement:
    throttled = support("throttled")
    agent = throttled.VMTPY if contender == "vmtpy" else throttled.OPEN_VM_TOOLS
    rate, requests, load = CASES_OF[case]
    with throttled.throttled_guest(KERNEL, place.shared) as machine:
        backup = throttled.back_up(machine, agent, throttled.Limits(rate, requests), load)
    values = figures(backup)
    if backup.record and not values["failed"]:
        values |= vmtpy_agent.own(backup.record)
    return Measurement(values)


def figures(backup: Any) -> dict[str, float]:  # noqa: ANN401
    """The metrics."""
    moments = backup.moments
    asked, ended = moments["start"], moments["backup ended"]
    commit = moments.get("frozen", ended)
    taken = moments.get("snapshot taken", commit)
    snapshot = Snapshot(asked, asked, commit, taken, ended)

    def longest(kind: str, begin: float, end: float) -> float:
        within = [Write(*gap) for gap in backup.gaps[kind] if gap[1] >= begin and gap[0] <= end]
        return max((beyond(gap, snapshot) for gap in within), default=0.0) * 1e3

    return {
        "failed": 0.0 if backup.outcome == "done" else 1.0,
        "gap_ms": longest("small", asked, float("inf")),
        "bulk_gap_ms": longest("bulk", asked, float("inf")),
        "before_gap_ms": longest("small", 0.0, asked),
        "backup_s": ended - asked,
    }
