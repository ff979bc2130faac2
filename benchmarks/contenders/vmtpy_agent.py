"""`vmtpy run` as users start it, with only the disks of the benchmark to freeze."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import vmtpy
from benchmarks.disks import Disks, UnsafeError
from benchmarks.emulated import EmulatedGuest, GuestError, Snapshot, emulated, text_of
from vmtpy import _core

NAME = "vmtpy"


def missing() -> str:
    return ""


def version() -> str:
    return vmtpy.__version__


def command(*arguments: str) -> list[str]:
    """The agent's command line, which ignores this machine's configuration."""
    return [sys.executable, "-m", "vmtpy", "run", "--config", "/dev/null", *arguments]


@dataclass(frozen=True, slots=True)
class Agent:
    """The running agent and its record file."""

    guest: EmulatedGuest
    record: Path

    def snapshot(self, take: Callable[[], None] | None = None) -> Snapshot:
        before = len(self.records())
        taken = self.guest.snapshot(take)
        deadline = time.monotonic() + 5  # it is written after req.done
        while len(self.records()) == before:
            if time.monotonic() > deadline:
                raise GuestError(f"no record of the run\n{text_of(self.guest.log)}")
            time.sleep(0.002)
        return replace(taken, own=own(json.loads(self.records()[-1])))

    def records(self) -> list[str]:
        """The whole lines of the record file."""
        text = self.record.read_text() if self.record.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()


def own(record: dict[str, Any]) -> dict[str, float]:
    """The times of the agent's record in milliseconds."""

    def between(first: str, second: str) -> float:
        return float(record[second] - record[first]) * 1e3

    def longest(figure: str) -> float:
        return max((float(one.get(figure, 0)) for one in record["filesystems"]), default=0.0) * 1e3

    return {
        "own_presync_ms": between("started", "presynced"),
        "own_paced_ms": longest("paced"),
        "own_expected_ms": longest("expected_hold"),
        "own_freeze_ms": between("first_freeze", "all_frozen"),
        "own_thaw_ms": between("release_asked", "all_thawed"),
    }


def check_plan(disks: Disks) -> None:
    """Makes sure that the agent would freeze these disks and nothing else. Raises UnsafeError."""
    paths = [str(disk.path) for disk in disks.disks]
    plan = _core.make_plan(_core.PlanRequest(include=paths))
    planned = {filesystem.device for filesystem in plan.filesystems}
    if planned != {disk.number for disk in disks.disks}:
        raise UnsafeError(f"vmtpy would freeze {sorted(planned)}")


@contextmanager
def running(disks: Disks, shared: Path, wrapper: Sequence[str] = ()) -> Iterator[Agent]:
    check_plan(disks)
    record = shared / "record.jsonl"
    arguments = ["--record", str(record)]
    for disk in disks.disks:
        arguments += ["--include", str(disk.path)]
    with emulated([*wrapper, *command(*arguments)], shared) as guest:
        yield Agent(guest, record)
