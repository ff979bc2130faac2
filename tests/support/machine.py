"""An invented machine: mountinfo, /proc/swaps, sysfs and /dev as files under a directory.

It serves the tests of the plan, and has only the files that the plan reads, laid out as in the
kernel.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from vmtpy import _core


def escape(text: str) -> str:
    """A path in the kernel's notation: spaces, tabs, newlines and backslashes as octal numbers."""
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in text)


@dataclass
class Machine:
    """A machine to which tests add devices first, then mounts. `plan()` calls the real planner."""

    path: Path
    lines: list[str] = field(default_factory=list)
    points: list[tuple[str, int]] = field(default_factory=list)
    swaps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("sys/dev/block", "sys/class/block", "sys/block", "sys/fs", "dev/disk/by-id"):
            (self.path / name).mkdir(parents=True)

    # --- devices ---
    def block(
        self, name: str, number: str, *, slaves: tuple[str, ...] = (), under: str = "virtual/block"
    ) -> Path:
        """Adds a whole block device; `under` is its place in /sys/devices."""
        directory = self.path / "sys/devices" / under / name
        (directory / "slaves").mkdir(parents=True)
        (directory / "dev").write_text(number + "\n")
        for place in (f"dev/block/{number}", f"class/block/{name}", f"block/{name}"):
            (self.path / "sys" / place).symlink_to(directory)
        for slave in slaves:
            self.add_slave(name, slave)
        (self.path / "dev" / name.replace("!", "/")).parent.mkdir(parents=True, exist_ok=True)
        (self.path / "dev" / name.replace("!", "/")).touch()
        return directory

    def add_slave(self, name: str, slave: str) -> None:
        """Makes the device `name` stand on `slave`."""
        target = (self.path / "sys/class/block" / slave).resolve()
        (self.path / "sys/class/block" / name / "slaves" / slave).symlink_to(target)

    def disk(self, name: str, number: str, *, wwid: str = "") -> Path:
        """Adds a SCSI disk."""
        directory = self.block(name, number, under="pci0000:00/host0/target0:0:0/block")
        (directory / "device").mkdir()
        if wwid:
            (directory / "device/wwid").write_text(wwid + "\n")
        return directory

    def partition(self, name: str, number: str, *, of: str) -> None:
        """Adds a partition of a disk that exists."""
        directory = (self.path / "sys/class/block" / of).resolve() / name
        directory.mkdir()
        (directory / "dev").write_text(number + "\n")
        (directory / "partition").write_text("1\n")
        for place in (f"dev/block/{number}", f"class/block/{name}"):
            (self.path / "sys" / place).symlink_to(directory)
        (self.path / "dev" / name).touch()

    def mapper(self, name: str, number: str, title: str, *slaves: str) -> None:
        """Adds a device-mapper device with its link in /dev/mapper."""
        directory = self.block(name, number, slaves=slaves)
        (directory / "dm").mkdir()
        (directory / "dm/name").write_text(title + "\n")
        self.link(f"mapper/{title}", f"../{name}")

    def loop(self, name: str, number: str, image: str) -> None:
        """Adds a loop device over a file."""
        directory = self.block(name, number)
        (directory / "loop").mkdir()
        (directory / "loop/backing_file").write_text(image + "\n")

    def btrfs(self, uuid: str, *devices: str) -> None:
        """Adds a btrfs of several devices, as in /sys/fs/btrfs."""
        directory = self.path / "sys/fs/btrfs" / uuid / "devices"
        directory.mkdir(parents=True)
        for name in devices:
            (directory / name).symlink_to((self.path / "sys/class/block" / name).resolve())

    def bdi(self, name: str, *, of: str = "") -> None:
        """Adds a backing device of the page cache, `of` the btrfs of that UUID."""
        (self.path / "sys/class/bdi" / name).mkdir(parents=True)
        if of:
            (self.path / "sys/fs/btrfs" / of / "bdi").symlink_to(f"../../../class/bdi/{name}")

    def link(self, name: str, target: str) -> None:
        """Adds a symbolic link in /dev."""
        place = self.path / "dev" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    # --- mounts ---
    def mount(
        self,
        point: str,
        fs: str = "ext4",
        device: str = "8:1",
        source: str = "/dev/sda1",
        *,
        root: str = "/",
        options: str = "rw,relatime",
        super_options: str = "rw",
        tags: str = "",
    ) -> int:
        """Adds a mount over the others and returns its mount id."""
        number = 20 + len(self.points)
        fields = [number, self.parent(point), device, escape(root), escape(point), options]
        fields += [*tags.split(), "-", fs, escape(source), super_options]
        self.lines.append(" ".join(map(str, fields)))
        self.points.append((point, number))
        return number

    def parent(self, point: str) -> int:
        """The mount below a new mount at `point`."""
        best, best_number = "", 1
        for other, number in self.points:
            inside = PurePosixPath(point).is_relative_to(other)
            if inside and len(other) >= len(best):
                best, best_number = other, number
        return best_number

    def swap(self, name: str, kind: str) -> None:
        """Adds a line to /proc/swaps."""
        self.swaps.append(f"{escape(name)}\t{kind}\t1048572\t0\t-2")

    # --- the question ---
    def plan(
        self,
        *,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
        volumes: tuple[str, ...] = (),
    ) -> _core.Plan:
        """The real planner's answer for this machine."""
        heading = "Filename\tType\tSize\tUsed\tPriority"
        lines = "".join(line + "\n" for line in self.lines)
        (self.path / "mountinfo").write_bytes(os.fsencode(lines))
        (self.path / "swaps").write_text("\n".join([heading, *self.swaps, ""]))
        sources = _core.PlanSources(
            mountinfo=self.path / "mountinfo",
            swaps=self.path / "swaps",
            sys=self.path / "sys",
            dev=self.path / "dev",
            root=self.path / "tree",
        )
        request = _core.PlanRequest(include=include, exclude=exclude, volumes=volumes)
        return _core.make_plan(request, sources)


def levels(plan: _core.Plan) -> dict[str, int]:
    """The level of each path."""
    return {filesystem.path: filesystem.level for filesystem in plan.filesystems}


def reasons(plan: _core.Plan) -> dict[str, str]:
    """The reason for which each path is left out."""
    return {left.path: left.reason for left in plan.left_out}
