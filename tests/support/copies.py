"""Mounts copies of a disk that a backup has taken, and installs the documented hooks."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support import loop

if TYPE_CHECKING:
    from collections.abc import Iterator

HOOKS = Path(__file__).parent.parent.parent / "examples" / "hooks"


@contextmanager
def mounted(image: Path, where: Path) -> Iterator[Path]:
    """Mounts a copy of an image for reading and writing."""
    where.mkdir()
    device = loop.run(["losetup", "--show", "-f", str(image)]).strip()
    try:
        loop.run(["mount", "-t", "ext4", device, str(where)])
        try:
            yield where
        finally:
            loop.run(["umount", str(where)])
    finally:
        loop.run(["losetup", "-d", device])


def install(name: str, directory: Path) -> Path:
    """Puts one of the documented hooks into a new hooks directory."""
    directory.mkdir(mode=0o755)
    hook = directory / f"50-{Path(name).stem}"
    shutil.copyfile(HOOKS / name, hook)
    hook.chmod(0o755)
    return hook
