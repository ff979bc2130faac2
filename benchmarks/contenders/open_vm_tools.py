"""Debian's unmodified vmtoolsd, in a jail with only the benchmark's disks to freeze."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import jail
from benchmarks.disks import Disks
from benchmarks.emulated import EmulatedGuest, Snapshot, emulated
from benchmarks.jail import Jail

NAME = "open-vm-tools"
PROGRAM = "vmtoolsd"

# The jail has nothing else to freeze; this says it once more, in the program's own words. Its log
# goes where the harness can read it.
CONFIGURATION = """\
[vmbackup]
excludedFileSystems=/,/proc*,/sys*,/dev,/run*,/tmp,/dev/shm*
[logging]
vmsvc.handler = std
vmsvc.level = message
"""


def missing() -> str:
    if shutil.which(PROGRAM) is None:
        return "the program vmtoolsd (package open-vm-tools)"
    return jail.missing()


def version() -> str:
    """The version of the package, since the program prints none outside VMware."""
    if shutil.which("dpkg-query") is None:
        return "of unknown version"
    command = ["dpkg-query", "-W", "-f", "${Version}", "open-vm-tools"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def made_jail(disks: Disks | None, shared: Path) -> Jail:
    """The jail for these disks; None without disks."""
    files = {"/etc/vmware-tools/tools.conf": CONFIGURATION}
    return Jail(shared, disks.disks if disks else (), files)


@dataclass(frozen=True, slots=True)
class Vmtoolsd:
    """The running daemon, whose mounts are checked before each snapshot."""

    guest: EmulatedGuest
    jail: Jail

    def snapshot(self, take: Callable[[], None] | None = None) -> Snapshot:
        self.jail.check(self.guest.pid, PROGRAM)
        return self.guest.snapshot(take)


@contextmanager
def running(disks: Disks, shared: Path) -> Iterator[Vmtoolsd]:
    built = made_jail(disks, shared)
    with emulated(built.command(PROGRAM), shared) as guest:
        built.check(guest.pid, PROGRAM)
        yield Vmtoolsd(guest, built)
