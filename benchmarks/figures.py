"""The figures that vmtpy must reach, and whether the saved results reach them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import US, number
from benchmarks.runner import Report

OPEN_VM_TOOLS = "open-vm-tools"


@dataclass(frozen=True, slots=True)
class Figure:
    """One promise. Of several cases the worst median counts, the peer's as well as ours.

    Attributes:
        title: what is measured.
        scenario, cases, metric: where; `cases` is a glob.
        goal: for people.
        reached: from our number and the peer's (None if it was not measured).
        peer: whose number stands beside ours.
        unit: behind both numbers.
    """

    title: str
    scenario: str
    cases: str
    metric: str
    goal: str
    reached: Callable[[float, float | None], bool]
    peer: str = OPEN_VM_TOOLS
    unit: str = "ms"


def at_most(limit: float) -> Callable[[float, float | None], bool]:
    """Whether vmtpy's number is at most the bound."""
    return lambda ours, _theirs: ours <= limit


STALL = "longest write stall beyond the host's snapshot"
GAP = "longest gap between two writes beyond the host's snapshot"

FIGURES = (
    Figure(f"{STALL}, idle disk", "quiesce", "*", "beyond_ms", "≤ 5 ms", at_most(5)),
    Figure(f"{GAP}, 1 GiB dirty", "dirty", "*1 GiB*", "gap_ms", "≤ 15 ms", at_most(15)),
    Figure(f"{GAP}, 200 MiB/s", "dirty", "*MiB/s", "gap_ms", "≤ 15 ms", at_most(15)),
    *(
        Figure(
            f"{GAP}, {cases}",
            "slow",
            f"{cases}*",
            "any_gap_ms",
            f"≤ {limit} ms",
            at_most(limit),
        )
        for cases, limit in (
            ("ext4, disk 100 MiB/s, writer 50 MiB/s", 150),
            ("ext4, disk 100 MiB/s, writer 90 MiB/s", 250),
            ("ext4, disk 40 MiB/s, writer 100 MiB/s", 250),
            ("xfs, disk 40 MiB/s, writer 100 MiB/s", 250),
            ("btrfs, disk 40 MiB/s, writer 100 MiB/s", 250),
        )
    ),
    Figure("slow disks: backups that fail", "slow", "*", "failed", "none", at_most(0), unit=""),
    Figure(
        "slow disks: the whole backup", "slow", "*", "backup_s", "≤ 60 s", at_most(60), unit="s"
    ),
    Figure(
        "slow disk: told to end → the kernel's bound is put back",
        "slow_end",
        "*",
        "back_ms",
        "≤ 50 ms",
        at_most(50),
    ),
    Figure(
        "32 ext4, 8 MiB dirty each: first → last frozen",
        "many",
        "32 ext4",
        "first_last_ms",
        "≤ 15 ms",
        at_most(15),
    ),
    Figure("start → commit, idle", "quiesce", "*", "start_commit_ms", "≤ 20 ms", at_most(20)),
    Figure(
        "snapshotDone → writers running", "quiesce", "*", "done_running_ms", "≤ 6 ms", at_most(6)
    ),
    Figure("snapshotDone → req.done", "quiesce", "*", "done_done_ms", "≤ 20 ms", at_most(20)),
    Figure(
        "RPC from Python, 16 B, kept channel (peer: C library)",
        "rpc",
        "16 B, in-process",
        "round_trip_us",
        "≤ 1.15 x the C library's",
        lambda ours, theirs: theirs is not None and ours <= 1.15 * theirs,
        "libvmtools (C)",
        "µs",
    ),
    Figure(
        "RPC from Python against a vmware-rpctool process",
        "rpc",
        "16 B, in-process",
        "round_trip_us",
        "≥ 100 x faster",
        lambda ours, theirs: theirs is not None and theirs >= 100 * ours,
        "vmware-rpctool",
        "µs",
    ),
    Figure(
        "one request by a program of its own: processor time",
        "startup",
        "*",
        "cpu_ms",
        "≤ 3 ms",
        at_most(3),
        "vmware-rpctool",
    ),
    # Four traps a second are two polls in 0.5 s each: rounding must not decide.
    Figure("traps each second, idle", "idle", "*", "traps_per_s", "≤ 4", at_most(4.05), unit=""),
    Figure("resident memory", "idle", "*", "resident_mib", "≤ 16 MiB", at_most(16.0), unit="MiB"),
    Figure(
        "`vmtpy demo --size 10G`: start → req.done",
        "demo",
        "*",
        "start_done_ms",
        "≤ 1000 ms",
        at_most(1000),
    ),
)


def table(directory: Path) -> str:
    """A Markdown table of all figures for which the directory has results."""
    lines = ["| | peer | vmtpy | goal | reached |", "|---|---:|---:|---|---|"]
    for figure in FIGURES:
        path = directory / f"{figure.scenario}.json"
        if not path.exists():
            continue
        report = Report.load(path)
        ours, theirs = worst(report, figure, US), worst(report, figure, figure.peer)
        if ours is None:
            continue
        reached = "yes" if figure.reached(ours, theirs) else "**no**"
        values = f"{shown(theirs, figure)} | {shown(ours, figure)}"
        lines.append(f"| {figure.title} | {values} | {figure.goal} | {reached} |")
    return "\n".join(lines)


def worst(report: Report, figure: Figure, contender: str) -> float | None:
    """The largest median of the figure's cases."""
    medians = [
        result.median(figure.metric)
        for result in report.results
        if result.contender == contender and fnmatch.fnmatchcase(result.case, figure.cases)
    ]
    found = [median for median in medians if median is not None]
    return max(found) if found else None


def shown(value: float | None, figure: Figure) -> str:
    return "-" if value is None else f"{number(value)} {figure.unit}".rstrip()
