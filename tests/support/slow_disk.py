"""A disk that is slower than its writers: a loop device that the blkio control group (cgroup v1)
holds to a rate, and the kernel's bounds on what is dirty of it.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loop import LoopMount

THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
CLASS = Path("/sys/class/bdi")
MIB = 1 << 20
FOUND = {"strict_limit": "0", "min_ratio_fine": "0", "max_ratio_fine": "1000000"}
# Mount namespaces of its own for a process that is not to see the kernel's count of what is dirty
# of each device, and for one that is to.
WITHOUT_DEBUGFS = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    'mount -t tmpfs none /sys/kernel/debug && exec "$@"',
    "sh",
)
WITH_DEBUGFS = (
    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
    'test -d /sys/kernel/debug/bdi || mount -t debugfs none /sys/kernel/debug && exec "$@"',
    "sh",
)
IMAGE = 512 << 20  # bytes: ext4 writes at once what is dirtied where much of it is full


def number(mount: LoopMount) -> str:
    """ "major:minor" of the loop device."""
    return Path(f"/sys/block/{Path(mount.device).name}/dev").read_text().strip()


def bounds(mount: LoopMount) -> dict[str, str]:
    """The bounds as they are now; FOUND is as the kernel makes them."""
    directory = CLASS / number(mount)
    return {name: (directory / name).read_text().strip() for name in FOUND}


def paced(mount: LoopMount) -> bool:
    """Its writers are being slowed down."""
    return bounds(mount)["strict_limit"] == "1"


def make_dirty(mount: LoopMount, mebibytes: int) -> None:
    """Leaves so much to be written."""
    (mount.path / "dirty").write_bytes(os.urandom(MIB) * mebibytes)


@contextmanager
def slow(mount: LoopMount, rate: int, dirty: int = 0) -> Iterator[None]:
    """Holds the disk to so many MiB/s, and leaves so many MiB to be written."""
    if not THROTTLE.exists():
        pytest.skip(f"no {THROTTLE} (cgroup v1)")
    if not (CLASS / number(mount) / "max_bytes").exists():
        pytest.skip("no bound on the dirty pages of a device (Linux 6.2)")
    assert bounds(mount) == FOUND
    # A new file: what has been dirty for 30 s is written, and who truncates waits for that.
    (mount.path / "dirty").unlink(missing_ok=True)
    subprocess.run(["sync", "-f", mount.path], check=True, timeout=PATIENCE)
    if dirty:
        make_dirty(mount, dirty)
    THROTTLE.write_text(f"{number(mount)} {rate * MIB}")
    try:
        yield
    finally:
        full_speed(mount)


def full_speed(mount: LoopMount) -> None:
    """The disk takes again what it can."""
    THROTTLE.write_text(f"{number(mount)} 0")
