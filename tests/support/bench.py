"""A freeze session on simulated disks, with a clock that the test turns."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from support.patience import PATIENCE

from vmtpy._core import Filesystem, FreezeOptions, FreezeSession, Phase, RunRecord, System
from vmtpy._host import ManualClock, SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Callable

RCU = "/sys/kernel/rcu_expedited"


class Storage(NamedTuple):
    """The names of what a filesystem stands on, as a plan has them."""

    bdis: tuple[str, ...]
    sinks: tuple[str, ...]
    disks: tuple[str, ...]


def threads() -> set[str]:
    """The numbers of this process's threads."""
    return {thread.name for thread in Path("/proc/self/task").iterdir()}


def told_of(numbers: set[str]) -> list[str]:
    """What the kernel tells of threads: state, switches, and more."""
    found = []
    for number in sorted(numbers):
        try:
            found.append(Path(f"/proc/self/task/{number}/status").read_text())
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
    return found


class Bench:
    """A session on simulated disks that has been started."""

    def __init__(
        self,
        *paths: str,
        disk: SimulatedDisk | None = None,
        system: System | None = None,
        levels: dict[str, int] | None = None,
        sync_only: tuple[str, ...] = (),
        mapped: dict[str, list[str]] | None = None,
        storage: dict[str, Storage] | None = None,
        start: bool = True,
        **options: float,
    ) -> None:
        self.others = threads()  # this one, and those that earlier tests have left
        self.disk = disk or SimulatedDisk(list(paths))
        self.system = system or self.disk
        self.clock = ManualClock()
        storages = {
            filesystem.path: Storage(filesystem.bdis, filesystem.sinks, filesystem.disks)
            for filesystem in self.disk.filesystems()
        } | (storage or {})
        filesystems = [
            Filesystem(
                filesystem.path,
                mount_id=filesystem.mount_id,
                device=filesystem.device,
                type=filesystem.type,
                source=filesystem.source,
                level=(levels or {}).get(filesystem.path, 0),
                sync_only=filesystem.path in sync_only,
                mapped=(mapped or {}).get(filesystem.path, ()),
                **storages[filesystem.path]._asdict(),
            )
            for filesystem in self.disk.filesystems()
        ]
        self.session = FreezeSession(
            self.system,
            self.clock,
            filesystems,
            FreezeOptions(guardian=False, **options),  # type: ignore[arg-type]
        )
        if start:
            self.session.start()

    def reach(self, phase: Phase) -> None:
        assert self.session.wait_for(phase, PATIENCE), f"still {self.session.phase()}"

    def end(self) -> RunRecord:
        self.reach(Phase.ENDED)
        return self.session.record()

    def await_rest(self) -> None:
        """Waits until each thread of the session sleeps: for time, a hold, or the owner."""
        deadline = time.monotonic() + PATIENCE
        before: list[str] = []
        while True:
            now = told_of(threads() - self.others)
            # A thread that has run between two readings has switched.
            if now == before and not any("\nState:\tR" in status for status in now):
                return
            assert time.monotonic() < deadline, now
            before = now

    def advance_until(self, condition: Callable[[], bool], step: float = 0.25) -> None:
        """Turns the clock until the condition is true; waiting threads may not have started yet."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            self.clock.advance(step)
            time.sleep(0.001)

    def advance_to_end(self) -> RunRecord:
        self.advance_until(lambda: self.session.phase() == Phase.ENDED)
        return self.session.record()

    def frozen(self) -> list[str]:
        return [
            filesystem.path
            for filesystem in self.disk.filesystems()
            if self.disk.frozen(filesystem.path)
        ]

    def markers(self) -> list[str]:
        return [name for name in self.disk.files() if name.startswith("/run/vmtpy/")]
