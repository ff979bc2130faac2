"""Checks what the running kernel has for short freezes, and says what vmtpy does without it.

Each feature is looked for in the file by which vmtpy uses it: distributions take features to older
kernels, and a kernel may have been built without one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmtpy.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GLOBAL = 'set `converge = "global"` in [quiesce], which slows the writers to all disks down'
DEBUGFS = "mount -t debugfs debugfs /sys/kernel/debug"


def check_features(root: Path, release: str, converge: str) -> Iterator[Finding]:
    """What the kernel lacks of it. `converge`: as configured."""
    yield from check_bound(root, release, converge)
    yield from check_counts(root)
    yield from check_grace_periods(root, release)


def check_bound(root: Path, release: str, converge: str) -> Iterator[Finding]:
    """The limit by which writers that outrun their disk are slowed down."""
    disks = names_in(root / "sys/class/bdi")
    if converge != "auto" or not disks:
        return
    if not any((root / "sys/class/bdi" / disk / "max_bytes").exists() for disk in disks):
        text = (
            f"Linux {short(release)} has no limit on the dirty pages of one disk (Linux 6.2 and "
            "later have): where writers outrun their disk, vmtpy cannot slow them down, and "
            "refuses a backup that would hold them for longer than filesystem_timeout"
        )
        yield Finding("kernel", "note", text, GLOBAL)


def check_counts(root: Path) -> Iterator[Finding]:
    """What is dirty of each disk, which only root can read."""
    disks = names_in(root / "sys/class/bdi")
    debug = root / "sys/kernel/debug"
    if not disks or (debug.exists() and not os.access(debug, os.R_OK | os.X_OK)):
        return
    trouble = ""
    for disk in disks:
        try:
            (debug / "bdi" / disk / "stats").read_bytes()
            return
        except OSError as error:
            trouble = trouble or f"{error.filename}: {error.strerror}"
    text = (
        f"vmtpy cannot read how much of each disk is dirty ({trouble}): before a freeze it goes by "
        "what is dirty of all disks, and by how long its own syncfs takes"
    )
    yield Finding("kernel", "note", text, DEBUGFS)


def check_grace_periods(root: Path, release: str) -> Iterator[Finding]:
    """The switch that makes the kernel's part of a freeze short."""
    if not (root / "sys/kernel").is_dir():
        return
    normal = root / "sys/kernel/rcu_normal"
    if not (root / "sys/kernel/rcu_expedited").exists():
        text = f"Linux {short(release)} has no rcu_expedited: a freeze takes 30 to 45 ms more"
        yield Finding("kernel", "note", text)
    elif normal.exists() and normal.read_text().strip() != "0":
        text = "rcu_normal is set, as on a real-time kernel: a freeze takes 30 to 45 ms more"
        yield Finding("kernel", "note", text)


def short(release: str) -> str:
    """Version and patch level, "5.10" of "5.10.0-32-amd64"."""
    return ".".join(release.split(".")[:2])


def names_in(directory: Path) -> list[str]:
    return sorted(os.listdir(directory)) if directory.is_dir() else []  # noqa: PTH208
