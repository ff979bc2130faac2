"""The table of the project's README: vmtpy beside open-vm-tools, from the results at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import OPEN_VM_TOOLS, Figure, at_most, worst
from benchmarks.report import US
from benchmarks.runner import Report

HEADER = """\
| measured on one machine, in turns; disk images in memory | open-vm-tools 12.2 | vmtpy |
|---|---:|---:|
"""
# What no number tells.
LAST = """\
| killed while frozen | stays frozen | thawed within milliseconds |
| what the host can show an administrator | "Error when enabling the sync provider." \
| path, errno, and the process that prevents the freeze |
"""

Text = Callable[[Report, Figure, str], str]


def rounded(value: float, unit: str) -> str:
    """As people say it: whole milliseconds; seconds from ten thousand of them on."""
    if unit == "ms" and value >= 10000:
        return f"{value / 1000:.0f} s"
    if unit == "MiB" or (unit == "" and value < 10):
        return f"{value:.1f} {unit}".rstrip()
    return f"{value:.0f} {unit}".rstrip()


def plain(report: Report, figure: Figure, contender: str) -> str:
    """The worst median."""
    value = worst(report, figure, contender)
    return "-" if value is None else rounded(value, figure.unit)


def with_failures(report: Report, figure: Figure, contender: str) -> str:
    """The worst median, and whether the backup failed meanwhile."""
    failed = worst(report, Figure("", "", figure.cases, "failed", "", at_most(0)), contender)
    return plain(report, figure, contender) + (", the backup fails" if failed else "")


def program(report: Report, figure: Figure, contender: str) -> str:
    """Processor time and memory of a program that asks once."""
    (result,) = (measured for measured in report.results if measured.contender == contender)
    cpu, memory = result.median("cpu_ms"), result.median("memory_mib")
    if cpu is None or memory is None:
        return "-"
    name = "vmtpy-rpctool" if contender == US else figure.peer
    return f"{two_digits(cpu)} ms, {two_digits(memory)} MiB (`{name}`)"


def two_digits(value: float) -> str:
    return f"{value:.2f}" if value < 1 else f"{value:.1f}"


def by_rpctool(report: Report, figure: Figure, contender: str) -> str:
    text = plain(report, figure, contender)
    return f"{text} (`vmware-rpctool`)" if contender == figure.peer else text


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the figure's title, the peer, vmtpy."""

    figure: Figure
    text: Text = plain


def row(
    title: str,
    where: tuple[str, str, str],
    unit: str = "ms",
    peer: str = OPEN_VM_TOOLS,
    text: Text = plain,
) -> Row:
    scenario, cases, metric = where
    return Row(Figure(title, scenario, cases, metric, "", at_most(0), peer, unit), text)


SLOW = "the same, disk held to {} MiB/s under a writer of {} MiB/s"


def slow_row(title: str, case: str, scenario: str = "slow") -> Row:
    return row(title, (scenario, f"{case}*", "any_gap_ms"), text=with_failures)


ROWS = (
    row(
        "longest wait of a write beyond the host's snapshot, idle disk",
        ("quiesce", "*", "beyond_ms"),
    ),
    row(
        "longest gap between two writes beyond it, 1 GiB of dirty pages",
        ("dirty", "*1 GiB*", "gap_ms"),
    ),
    slow_row(SLOW.format(100, 50), "ext4, disk 100 MiB/s, writer 50"),
    slow_row(SLOW.format(100, 90), "ext4, disk 100 MiB/s, writer 90"),
    slow_row(SLOW.format(40, 100), "ext4, disk 40"),
    slow_row(SLOW.format(40, 100) + ", xfs", "xfs, disk 40"),
    slow_row(SLOW.format(40, 100) + ", btrfs", "btrfs, disk 40"),
    slow_row(
        SLOW.format(40, 100) + ", btrfs, limited behind its queue",
        "btrfs, disk 40",
        scenario="slow_queue",
    ),
    row("32 filesystems, from the first freeze to the last", ("many", "32 ext4", "first_last_ms")),
    row(
        "from the host's start to the report that all is frozen",
        ("quiesce", "*", "start_commit_ms"),
    ),
    row("from the end of the host's snapshot to `req.done`", ("quiesce", "*", "done_done_ms")),
    row(
        "an RPC from Python",
        ("rpc", "16 B, in-process", "round_trip_us"),
        "µs",
        "vmware-rpctool",
        by_rpctool,
    ),
    row(
        "one request by a program of its own: processor time, memory",
        ("startup", "*", "cpu_ms"),
        peer="vmware-rpctool",
        text=program,
    ),
    row("idle: traps each second", ("idle", "*", "traps_per_s"), ""),
    row("idle: resident memory", ("idle", "*", "resident_mib"), "MiB"),
)


def table(directory: Path) -> str:
    """Markdown: each row of which there are results in the directory."""
    lines = []
    for line in ROWS:
        path = directory / f"{line.figure.scenario}.json"
        if not path.exists():
            continue
        report = Report.load(path)
        if worst(report, line.figure, US) is None:
            continue
        theirs = line.text(report, line.figure, line.figure.peer)
        lines.append(f"| {line.figure.title} | {theirs} | {line.text(report, line.figure, US)} |\n")
    return HEADER + "".join(lines) + LAST
