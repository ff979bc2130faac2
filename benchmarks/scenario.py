"""The interface of a scenario: cases, contenders and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a measurement.

    Attributes:
        key: in the JSON; ends in its unit.
        title: in tables.
        ratio: a table of ratios to vmtpy makes sense; the smaller number is the better one.
    """

    key: str
    title: str
    ratio: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run may put things; all of it is deleted after the run.

    Attributes:
        store: directory for disk images.
        work: fresh directory for mount points.
        shared: fresh directory on a tmpfs.
    """

    store: Path
    work: Path
    shared: Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """Outcome of one run: a number for each metric that applies, and points to plot."""

    values: dict[str, float]
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


class Scenario(Protocol):
    """A module of benchmarks.scenarios.

    Attributes:
        NAME: on the command line and of the JSON file.
        TITLE: one line for people.
        METRICS: in the order of the tables.
        CASES: names, in the order of the tables.
    """

    NAME: str
    TITLE: str
    METRICS: tuple[Metric, ...]
    CASES: tuple[str, ...]

    def contenders(self, case: str) -> dict[str, str]:
        """The contenders of a case: name → what it lacks here, "" if nothing."""

    def measure(self, case: str, contender: str, place: Place) -> Measurement:
        """Does one run; it is called in a new process."""
