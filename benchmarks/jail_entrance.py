"""Builds the jail, enters it and becomes the program. jail.py runs it in a new mount namespace.

It uses only the standard library. Its mounts vanish with the last process in the jail.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}


def mount(*arguments: str) -> None:
    subprocess.run(["mount", "-n", *arguments], check=True)


def build(base: str, shared: str, disks: list[list[str]]) -> str:
    """Mounts the jail's tree under `base` and returns its root."""
    mount("-t", "tmpfs", "vmtpy-jail", base)
    for name in ("upper", "work", "root"):
        Path(base, name).mkdir()
    root = f"{base}/root"
    layers = f"lowerdir=/,upperdir={base}/upper,workdir={base}/work"
    mount("-t", "overlay", "vmtpy-jail", "-o", layers, root)
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("-t", "sysfs", "sysfs", f"{root}/sys")
    for name in ("dev", "run", "tmp"):
        mount("-t", "tmpfs", "vmtpy-jail", f"{root}/{name}")
    for name, (major, minor) in NODES.items():
        os.mknod(f"{root}/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(major, minor))
    for _, device in disks:  # qemu-ga looks at what a btrfs lies on
        os.mknod(root + device, stat.S_IFBLK | 0o600, Path(device).stat().st_rdev)
    for path in (shared, *(path for path, _ in disks)):
        Path(root + path).mkdir(parents=True, exist_ok=True)
        mount("--bind", path, root + path)
    return root


def write(root: str, files: dict[str, str]) -> None:
    """Writes files into the overlay; /etc/mtab becomes the kernel's list of mounts."""
    for path, text in files.items():
        file = Path(root + path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    table = Path(f"{root}/etc/mtab")
    table.unlink(missing_ok=True)
    table.symlink_to("/proc/self/mounts")


def enter(root: str) -> None:
    """Makes `root` the root directory and unmounts the old root."""
    os.chdir(root)
    Path("old-root").mkdir()
    subprocess.run(["pivot_root", ".", "old-root"], check=True)
    os.chroot(".")
    os.chdir("/")
    subprocess.run(["umount", "-n", "-l", "/old-root"], check=True)
    Path("/old-root").rmdir()


def main(facts: dict[str, object]) -> None:
    shared, stamp, program = str(facts["shared"]), str(facts["stamp"]), facts["program"]
    disks, files = facts["disks"], facts["files"]
    assert isinstance(program, list)
    assert isinstance(disks, list)
    assert isinstance(files, dict)
    base = f"{shared}/jail"
    Path(base).mkdir()
    root = build(base, shared, disks)
    write(root, files)
    enter(root)
    Path(stamp).write_text(str(time.monotonic()))
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
