"""Plots: bars of medians for each scenario, and the picture of one run. SVG and PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import metrics_of
from benchmarks.runner import Report, Result
from benchmarks.scenario import Metric, Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "vmtpy": "#1b7f5c",
    "vmtpy, one-shot": "#7cc4a8",
    "vmtpy, before": "#7cc4a8",
    "open-vm-tools": "#c2571a",
    "libvmtools (C)": "#c2571a",
    "libvmtools (C), one-shot": "#e6a57c",
    "vmware-rpctool": "#8a4b9c",
    "qemu-ga": "#3d6fb5",
    "fsfreeze": "#8c8c8c",
    "nobody": "#d4d4d4",
}
FROZEN = "#f2c14e"
MARKS = {"the host asks": "-", "commit": "--", "snapshotDone": "-.", "req.done": ":"}
IN_PICTURE = ("vmtpy", "open-vm-tools")
SMALLEST = 0.01  # of a bar on a logarithmic axis


def draw(report: Report, scenario: Scenario, directory: Path) -> list[Path]:
    """Draws a scenario and returns the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "vmtpy"
    mpl.rcParams["svg.fonttype"] = "none"
    if not any(result.values for result in report.results):
        return []
    main = picture(report) if scenario.NAME == "picture" else bars(report, scenario)
    figures = {report.scenario: main}
    if any("gaps" in result.series for result in report.results):
        figures[f"{report.scenario}_picture"] = gaps_picture(report)
    made = []
    for name, figure in figures.items():
        for kind in ("svg", "png"):
            path = directory / f"{name}.{kind}"
            metadata = {"Date": None} if kind == "svg" else None
            figure.savefig(path, dpi=110, metadata=metadata)
            made.append(path)
    return made


def bars(report: Report, scenario: Scenario) -> Figure:
    """One row for each metric that has a ratio: cases across, a bar for each contender."""
    from matplotlib.figure import Figure

    metrics = [one for one in metrics_of(scenario, report.results) if one.ratio]
    cases = [one for one in scenario.CASES if any(r.case == one for r in report.results)]
    width = max(6.0, 1.6 + 1.7 * len(cases))
    figure = Figure(figsize=(width, 2.4 * len(metrics) + 0.6), layout="constrained")
    figure.suptitle(report.title)
    for row, metric in enumerate(metrics):
        bar_row(figure.add_subplot(len(metrics), 1, row + 1), report, metric, cases)
    axes = figure.axes[0]
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def bar_row(axes: Axes, report: Report, metric: Metric, cases: list[str]) -> None:
    names = list(dict.fromkeys(result.contender for result in report.results))
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        mine = {result.case: result for result in report.results if result.contender == name}
        heights = [height(mine.get(case), metric) for case in cases]
        places = [i + (number - (len(names) - 1) / 2) * width for i in range(len(cases))]
        axes.bar(places, heights, width, color=COLOURS.get(name), label=name)
    axes.set_yscale("log")
    axes.set_title(metric.title, fontsize=9, loc="left")
    axes.set_xticks(range(len(cases)), cases, fontsize=7)
    axes.grid(axis="y", alpha=0.3)


def height(result: Result | None, metric: Metric) -> float:
    median = result.median(metric.key) if result else None
    return 0.0 if median is None else max(SMALLEST, median)


def picture(report: Report) -> Figure:
    """Writer latency over time, a row for each contender, on the same axes; frozen spans shaded."""
    from matplotlib.figure import Figure

    results = [result for result in report.results if result.series]
    figure = Figure(figsize=(10, 2.6 * len(results) + 0.8), layout="constrained")
    figure.suptitle(f"{report.title}\n(each point the slowest write of 5 ms)")
    rows = figure.subplots(len(results), 1, sharex=True, sharey=True, squeeze=False)
    for axes, result in zip(rows[:, 0], results, strict=True):
        picture_row(axes, result)
    rows[-1, 0].set_xlabel("seconds since the host asked")
    handles = rows[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6, fontsize=8)
    return figure


def picture_row(axes: Axes, result: Result) -> None:
    colour = COLOURS[result.contender]
    for begin, end in result.series["frozen"]:
        axes.axvspan(begin, end, color=FROZEN, alpha=0.5, lw=0, label="writes wait")
        # The write that waited, from its beginning to its end.
        axes.plot([begin, end], [(end - begin) * 1e3] * 2, color=colour, lw=2)
    times = [point[0] for point in result.series["writes"]]
    waits = [max(point[1], 1e-6) * 1e3 for point in result.series["writes"]]
    axes.plot(times, waits, ".", ms=2.5, color=colour, rasterized=True)
    for (moment, _), (name, style) in zip(result.series["marks"], MARKS.items(), strict=True):
        axes.axvline(moment, color="black", lw=0.8, ls=style, label=name)
    axes.set_yscale("log")
    axes.set_ylabel("a write took, ms")
    beyond = result.values["beyond_ms"][-1]
    axes.set_title(
        f"{result.contender}: writes waited {beyond:.1f} ms longer than the host's snapshot",
        fontsize=10,
        loc="left",
    )
    axes.grid(alpha=0.25)


def gaps_picture(report: Report) -> Figure:
    """For how long no write finished, over time: a row for vmtpy, one for the peer."""
    from matplotlib.figure import Figure

    drawn = [
        result
        for result in report.results
        if "gaps" in result.series and result.contender in IN_PICTURE
    ]
    figure = Figure(figsize=(10, 2.6 * len(drawn) + 0.8), layout="constrained")
    figure.suptitle(f"{drawn[0].case}: a quiesced snapshot of 100 ms\n({report.storage})")
    rows = figure.subplots(len(drawn), 1, sharex=True, sharey=True, squeeze=False)
    for axes, result in zip(rows[:, 0], drawn, strict=True):
        gaps_row(axes, result)
    rows[-1, 0].set_xlabel("seconds since the host asked")
    longest = max(rows[:, 0], key=lambda axes: len(axes.get_legend_handles_labels()[0]))
    figure.legend(
        *longest.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8
    )
    return figure


def gaps_row(axes: Axes, result: Result) -> None:
    """Each gap as a line from its beginning to its end, as high as it is long."""
    colour = COLOURS[result.contender]
    gaps = result.series["gaps"]
    begins, ends = [gap[0] for gap in gaps], [gap[0] + gap[1] for gap in gaps]
    axes.hlines([gap[1] * 1e3 for gap in gaps], begins, ends, color=colour, lw=2)
    axes.plot(begins, [gap[1] * 1e3 for gap in gaps], ".", ms=2, color=colour, rasterized=True)
    moments = [moment for moment, _ in result.series["marks"]]
    names = list(MARKS)
    if len(moments) < len(names):  # it failed: only its two ends are known
        names = [names[0], names[-1]]
    for moment, name in zip(moments, names, strict=True):
        axes.axvline(moment, color="black", lw=0.8, ls=MARKS[name], label=name)
    axes.set_yscale("log")
    axes.set_ylabel("no write for, ms")
    outcome = "; the backup failed" if result.values["failed"][-1] else ""
    beyond = result.values["gap_ms"][-1]
    axes.set_title(
        f"{result.contender}: no write for {beyond:.0f} ms beyond the host's snapshot{outcome}",
        fontsize=10,
        loc="left",
    )
    axes.grid(alpha=0.25)
