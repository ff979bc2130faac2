"""One run for the picture: the time of each write before, during and after a quiesced snapshot."""

from __future__ import annotations

import time

from benchmarks import disks
from benchmarks.contenders import freezers
from benchmarks.disks import SIZES
from benchmarks.freezing import METRICS as FREEZE_METRICS
from benchmarks.freezing import Freeze, quiet, settle, taking
from benchmarks.scenario import Measurement, Metric, Place
from benchmarks.writer import Write, Writers

NAME = "picture"
TITLE = "one quiesced snapshot of 100 ms on ext4, write by write"
METRICS: tuple[Metric, ...] = FREEZE_METRICS
CASES: tuple[str, ...] = ("ext4",)

MARGIN = 0.5  # seconds shown before the host's question, and at least so many after the end
SHOWN = 4.6  # seconds shown after the host's question
BIN = 0.005  # seconds; of each only the slowest write is kept


def contenders(case: str) -> dict[str, str]:  # noqa: ARG001 (Scenario)
    return {name: freezers()[name].missing() for name in ("vmtpy", "open-vm-tools")}


def measure(case: str, contender: str, place: Place) -> Measurement:
    with (
        disks.made(case, 1, SIZES[case], place.store, place.work) as made,
        Writers([made.disks[0].path / "writes"], place.shared) as writers,
        freezers()[contender].running(made, place.shared) as guest,
    ):
        settle()
        with made.freezable(), quiet():
            moments = guest.snapshot(taking(0.1))
            end = max(moments.asked + SHOWN, moments.done + MARGIN)
            time.sleep(end - time.monotonic())
            writes = writers.during(moments.asked - MARGIN, end)
        run = Freeze(moments, [[one for one in writes[0] if one.begin <= moments.done]])
        spans = [(one.begin - moments.asked, one.end - moments.asked) for one in run.frozen]
        marks = [moments.asked, moments.commit, moments.taken, moments.done]
        series = {
            "writes": thinned(writes[0], moments.asked),
            "frozen": rounded(spans),
            "marks": rounded([(mark - moments.asked, 0.0) for mark in marks]),
        }
        return Measurement(run.values(), series)


def thinned(writes: list[Write], zero: float) -> list[tuple[float, float]]:
    """(seconds since `zero`, seconds that it took) of the slowest write of each 5 ms."""
    slowest: dict[int, Write] = {}
    for write in writes:
        slot = int((write.begin - zero) // BIN)
        if slot not in slowest or write.duration > slowest[slot].duration:
            slowest[slot] = write
    return rounded([(value.begin - zero, value.duration) for value in slowest.values()])


def rounded(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Rounds to microseconds."""
    return [(round(x, 6), round(y, 6)) for x, y in points]
