"""Results as tables: medians, spread and ratios to vmtpy, on the terminal and for the README."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.runner import Report, Result
from benchmarks.scenario import Metric, Scenario

US = "vmtpy"


def show(console: Console, report: Report, scenario: Scenario) -> None:
    """A table for each case: metrics down, contenders across."""
    console.print(
        f"Median (smallest … largest) of {report.runs}, and how many times vmtpy's it is."
    )
    for case in scenario.CASES:
        results = [result for result in report.results if result.case == case]
        if results:
            console.print(table(f"{report.title}: {case}", results, metrics_of(scenario, results)))
    for contender, lacking in report.missing.items():
        console.print(
            f"{contender} was not measured: this machine lacks {lacking}.", style="yellow"
        )
    for result in report.results:
        for failure in result.failures:
            console.print(f"{result.case}, {result.contender}: a run failed:", style="red")
            console.print(failure, markup=False)


def metrics_of(scenario: Scenario, results: list[Result]) -> list[Metric]:
    """The metrics for which a contender has a value."""
    return [one for one in scenario.METRICS if any(one.key in result.values for result in results)]


def table(title: str, results: list[Result], metrics: list[Metric]) -> Table:
    """The table of one case."""
    made = Table(title=title, title_justify="left", title_style="bold", show_lines=True)
    made.add_column("")
    for result in results:
        made.add_column(result.contender, justify="right")
    ours = next((result for result in results if result.contender == US), None)
    for metric in metrics:
        made.add_row(metric.title, *(cell(result, ours, metric) for result in results))
    return made


def cell(result: Result, ours: Result | None, metric: Metric) -> str:
    median = result.median(metric.key)
    if median is None:
        return "-"
    text = number(median)
    if len(result.values[metric.key]) > 1:
        low, high = result.spread(metric.key)
        text += f"\n({number(low)}…{number(high)})"
    times = ratio(result, ours, metric)
    return f"{text}\n{times}" if times else text


def ratio(result: Result, ours: Result | None, metric: Metric) -> str:
    """The ratio, as "12x"; "" if there is none."""
    if ours is None or result is ours or not metric.ratio:
        return ""
    theirs, our = result.median(metric.key), ours.median(metric.key)
    if theirs is None or not our or our <= 0 or theirs <= 0:
        return ""
    return f"{number(theirs / our)}x"


def number(value: float) -> str:
    """A number with three significant digits and at most two decimal places."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(report: Report, scenario: Scenario) -> str:
    """The medians for the README: a table with a line for each case and metric."""
    names = list(dict.fromkeys(result.contender for result in report.results))
    lines = [f"| {report.title} | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for case in scenario.CASES:
        results = {result.contender: result for result in report.results if result.case == case}
        for metric in metrics_of(scenario, list(results.values())):
            if not metric.ratio and metric.key != "traps":
                continue
            cells = [line_cell(results.get(name), results.get(US), metric) for name in names]
            lines.append(f"| {case}: {metric.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def line_cell(result: Result | None, ours: Result | None, metric: Metric) -> str:
    median = result.median(metric.key) if result else None
    if result is None or median is None:
        return "-"
    times = ratio(result, ours, metric)
    return f"{number(median)} ({times})" if times else number(median)
