"""The contenders, each of which freezes some disks around a snapshot in its own way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from benchmarks.disks import Disks
from benchmarks.emulated import Snapshot


class Guest(Protocol):
    """A contender at work."""

    def snapshot(self, take: Callable[[], None] | None = None) -> Snapshot:
        """Freezes, runs `take`, thaws; the moments of it."""


class Contender(Protocol):
    """A module of this package.

    Attributes:
        NAME: in tables and on the command line.
    """

    NAME: str

    def missing(self) -> str:
        """What the contender lacks here; "" if nothing."""

    def version(self) -> str:
        """The version of the program."""

    def running(self, disks: Disks, shared: Path) -> AbstractContextManager[Guest]:
        """Starts the contender for these disks; `shared` is a directory on a tmpfs."""


def freezers() -> dict[str, Contender]:
    """All contenders that freeze, by name, in the order of the tables."""
    from benchmarks.contenders import (
        fsfreeze,
        no_freeze,
        open_vm_tools,
        qemu_ga,
        vmtpy_agent,
        vmtpy_before,
    )

    modules: list[Contender] = [vmtpy_agent, open_vm_tools, qemu_ga, fsfreeze, no_freeze]
    if vmtpy_before.tree():
        modules.insert(1, vmtpy_before)
    return {module.NAME: module for module in modules}
