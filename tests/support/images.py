"""Disk images for test machines: a filled image that all machines share, and qcow2 layers over it.

It serves tests/vm, and relies on mkfs.ext4 and qemu-img, which do not need root.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from support.initramfs import found

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def filled(image: Path, size: int, used: int) -> None:
    """An ext4 image of `size` bytes, sparse, with about `used` bytes in files of 1 MiB."""
    content = image.with_suffix(".content")
    block = os.urandom(MIB)
    for number in range(used // MIB):
        directory = content / f"{number // 100:02}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{number % 100:02}").write_bytes(block)
    with image.open("wb") as file:
        file.truncate(size)
    command = [str(found("mkfs.ext4")), "-q", "-F", "-d", str(content), str(image)]
    subprocess.run(command, check=True, timeout=300)
    subprocess.run(["rm", "-r", str(content)], check=True, timeout=60)


def layer(image: Path, below: Path) -> Path:
    """A qcow2 image that stores only the differences to the image below."""
    kind = "raw" if below.suffix == ".raw" else "qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(below), "-F", kind, str(image)]
    subprocess.run(command, check=True, timeout=60)
    return image
