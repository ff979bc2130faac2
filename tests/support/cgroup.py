"""A test's own control group, with a limit of memory or threads, or one that can be frozen.

It supports both interfaces of the kernel: version 1 has a hierarchy for each controller, version 2
one for all. If something is missing, the test is skipped and the skip names it.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.loop import require_root
from support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/sys/fs/cgroup")
LIMITS = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max")}


class ControlGroup:
    """One group. `limit()` sets bytes of memory or a number of threads; None removes the limit."""

    def __init__(self, path: Path, controller: str, version: int) -> None:
        self.path = path
        self._limit = path / LIMITS[controller][version - 1]
        self.events = "memory.oom_control" if version == 1 else "memory.events"
        self._none = "-1" if (controller, version) == ("memory", 1) else "max"

    def add(self, process: int) -> None:
        """Moves a process with all its threads into the group, in which its children then start."""
        (self.path / "cgroup.procs").write_text(str(process))

    def limit(self, most: int | None) -> None:
        self._limit.write_text(self._none if most is None else str(most))

    def deaths(self) -> str:
        """The number of processes that the kernel has killed for lack of memory."""
        lines = (self.path / self.events).read_text().splitlines()
        return next(line for line in lines if line.startswith("oom_kill "))

    def threads(self) -> int:
        return int((self.path / "pids.current").read_text())


class FreezableGroup:
    """A group whose processes can all be stopped at once, as `systemctl freeze` does."""

    def __init__(self, path: Path, version: int) -> None:
        self.path = path
        self._state, self._frozen, self._thawed = {
            1: (path / "freezer.state", "FROZEN", "THAWED"),
            2: (path / "cgroup.freeze", "1", "0"),
        }[version]

    @property
    def wrapper(self) -> list[str]:
        """The words in front of a command that make it run in the group."""
        return ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(self.path / "cgroup.procs")]

    def processes(self) -> list[int]:
        return [int(line) for line in (self.path / "cgroup.procs").read_text().split()]

    def freeze(self) -> None:
        self._state.write_text(self._frozen)

    def thaw(self) -> None:
        self._state.write_text(self._thawed)


@contextmanager
def freezable_group(version: int) -> Iterator[FreezableGroup]:
    """Makes a group by that version of the kernel's interface, and thaws it at the end."""
    require_root()
    hierarchy = ROOT / "freezer"
    if version == 2:
        hierarchy = ROOT if (ROOT / "cgroup.procs").exists() else ROOT / "unified"
    if not (hierarchy / "cgroup.procs").exists():
        pytest.skip(f"needs control groups of version {version} that freeze, under {hierarchy}")
    try:
        path = Path(tempfile.mkdtemp(prefix="vmtpy-test-", dir=hierarchy))
    except OSError as error:
        pytest.skip(f"needs the right to make control groups ({os.strerror(error.errno or 0)})")
    group = FreezableGroup(path, version)
    try:
        yield group
    finally:
        group.thaw()
        remove(path)


def remove(path: Path) -> None:
    """Removes a group whose processes are ending."""
    deadline = time.monotonic() + PATIENCE
    while (path / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    path.rmdir()


@contextmanager
def control_group(controller: str) -> Iterator[ControlGroup]:
    """Makes a group for "memory" or "pids", whose processes must have ended at the end."""
    require_root()
    hierarchy, version = find_hierarchy(controller)
    try:
        if version == 2:
            (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        path = Path(tempfile.mkdtemp(prefix="vmtpy-test-", dir=hierarchy))
    except OSError as error:
        pytest.skip(f"needs a control group for {controller} ({os.strerror(error.errno or 0)})")
    try:
        yield ControlGroup(path, controller, version)
    finally:
        remove(path)


def find_hierarchy(controller: str) -> tuple[Path, int]:
    """The directory for groups of this controller, and the version of the interface."""
    known = [line.split("\t")[0] for line in Path("/proc/cgroups").read_text().splitlines()]
    if controller not in known:
        pytest.skip(f"needs the controller {controller} of control groups in the kernel")
    if (ROOT / controller / "cgroup.procs").exists():
        return ROOT / controller, 1
    controllers = ROOT / "cgroup.controllers"
    if controllers.exists() and controller in controllers.read_text().split():
        return ROOT, 2
    pytest.skip(f"needs control groups for {controller} mounted on {ROOT}")
