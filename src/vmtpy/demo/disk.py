"""The demo's disk: makes an image file with a filesystem, mounts it by a loop device, and checks a
copy of it. It needs root, util-linux (losetup, mount) and the filesystem's own tools.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
FICLONE = 0x40049409  # linux/fs.h: share all extents of another file
FITHAW = 0xC0045878

MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
CHECKER = {"ext4": "e2fsck", "xfs": "xfs_repair", "btrfs": "btrfs"}
PACKAGE = {"ext4": "e2fsprogs", "xfs": "xfsprogs", "btrfs": "btrfs-progs"}


class DiskError(VmtError):
    """A program that makes, mounts, copies or checks disks failed: `program`, if it ran."""

    def __init__(self, text: str, program: str = "") -> None:
        super().__init__(text)
        self.program = program


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted image.

    Attributes:
        image: the image file, which corresponds to a host's virtual disk.
        device: the loop device over the image, /dev/loopN.
        path: the mount point.
        fs: "ext4", "xfs" or "btrfs".
    """

    image: Path
    device: str
    path: Path
    fs: str


@dataclass(frozen=True, slots=True)
class Check:
    """The result of the filesystem's own checker for a copy.

    Attributes:
        clean: whether the copy is clean, by the rules for this filesystem.
        verdict: one sentence.
        output: the whole output of the checker.
    """

    clean: bool
    verdict: str
    output: str


def run(*command: str | Path, accept: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end. Raises DiskError with its output if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode not in accept:
        text = f"`{' '.join(words)}` failed ({done.returncode}): {done.stdout.strip()}"
        raise DiskError(text, words[0])
    return done


@contextmanager
def made(image: Path, size: int, fs: str, path: Path) -> Iterator[Disk]:
    """Makes an image of `size` bytes and mounts it at `path`; removes both at the end."""
    with image.open("xb") as file:
        file.truncate(size)
    try:
        run(*MKFS[fs], image)
        with mounted(image, fs, path) as device:
            yield Disk(image, device, path, fs)
    finally:
        image.unlink(missing_ok=True)


@contextmanager
def mounted(image: Path, fs: str, path: Path, options: str = "") -> Iterator[str]:
    """Mounts an image by a loop device, with direct I/O if the store can. Yields the
    device.
    """
    path.mkdir(exist_ok=True)
    device = run("losetup", "--show", "-f", image).stdout.strip()
    try:
        run("losetup", "--direct-io=on", device, accept=(0, 1))
        run("mount", "-t", fs, *(["-o", options] if options else []), device, path)
        try:
            yield device
        finally:
            _take_away(path)
    finally:
        run("losetup", "-d", device)
        path.rmdir()


def _take_away(path: Path) -> None:
    """Thaws, then unmounts. A program that still uses the filesystem has five seconds to end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # EINVAL: the filesystem was not frozen
        fcntl.ioctl(descriptor, FITHAW, 0)
    os.close(descriptor)
    for _ in range(50):
        if run("umount", path, accept=(0, 1, 32)).returncode == 0:
            return
        time.sleep(0.1)
    run("umount", path)


def copy(source: Path, target: Path) -> str:
    """Copies an image as fast as the store can. Returns how: "reflink" or "copy"."""
    with source.open("rb") as original, target.open("xb") as file:
        try:
            fcntl.ioctl(file, FICLONE, original.fileno())
            return "reflink"
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.EXDEV):
                raise
    run("cp", "--sparse=always", source, target)
    return "copy"


def reflinks(store: Path) -> bool:
    """Tries whether `store` supports reflinks, with which a copy needs no space."""
    with tempfile.TemporaryFile(dir=store) as one, tempfile.TemporaryFile(dir=store) as other:
        one.write(b"x" * 4096)
        one.flush()
        try:
            fcntl.ioctl(other, FICLONE, one.fileno())
        except OSError:
            return False
    return True


def check_space(store: Path, size: int) -> None:
    """Raises DiskError if the store has no room for the disk and its copy."""
    copies = 1 if reflinks(store) else 2
    # A tenth of the disk is filled; the structures of a filesystem take less than a fiftieth.
    needed, free = copies * (size // 10 + size // 50), shutil.disk_usage(store).free
    if needed > free:
        what = "a disk" if copies == 1 else "a disk and its copy"
        raise DiskError(
            f"{what} of {size / 2**30:.1f} GiB need up to {needed / 2**30:.1f} GiB in {store}, "
            f"which has {free / 2**30:.1f} GiB free: choose a smaller --size, or another --store"
        )


def find_programs() -> None:
    """Adds the directories of root's PATH to this process's PATH, which children inherit."""
    before = os.environ.get("PATH", os.defpath)
    added = [directory for directory in SBIN if directory not in before.split(os.pathsep)]
    os.environ["PATH"] = os.pathsep.join([before, *added])


def check(copied: Path, fs: str, *, orphans: bool) -> Check:
    """Runs the filesystem's own checker, which changes nothing.

    A copy is clean if the checker has no complaint on ext4; none on xfs except the log record that
    XFS leaves in a frozen log on purpose, and the free-block counter that depends on it; and no
    error on btrfs. With `orphans` (files deleted while open) ext4 and xfs may also have the inodes
    of those files, and must be clean after the repair that any mount does.
    """
    return {"ext4": _check_ext4, "xfs": _check_xfs, "btrfs": _check_btrfs}[fs](copied, orphans)


def _check_ext4(copied: Path, orphans: bool) -> Check:
    first = run("e2fsck", "-fn", copied, accept=(0, 4, 8, 12))
    if "recover" in first.stdout:
        return Check(False, "the journal needs recovery", first.stdout)
    if first.returncode == 0:
        return Check(True, "e2fsck -fn finds the copy clean", first.stdout)
    complaints = [line for line in first.stdout.splitlines() if _EXT4_COMPLAINT.search(line)]
    foreign = [line for line in complaints if not _EXT4_ORPHAN.search(line)]
    if not orphans or foreign or not complaints:
        return Check(False, f"e2fsck -fn: {(foreign or complaints or ['errors'])[0]}", first.stdout)
    repair = run("e2fsck", "-fp", copied, accept=(0, 1, 4, 8, 12))
    again = run("e2fsck", "-fn", copied, accept=(0, 4, 8, 12))
    found = set(re.findall(r"node (\d+) (?:was part|has zero)", first.stdout))
    cleared = set(re.findall(r"Clearing orphaned inode (\d+)", repair.stdout))
    output = first.stdout + repair.stdout + again.stdout
    if repair.returncode > 1 or again.returncode != 0 or not found <= cleared or not cleared:
        return Check(False, "e2fsck -fp could not clear the orphaned inodes", output)
    count = f"{len(cleared)} orphaned inode{'s' * (len(cleared) != 1)}"
    return Check(True, f"e2fsck -fn found only {count}, which e2fsck -fp cleared", output)


# The lines of `e2fsck -fn` that are findings, and the findings that orphaned inodes explain.
_EXT4_COMPLAINT = re.compile(r"IGNORED|differences|wrong|Fix\?|Clear\?|error|corrupt|invalid", re.I)
_EXT4_ORPHAN = re.compile(
    r"was part of the orphaned inode list\.  IGNORED"
    r"|Deleted inode \d+ has zero dtime\.  Fix\? no"  # the last inode of the list, linked by dtime
    r"|(Block|Inode) bitmap differences: +(-\S+ *)+$"
    r"|^Fix\? no$"
    r"|Free (blocks|inodes) count wrong"
    r"|Padding at end of .* bitmap"
    r"|WARNING: Filesystem still has errors"
)


def _check_xfs(copied: Path, orphans: bool) -> Check:
    first = run("xfs_repair", "-n", copied, accept=(0, 1))
    would = [line for line in first.stdout.splitlines() if "would" in line]
    foreign = [line for line in would if not _XFS_ORPHAN.search(line)]
    if foreign or (would and not orphans):
        return Check(False, f"xfs_repair -n: {(foreign or would)[0]}", first.stdout)
    path = copied.with_suffix(".recovery")
    with mounted(copied, "xfs", path, "nouuid"):
        pass
    again = run("xfs_repair", "-n", copied, accept=(0, 1))
    output = first.stdout + again.stdout
    if again.returncode != 0:
        return Check(False, "xfs_repair -n finds errors after a mount", output)
    if would:
        count = first.stdout.count("disconnected inode")
        inodes = f"{count} orphaned inode{'s' * (count != 1)}"
        return Check(True, f"xfs_repair -n found only {inodes}, which a mount cleared", output)
    verdict = "xfs_repair -n finds the copy clean, except for the log record of every frozen XFS"
    return Check(True, verdict, output)


# The findings of `xfs_repair -n` that orphaned inodes explain, and a line without a finding.
_XFS_ORPHAN = re.compile(
    r"disconnected inode \d+, would move to lost\+found"
    r"|would have reset inode \d+ nlinks from 0 to 1"
    r"|would have (corrected|reset) .*(ifree|fdblocks|icount)"
    r"|agi unlinked bucket"
    r"|No modify flag set"
)


def _check_btrfs(copied: Path, orphans: bool) -> Check:  # noqa: ARG001 (btrfs has no orphans)
    first = run("btrfs", "check", "--force", copied, accept=(0, 1))
    clean = first.returncode == 0 and "no error found" in first.stdout
    verdict = "btrfs check finds no error" if clean else "btrfs check finds errors"
    return Check(clean, verdict, first.stdout)


@contextmanager
def read_only(copied: Path, fs: str) -> Iterator[Path]:
    """Mounts a copy read-only, with no recovery except what the filesystem itself requires."""
    path = copied.with_suffix(".mounted")
    options = {"ext4": "ro", "xfs": "ro,nouuid", "btrfs": "ro"}[fs]
    with mounted(copied, fs, path, options):
        yield path


def missing(fs: str) -> list[str]:
    """What this machine lacks for a real disk, in words; empty if nothing is missing."""
    lacking = []
    if os.geteuid() != 0:
        lacking.append("root (run it with sudo)")
    for program in ("losetup", "mount", "umount", "cp"):
        if shutil.which(program) is None:
            lacking.append(f"the program {program} (util-linux, coreutils)")
    for program in (MKFS[fs][0], CHECKER[fs]):
        if shutil.which(program) is None:
            lacking.append(f"the program {program} (package {PACKAGE[fs]})")
    return lacking


def missing_mount(store: Path, fs: str) -> list[str]:
    """Tries loop devices and mounting. Returns what this machine lacks for them."""
    image = store / "try.img"
    try:
        with made(image, 512 << 20 if fs == "xfs" else 128 << 20, fs, store / "try"):
            return []
    except (DiskError, OSError) as error:
        if isinstance(error, DiskError) and error.program == "losetup":
            return [f"a loop device ({error})"]
        return [f"the right to mount a disk image ({error})"]
