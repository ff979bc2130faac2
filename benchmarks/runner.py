"""Runs a scenario: one subprocess for each contender and run, the contenders taking turns.

So that a slow minute of the machine, or its temperature, hits all alike.
"""

from __future__ import annotations

import datetime
import fnmatch
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import REPOSITORY, machine
from benchmarks.scenario import Scenario

LONGEST_RUN = 300.0  # seconds
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

    def median(self, key: str) -> float | None:
        """Of one metric; None if it does not apply or nothing went well."""
        values = self.values.get(key)
        return statistics.median(values) if values else None

    def spread(self, key: str) -> tuple[float, float]:
        """The smallest and the largest."""
        return min(self.values[key]), max(self.values[key])

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
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
        """From the JSON file."""
        values = {key: one["runs"] for key, one in facts["metrics"].items()}
        series, failures = facts.get("series", {}), facts.get("failures", [])
        return cls(facts["case"], facts["contender"], values, series, failures)


@dataclass(slots=True)
class Report:
    """A scenario with its results, as it stands in its JSON file."""

    scenario: str
    title: str
    date: str
    runs: int
    machine: dict[str, Any]
    versions: dict[str, str]
    missing: dict[str, str]
    results: list[Result]

    def save(self, directory: Path) -> Path:
        """Writes SCENARIO.json, a line for each result; its path."""
        facts = {name: getattr(self, name) for name in self.__slots__ if name != "results"}
        head = json.dumps(facts, indent=1, ensure_ascii=False).removesuffix("\n}")
        lines = [json.dumps(result.as_dict(), ensure_ascii=False) for result in self.results]
        path = directory / f"{self.scenario}.json"
        path.write_text(head + ',\n "results": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n")
        return path

    @classmethod
    def load(cls, path: Path) -> Report:
        """Reads it back."""
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
    """

    runs: int
    store: Path
    cases: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def wants(self, case: str) -> bool:
        """Whether this case is to be measured."""
        return not self.cases or any(fnmatch.fnmatch(case, glob) for glob in self.cases)


def run(scenario: Scenario, order: Order, progress: Progress) -> Report:
    """Measures a scenario; `progress` is told before each run."""
    report = Report(
        scenario=scenario.NAME,
        title=scenario.TITLE,
        date=datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        runs=order.runs,
        machine=machine.describe(),
        versions=machine.versions(),
        missing={},
        results=[],
    )
    for case in filter(order.wants, scenario.CASES):
        results = []
        for contender, lacking in scenario.contenders(case).items():
            if order.only and contender not in order.only:
                continue
            if lacking:
                report.missing[contender] = lacking
            else:
                results.append(Result(case, contender))
        for number in range(1, order.runs + 1):
            for result in results:
                progress(f"{case}, run {number} of {order.runs}: {result.contender}")
                measure(scenario.NAME, result, order.store)
        report.results += results
    return report


def measure(scenario: str, result: Result, store: Path) -> None:
    """One run, added to the result."""
    command = [sys.executable, "-m", "benchmarks.child", scenario, result.case]
    command += [result.contender, str(store.resolve())]
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
    result.series = facts["series"]
