"""A disk of the demo's own: an image file, a loop device, a filesystem, and the checkers' verdict
on a copy of it. Needs root, util-linux (losetup, mount) and the filesystem's own tools.
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
    """A program that makes, mounts, copies or checks disks failed."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted image.

    Attributes:
        image: the file that a host would call the virtual disk.
        device: /dev/loopN over it.
        path: where it is mounted.
        fs: "ext4", "xfs" or "btrfs".
    """

    image: Path
    device: str
    path: Path
    fs: str


@dataclass(frozen=True, slots=True)
class Check:
    """What the filesystem's own checker said of a copy.

    Attributes:
        clean: it passes what counts as clean for this filesystem.
        verdict: one sentence.
        output: all that the checker printed.
    """

    clean: bool
    verdict: str
    output: str


def run(*command: str | Path, accept: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end. Raises DiskError with its words."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode not in accept:
        raise DiskError(f"`{' '.join(words)}` failed ({done.returncode}): {done.stdout.strip()}")
    return done


@contextmanager
def made(image: Path, size: int, fs: str, path: Path) -> Iterator[Disk]:
    """Makes an image of `size` bytes and mounts it at `path`; takes both away at the end."""
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
    """Mounts an image by a loop device (direct I/O where the store can); yields the device."""
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
    """Thaws, then unmounts; a program that is still inside gets five seconds to leave."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # EINVAL: it was not frozen
        fcntl.ioctl(descriptor, FITHAW, 0)
    os.close(descriptor)
    for _ in range(50):
        if run("umount", path, accept=(0, 1, 32)).returncode == 0:
            return
        time.sleep(0.1)
    run("umount", path)


def copy(source: Path, target: Path) -> str:
    """Copies an image as fast as the store can; how: "reflink" or "copy"."""
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
    """Whether a copy of a file shares its extents there, and takes no space. Tries."""
    with tempfile.TemporaryFile(dir=store) as one, tempfile.TemporaryFile(dir=store) as other:
        one.write(b"x" * 4096)
        one.flush()
        try:
            fcntl.ioctl(other, FICLONE, one.fileno())
        except OSError:
            return False
    return True


def check_space(store: Path, size: int) -> None:
    """Raises DiskError where the disk and its copy do not fit, with the figures."""
    copies = 1 if reflinks(store) else 2
    # A tenth of the disk is filled; a fiftieth is more than any filesystem's own structures.
    needed, free = copies * (size // 10 + size // 50), shutil.disk_usage(store).free
    if needed > free:
        what = "a disk" if copies == 1 else "a disk and its copy"
        raise DiskError(
            f"{what} of {size / 2**30:.1f} GiB take up to {needed / 2**30:.1f} GiB in {store}, "
            f"where {free / 2**30:.1f} GiB are free: take a smaller --size, or another --store"
        )


def find_programs() -> None:
    """Has programs be found also where only root's PATH leads; all that it starts inherit that."""
    before = os.environ.get("PATH", os.defpath)
    added = [one for one in SBIN if one not in before.split(os.pathsep)]
    os.environ["PATH"] = os.pathsep.join([before, *added])


def check(copied: Path, fs: str, *, orphans: bool) -> Check:
    """Asks the filesystem's own checker, changing nothing.

    What counts as clean: ext4: no complaint; xfs: none beside the log record that XFS leaves in a
    frozen log on purpose, and the free-block counter that depends on it; btrfs: no error. With
    `orphans` (files deleted while open) ext4 and xfs may have those inodes left over and nothing
    else, and must be clean after the repair that any mount does.
    """
    return {"ext4": _check_ext4, "xfs": _check_xfs, "btrfs": _check_btrfs}[fs](copied, orphans)


def _check_ext4(copied: Path, orphans: bool) -> Check:
    first = run("e2fsck", "-fn", copied, accept=(0, 4, 8, 12))
    if "recover" in first.stdout:
        return Check(False, "the journal needs recovery", first.stdout)
    if first.returncode == 0:
        return Check(True, "e2fsck -fn: clean", first.stdout)
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
    return Check(True, f"nothing but {count}, which e2fsck -fp cleared", output)


# Every line of `e2fsck -fn` that is a finding, and those findings that orphaned inodes explain.
_EXT4_COMPLAINT = re.compile(r"IGNORED|differences|wrong|Fix\?|Clear\?|error|corrupt|invalid", re.I)
_EXT4_ORPHAN = re.compile(
    r"was part of the orphaned inode list\.  IGNORED"
    r"|Deleted inode \d+ has zero dtime\.  Fix\? no"  # the last of the list: its dtime is the link
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
        return Check(False, "xfs_repair -n is not content after a mount", output)
    if would:
        count = first.stdout.count("disconnected inode")
        inodes = f"{count} orphaned inode{'s' * (count != 1)}"
        return Check(True, f"nothing but {inodes}, which a mount cleared", output)
    return Check(True, "xfs_repair -n: clean but for the log record of every frozen XFS", output)


# The first is printed with every log that is not empty; the others are what orphans look like.
_XFS_ORPHAN = re.compile(
    r"disconnected inode \d+, would move to lost\+found"
    r"|would have reset inode \d+ nlinks from 0 to 1"
    r"|would have (corrected|reset) .*(ifree|fdblocks|icount)"
    r"|agi unlinked bucket"
    r"|No modify flag set"
)


def _check_btrfs(copied: Path, orphans: bool) -> Check:  # noqa: ARG001 (orphans are none in btrfs)
    first = run("btrfs", "check", "--force", copied, accept=(0, 1))
    clean = first.returncode == 0 and "no error found" in first.stdout
    verdict = "btrfs check: no error found" if clean else "btrfs check found errors"
    return Check(clean, verdict, first.stdout)


@contextmanager
def read_only(copied: Path, fs: str) -> Iterator[Path]:
    """Mounts a copy read-only, without any recovery but what the filesystem insists on."""
    path = copied.with_suffix(".mounted")
    options = {"ext4": "ro", "xfs": "ro,nouuid", "btrfs": "ro"}[fs]
    with mounted(copied, fs, path, options):
        yield path


def missing(fs: str) -> list[str]:
    """What this machine lacks for a real disk, in words; empty if nothing."""
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
    """The rest of the question, by trying: loop devices and the right to mount."""
    image = store / "try.img"
    try:
        with made(image, 512 << 20 if fs == "xfs" else 128 << 20, fs, store / "try"):
            return []
    except (DiskError, OSError) as error:
        text = str(error)
        if "losetup" in text:
            return [f"a loop device ({text})"]
        return [f"the right to mount a disk image ({text})"]
