"""Runs a scenario: each run of a contender is a subprocess, and the contenders take turns.

A slow minute of the machine, or its temperature, then affects all contenders alike.
"""

from __future__ import annotations

import datetime
import fnmatch
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import REPOSITORY, machine
from benchmarks.scenario import Scenario

LONGEST_RUN = 600.0  # seconds
MEMORY = "disk images in memory"
LAST_WORDS = 600  # characters kept of a run that failed

Progress = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """All runs of one contender in one case.

    Attributes:
        values: metric → one number for each run that went well.
        series: points to plot, of the last run.
        failures: what the runs that failed had to say.
    """

    case: str
    contender: str
    values: dict[str, list[float]] = field(default_factory=dict)
    series: dict[str, list[list[float]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def runs(self) -> int:
        """How many went well."""
        return max(map(len, self.values.values()), default=0)

    def median(self, key: str) -> float | None:
        """The median of a metric; None if it does not apply or no run succeeded."""
        values = self.values.get(key)
        return statistics.median(values) if values else None

    def spread(self, key: str) -> tuple[float, float]:
        """The smallest and the largest value of a metric."""
        return min(self.values[key]), max(self.values[key])

    def as_dict(self) -> dict[str, Any]:
        """The object for the JSON file."""
        return {
            "case": self.case,
            "contender": self.contender,
            "metrics": {key: self._metric(key) for key in self.values},
            **({"series": self.series} if self.series else {}),
            **({"failures": self.failures} if self.failures else {}),
        }

    def _metric(self, key: str) -> dict[str, object]:
        values = [round(value, 4) for value in self.values[key]]
        low, high = min(values), max(values)
        median = round(statistics.median(values), 4)
        return {"median": median, "min": low, "max": high, "runs": values}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Result:
        """The object from the JSON file."""
        values = {key: one["runs"] for key, one in facts["metrics"].items()}
        series, failures = facts.get("series", {}), facts.get("failures", [])
        return cls(facts["case"], facts["contender"], values, series, failures)


@dataclass(slots=True)
class Report:
    """A scenario with its results, as it stands in its JSON file.

    Attributes:
        storage: what the disk images lie on.
    """

    scenario: str
    title: str
    date: str
    runs: int
    machine: dict[str, Any]
    versions: dict[str, str]
    missing: dict[str, str]
    results: list[Result]
    storage: str = MEMORY

    def save(self, directory: Path) -> Path:
        """Writes SCENARIO.json, with a line for each result, and returns its path."""
        facts = {name: getattr(self, name) for name in self.__slots__ if name != "results"}
        head = json.dumps(facts, indent=1, ensure_ascii=False).removesuffix("\n}")
        lines = [json.dumps(result.as_dict(), ensure_ascii=False) for result in self.results]
        path = directory / f"{self.scenario}.json"
        path.write_text(head + ',\n "results": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n")
        return path

    @classmethod
    def load(cls, path: Path) -> Report:
        """Reads SCENARIO.json."""
        facts = json.loads(path.read_text())
        results = [Result.from_dict(one) for one in facts.pop("results")]
        return cls(results=results, **facts)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be measured of a scenario.

    Attributes:
        runs: of each contender in each case.
        store: directory for disk images.
        cases: globs of cases to keep to; empty for all.
        only: names of contenders to keep to; empty for all.
        ends: on time.monotonic(): no run begins later.
    """

    runs: int
    store: Path
    cases: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ends: float = math.inf

    def wants(self, case: str) -> bool:
        """Whether this case is to be measured."""
        return not self.cases or any(fnmatch.fnmatch(case, glob) for glob in self.cases)


def run(
    scenario: Scenario, order: Order, progress: Progress, out: Path, former: Report | None = None
) -> Report:
    """Measures a scenario, and saves after each run.

    Args:
        scenario: what to measure.
        order: which of it.
        progress: is told before each run.
        out: directory for the JSON file.
        former: results to go on from: what lacks of `order.runs` is added.
    """
    report = Report(
        scenario=scenario.NAME,
        title=scenario.TITLE,
        date=datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        runs=order.runs,
        machine=machine.describe(),
        versions=machine.versions(),
        missing={},
        results=[],
        storage=machine.storage(order.store),
    )
    wanted = wanted_results(scenario, order, report)
    if former is not None:
        wanted = [resumed(former, result) for result in wanted]
        others = [result for result in former.results if result not in wanted]
        report.results = sorted(
            wanted + others, key=lambda result: scenario.CASES.index(result.case)
        )
    else:
        report.results = wanted
    for number in range(1, order.runs + 1):
        for result in wanted:
            if result.runs >= number or time.monotonic() >= order.ends:
                continue
            progress(f"{result.case}, run {number} of {order.runs}: {result.contender}")
            measure(scenario.NAME, result, order.store)
            report.save(out)
    report.runs = min((result.runs for result in report.results), default=0)
    return report


def wanted_results(scenario: Scenario, order: Order, report: Report) -> list[Result]:
    """One for each case and contender, in the order of measuring; notes who is missing."""
    results = []
    for case in filter(order.wants, scenario.CASES):
        for contender, lacking in scenario.contenders(case).items():
            if order.only and contender not in order.only:
                continue
            if lacking:
                report.missing[contender] = lacking
            else:
                results.append(Result(case, contender))
    return results


def resumed(former: Report, result: Result) -> Result:
    """The former result of this case and contender, without what had failed; else the new one."""
    for earlier in former.results:
        if (earlier.case, earlier.contender) == (result.case, result.contender):
            earlier.failures = []
            return earlier
    return result


def measure(scenario: str, result: Result, store: Path) -> None:
    """Does one run and adds it to the result."""
    command = [sys.executable, "-m", "benchmarks.child", scenario, result.case]
    command += [result.contender, str(store.resolve())]
    stolen = machine.stolen()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        output, errors = process.communicate(timeout=LONGEST_RUN)
    except BaseException as error:  # it thaws and cleans up, also for Ctrl-C
        process.terminate()
        output, errors = process.communicate(timeout=LONGEST_RUN)
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
    if process.returncode != 0:
        result.failures.append(errors.strip()[-LAST_WORDS:] or f"exit code {process.returncode}")
        return
    facts = json.loads(output.splitlines()[-1])
    for key, value in facts["values"].items():
        result.values.setdefault(key, []).append(value)
    result.values.setdefault("stolen_ms", []).append((machine.stolen() - stolen) * 1e3)
    result.series = facts["series"]
