"""The disks of the benchmarks: new filesystems on loop images, which a watchdog guards.

Benchmarks freeze only these disks; Disk.check() checks again that a mount is still the loop device
over its image. The images are in the store (a tmpfs by default, so that the disk costs no time),
the mount points under the work directory. It needs root, losetup and mkfs.*.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import watchdog

FITHAW = 0xC0045878
LONGEST_FREEZE = 20.0  # seconds; then the watchdog thaws
MKFS = {
    # Lazy initialisation would write in the background for minutes.
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
SIZES = {"ext4": 256 << 20, "xfs": 320 << 20, "btrfs": 256 << 20}


class UnsafeError(Exception):
    """A filesystem that must not be frozen could be frozen, so nothing was frozen."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo.

    Attributes:
        number: "major:minor" of the superblock.
        path: mount point.
        fs: type.
        source: device.
    """

    number: str
    path: str
    fs: str
    source: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted image. `number` is the "major:minor" of its superblock in mountinfo."""

    image: Path
    device: str
    path: Path
    fs: str
    number: str

    def check(self) -> None:
        """Raises UnsafeError unless this is still a mount of the loop device over our image."""
        there = [mount for mount in mounts() if mount.path == str(self.path)]
        if not there or (there[-1].source, there[-1].number) != (self.device, self.number):
            raise UnsafeError(f"{self.path} is not a mount of {self.device} any more")
        if backing_file(self.device) != self.image:
            raise UnsafeError(f"{self.device} is not over {self.image} any more")

    def thaw(self) -> bool:
        """Calls FITHAW until the filesystem is not frozen. Returns whether it was."""
        self.check()
        found = False
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for _ in range(8):
                with suppress(OSError):
                    fcntl.ioctl(directory, FITHAW, 0)
                    found = True
        finally:
            os.close(directory)
        return found


def mounts(process: int | str = "self") -> list[Mount]:
    """The mounts of a process, in the order of its mountinfo."""
    found = []
    for line in Path(f"/proc/{process}/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        before, after = left.split(), right.split()
        path = before[4].encode().decode("unicode_escape")
        found.append(Mount(before[2], path, after[0], after[1]))
    return found


def backing_file(device: str) -> Path | None:
    """The file of a loop device; None if the device is free."""
    try:
        return Path(Path(f"/sys/block/{Path(device).name}/loop/backing_file").read_text().rstrip())
    except OSError:
        return None


def missing(fs: str = "ext4") -> str:
    """What this machine lacks for such a disk; "" if nothing."""
    if os.geteuid() != 0:
        return "root"
    if not os.access("/dev/loop-control", os.R_OK | os.W_OK):
        return "loop devices (/dev/loop-control)"
    lacking = [name for name in ("losetup", "mount", MKFS[fs][0]) if shutil.which(name) is None]
    return f"the program {lacking[0]}" if lacking else ""


class Guard:
    """The connection to the watchdog process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-IS", watchdog.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )

    def tell(self, *words: str) -> None:
        """Sends a line, and returns when the watchdog has obeyed it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\t".join(words).encode() + b"\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != b"ok\n":
            raise UnsafeError("the watchdog has died")

    def end(self) -> None:
        """Makes the watchdog thaw and remove everything, and waits for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=120)


@dataclass(frozen=True, slots=True)
class Disks:
    """The disks of a run, in the order in which they were made."""

    disks: tuple[Disk, ...]
    guard: Guard

    @contextmanager
    def freezable(self, longest: float = LONGEST_FREEZE) -> Iterator[None]:
        """Within this they may be frozen, for `longest` seconds at most; then they are thawed."""
        for disk in self.disks:
            disk.check()
        self.guard.tell("arm", str(longest))
        try:
            yield
        finally:
            for disk in self.disks:
                disk.thaw()
            self.guard.tell("disarm")


@contextmanager
def made(fs: str, count: int, size: int, store: Path, work: Path) -> Iterator[Disks]:
    """Makes `count` disks of `size` bytes, and removes them in any case."""
    guard = Guard()
    try:
        disks = []
        for number in range(count):
            image, path = store / f"{work.name}-{number}.img", work / f"disk{number}"
            disks.append(_make(guard, fs, size, image, path))
        yield Disks(tuple(disks), guard)
    finally:
        guard.end()


def _make(guard: Guard, fs: str, size: int, image: Path, path: Path) -> Disk:
    path.mkdir()
    try:
        with image.open("xb") as file:
            file.truncate(size)
        run(*MKFS[fs], str(image))
        device = run("losetup", "--show", "-f", str(image)).strip()
    except BaseException:
        image.unlink(missing_ok=True)
        raise
    try:
        run("mount", "-t", fs, "-o", "noatime", device, str(path))
    except BaseException:
        run("losetup", "-d", device)
        image.unlink()
        raise
    guard.tell("mount", str(path), device, str(image))
    number_there = [mount.number for mount in mounts() if mount.path == str(path)][-1]
    return Disk(image, device, path, fs, number_there)


def run(*command: str) -> str:
    """Runs a program to its end and returns its output. Raises CalledProcessError after printing
    it.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        raise subprocess.CalledProcessError(done.returncode, command)
    return done.stdout
