"""The jail in which the peers run: a mount namespace in which only the benchmark's disks can be
frozen.

vmtoolsd freezes every local filesystem that it sees, and a frozen root would hang the machine. In
the jail the root is an overlay, for which FIFREEZE fails with EOPNOTSUPP; the rest is proc, sysfs
and tmpfs, and the old root is unmounted. `check()` reads the mounts of a running peer and refuses
each that is not known to be harmless; it must be called before a backup.

jail_entrance.py mounts the jail from within.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import jail_entrance
from benchmarks.disks import Disk, UnsafeError, backing_file, mounts

# Types whose FIFREEZE is EOPNOTSUPP. Anything else in a jail must be one of our disks.
HARMLESS = {"overlay", "proc", "sysfs", "tmpfs"}


@dataclass(frozen=True, slots=True)
class Jail:
    """A jail to come.

    Attributes:
        shared: directory on a tmpfs, seen inside at the same path; holds the overlay, too.
        disks: what may be frozen; mounted inside at the same paths.
        files: written inside before the program starts: path → text.
    """

    shared: Path
    disks: Sequence[Disk]
    files: dict[str, str]

    @property
    def stamp(self) -> Path:
        """The file with the time of the program's exec, in seconds of time.monotonic()."""
        return self.shared / "started"

    def command(self, *program: str) -> list[str]:
        """The command that runs `program` in the jail, in the same process."""
        facts = {
            "shared": str(self.shared),
            "disks": [[str(disk.path), disk.device] for disk in self.disks],
            "files": self.files,
            "stamp": str(self.stamp),
            "program": list(program),
        }
        unshare = ["unshare", "--mount", "--propagation", "private"]
        return [*unshare, sys.executable, "-IS", jail_entrance.__file__, json.dumps(facts)]

    def check(self, process: int, program: str) -> None:
        """Makes sure of a started peer: it runs `program`, and can freeze our disks only.

        Raises:
            UnsafeError: names what it found.
        """
        running = Path(f"/proc/{process}/exe").readlink()
        if running.name != program:
            raise UnsafeError(f"process {process} is {running}, not {program}")
        if Path(f"/proc/{process}/ns/mnt").stat().st_ino == Path("/proc/self/ns/mnt").stat().st_ino:
            raise UnsafeError(f"{program} is in our own mount namespace")
        ours = {disk.number: disk for disk in self.disks}
        outside = {mount.number for mount in mounts() if mount.path == "/"}
        for mount in mounts(process):
            where = f"{mount.path} ({mount.fs}, {mount.number}) in the jail of {program}"
            if mount.number in outside:
                raise UnsafeError(f"{where} is the root of this machine")
            disk = ours.get(mount.number)
            if disk is None and mount.fs not in HARMLESS:
                raise UnsafeError(f"{where} is none of our disks")
            if disk is not None and backing_file(mount.source) != disk.image:
                raise UnsafeError(f"{where} is not over {disk.image}")
        for disk in self.disks:
            disk.check()


def missing() -> str:
    """What this machine lacks for a jail; "" if nothing."""
    if os.geteuid() != 0:
        return "root"
    lacking = [one for one in ("unshare", "pivot_root", "mount") if shutil.which(one) is None]
    return f"the program {lacking[0]}" if lacking else ""
