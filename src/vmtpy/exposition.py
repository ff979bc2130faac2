"""Writes metrics in the text format of Prometheus, version 0.0.4.

prometheus-client would cost the agent 10 MiB of memory. The tests read the result with its parser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = dict[str, str]


class Family(NamedTuple):
    """All series of one name.

    Attributes:
        name: the name; that of a counter ends in "_total".
        kind: "counter", "gauge" or "histogram".
        words: the help text, one line.
        samples: the suffix of the name, the labels and the value of each series.
    """

    name: str
    kind: str
    words: str
    samples: list[tuple[str, Labels, float]]


def counter(name: str, words: str, value: float) -> Family:
    return Family(name, "counter", words, [("", {}, value)])


def counters(name: str, words: str, label: str, values: Mapping[str, float]) -> Family:
    """A counter for each value of one label."""
    samples = [("", {label: key}, value) for key, value in values.items()]
    return Family(name, "counter", words, samples)


def gauge(name: str, words: str, value: float, labels: Labels | None = None) -> Family:
    return Family(name, "gauge", words, [("", labels or {}, value)])


def gauges(name: str, words: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    """A gauge for each set of labels. Without samples the family has only its help text."""
    return Family(name, "gauge", words, [("", labels, value) for labels, value in samples])


class Histogram:
    """A histogram of seconds. One thread calls observe(); any thread may read."""

    def __init__(self, name: str, words: str, bounds: tuple[float, ...]) -> None:
        self._name = name
        self._words = words
        self._bounds = bounds
        # The tuple is replaced as a whole, so that a reader never sees a count without its sum.
        self._state: tuple[tuple[int, ...], float] = ((0,) * (len(bounds) + 1), 0.0)

    def observe(self, value: float) -> None:
        counts, total = self._state
        place = sum(value > bound for bound in self._bounds)
        counts = (*counts[:place], counts[place] + 1, *counts[place + 1 :])
        self._state = (counts, total + value)

    def family(self) -> Family:
        counts, total = self._state
        samples: list[tuple[str, Labels, float]] = []
        so_far = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
            so_far += count
            samples.append(("_bucket", {"le": bound}, so_far))
        samples += [("_count", {}, so_far), ("_sum", {}, total)]
        return Family(self._name, "histogram", self._words, samples)


def render(families: Iterable[Family]) -> bytes:
    """The page."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {_escaped(family.words)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for suffix, labels, value in family.samples:
            pairs = ",".join(f'{key}="{_quoted(text)}"' for key, text in labels.items())
            lines.append(
                f"{family.name}{suffix}{'{' + pairs + '}' if pairs else ''} {float(value)!r}"
            )
    # A path may contain bytes that are not UTF-8.
    text = "".join(f"{line}\n" for line in lines)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
