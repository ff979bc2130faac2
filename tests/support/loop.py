"""Real filesystems on loop images that are made for a test, for tests that freeze.

Every test that freezes uses a mount of this module. Before each call, freeze() and thaw() check
again that the mount is still on the loop device over that image. A watchdog process (watchdog.py)
guards each mount: it thaws a mount that stays frozen for 20 seconds, for which loop_mount() raises
AssertionError at its end, and it cleans up if this process dies. The module relies on root,
losetup, mkfs.* and loop devices; if one is missing, the test is skipped and the skip names it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import watchdog
from support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878
# The smallest images that mkfs takes gladly; they are sparse.
SIZES = {"ext4": 128 << 20, "xfs": 320 << 20, "btrfs": 160 << 20, "vfat": 32 << 20}
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
    "vfat": ["mkfs.vfat"],
}


@dataclass
class LoopMount:
    """A mounted loop image. `path` is the mount point, `image` the file, `device` /dev/loopN."""

    path: Path
    image: Path
    device: str
    fs: str
    number: str  # "major:minor" as in mountinfo
    mount_id: int
    guard: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def check_ours(self) -> None:
        """Raises AssertionError unless `path` is a mount of the loop device over our image."""
        mount = find_mount(self.path)
        assert mount is not None, f"{self.path} is not mounted"
        assert mount.source == self.device, f"{self.path} is on {mount.source}, not {self.device}"
        assert backing_file(self.device) == self.image, f"{self.device} is not over {self.image}"

    def freeze(self) -> None:
        """Freezes as another program than vmtpy would. Raises OSError."""
        self.check_ours()
        call(self.path, FIFREEZE)

    def thaw(self) -> bool:
        """Thaws. Returns False if the filesystem was not frozen."""
        self.check_ours()
        try:
            call(self.path, FITHAW)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        return True


@dataclass(frozen=True)
class Mount:
    """A mount, from a line of /proc/self/mountinfo."""

    mount_id: int
    number: str
    path: str
    fs: str
    source: str


def mounts() -> list[Mount]:
    """All mounts of this namespace, in the order of mountinfo."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        before, after = left.split(), right.split()
        path = before[4].encode().decode("unicode_escape")
        found.append(Mount(int(before[0]), before[2], path, after[0], after[1]))
    return found


def find_mount(path: Path | str) -> Mount | None:
    """The topmost mount at exactly `path`."""
    return next((mount for mount in reversed(mounts()) if mount.path == str(path)), None)


def backing_file(device: str) -> Path | None:
    """The file of a loop device; None if the device is free."""
    try:
        return Path(Path(f"/sys/block/{Path(device).name}/loop/backing_file").read_text().rstrip())
    except OSError:
        return None


def call(path: Path, request: int) -> None:
    """One ioctl on a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, request, 0)
    finally:
        os.close(descriptor)


def require_root() -> None:
    """Skips the test if it does not run as root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


def require_program(*programs: str) -> None:
    """Skips the test if one of these programs is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs the program {program}")


def require_loop(fs: str = "ext4") -> None:
    """Skips the test if a loop image of this type cannot be made."""
    require_root()
    require_program("losetup", MKFS[fs][0])
    if not os.access("/dev/loop-control", os.R_OK | os.W_OK):
        pytest.skip("needs loop devices (/dev/loop-control)")
    free = subprocess.run(
        ["losetup", "-f"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if free.returncode != 0:
        pytest.skip(f"needs loop devices: {free.stderr.strip()}")


def require_reflink(directory: Path) -> None:
    """Skips the test if `directory` does not support reflinks."""
    source, copy = directory / "reflink.source", directory / "reflink.copy"
    source.write_bytes(b"x" * 4096)
    command = ["cp", "--reflink=always", str(source), str(copy)]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    source.unlink()
    copy.unlink(missing_ok=True)
    if done.returncode != 0:
        pytest.skip(f"needs a filesystem with reflinks under {directory}")


@contextmanager
def loop_mount(
    fs: str = "ext4",
    *,
    size: int | None = None,
    directory: Path | None = None,
    options: str = "",
    longest_freeze: float = 20.0,
) -> Iterator[LoopMount]:
    """Makes an image, mounts it, guards it, and takes everything away again.

    Args:
        fs: "ext4", "xfs", "btrfs" or "vfat".
        size: of the image in bytes; default SIZES[fs].
        directory: where the image goes (another LoopMount's path nests them); default a new one
            under /dev/shm or /tmp.
        options: for mount -o.
        longest_freeze: seconds after which the watchdog thaws.
    """
    require_loop(fs)
    base = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp")
    work = Path(tempfile.mkdtemp(prefix="vmtpy-loop-", dir=base))
    image = Path(tempfile.mkdtemp(prefix="image-", dir=directory or work)) / f"{fs}.img"
    mount: LoopMount | None = None
    rescued = False
    try:
        mount = make(fs, image, size or SIZES[fs], work / "mnt", options)
        mount.guard = watchdog.start(mount.path, mount.device, mount.image, longest_freeze)
        yield mount
    finally:
        if mount is not None:
            rescued = take_away(mount)
        image.unlink(missing_ok=True)
        image.parent.rmdir()
        shutil.rmtree(work)  # never enters a mount: take_away() has raised if one is left
    assert not rescued, (
        f"a {fs} stayed frozen for {longest_freeze:g} s until the watchdog thawed it"
    )


def make(fs: str, image: Path, size: int, path: Path, options: str) -> LoopMount:
    """Runs mkfs, losetup and mount; undoes all if one fails."""
    with image.open("wb") as file:
        file.truncate(size)
    run([*MKFS[fs], str(image)])
    device = run(["losetup", "--show", "-f", str(image)]).strip()
    path.mkdir()
    try:
        flags = ["-o", options] if options else []
        run(["mount", "-t", fs, *flags, device, str(path)])
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        run(["losetup", "-d", device])
        text = str(getattr(error, "stderr", error))
        if "unknown filesystem type" in text:
            pytest.skip(f"needs {fs} in the kernel")
        if "permission denied" in text.lower() or "not permitted" in text.lower():
            pytest.skip("needs the right to mount")
        raise
    found = find_mount(path)
    assert found is not None
    return LoopMount(path, image, device, fs, found.number, found.mount_id)


def take_away(mount: LoopMount) -> bool:
    """Thaws, unmounts, frees the loop device; whether the watchdog had to thaw before.

    Bounded: raises if the filesystem stays busy.
    """
    rescued = False
    if find_mount(mount.path) is not None:
        with suppress(AssertionError):
            while mount.thaw():
                pass
    if mount.guard is not None:
        rescued = watchdog.stop(mount.guard)
        mount.guard = None
    deadline = time.monotonic() + PATIENCE
    while find_mount(mount.path) is not None:
        try:
            run(["umount", str(mount.path)])
        except subprocess.CalledProcessError:  # a process that was killed is just ending
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    if backing_file(mount.device) == mount.image:
        run(["losetup", "-d", mount.device])
    return rescued


def run(command: list[str]) -> str:
    """Runs a program for at most PATIENCE; its output. Raises CalledProcessError showing stderr."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout
