"""Finds Debian's kernels for test machines: images and modules that are unpacked, but not
installed.

It serves tests/vm and tests/native. It looks for the usual kernel in $VMTPY_KERNEL, in build/kernel
(which `.ci/kernel` fills) and in this machine's /boot and /lib/modules, and for a named kernel in
build/kernel-NAME (`.ci/kernel NAME`).
"""

from __future__ import annotations

import lzma
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kernel:
    """A kernel and the directory of its modules."""

    image: Path
    modules: Path

    @property
    def release(self) -> str:
        """The release, as `uname -r` prints it."""
        return self.modules.name

    def unpack(self, names: tuple[str, ...], into: Path) -> list[Path]:
        """Copies modules and all that they need, in the order in which they must be loaded.

        What is built into the image needs no module.

        Raises:
            KeyError: the kernel has no module of that name.
        """
        files = {name_of(file): file for file in self.modules.rglob("*.ko*")}
        builtin = self.modules / "modules.builtin"
        lines = builtin.read_text().split() if builtin.exists() else []
        image = {name_of(Path(line)) for line in lines}
        order: dict[str, Path] = {}

        def take(name: str) -> None:
            if name in order or name in image:
                return
            source = files[name]
            data = source.read_bytes()
            if source.suffix == ".xz":
                data = lzma.decompress(data)
            # A checksum that is no module is in the image.
            for needed in depends(data) + [name for name in checksums(data) if name in files]:
                take(needed)
            order[name] = into / f"{name}.ko"
            order[name].write_bytes(data)

        for name in names:
            take(name)
        return list(order.values())


def name_of(module: Path) -> str:
    """The name of a module, from the name of its file."""
    return module.name.partition(".")[0].replace("-", "_")


def depends(module: bytes) -> list[str]:
    """The modules that a module needs, from its section .modinfo."""
    said = re.search(rb"\0depends=([^\0]*)\0", module)
    words = said.group(1).decode() if said else ""
    return [word.replace("-", "_") for word in words.split(",") if word]


def checksums(module: bytes) -> list[str]:
    """The modules of the checksums that a module asks the kernel's crypto API for by name."""
    said = re.findall(rb"\0softdep=pre: crypto-([^\0 ]+)", module)
    return [f"{word.decode()}_generic" for word in said]


def find(name: str = "amd64") -> Kernel | None:
    """The first kernel in the places above that can be read.

    Args:
        name: as `.ci/kernel` takes it.
    """
    named = os.environ.get("VMTPY_KERNEL")
    places = [Path(named)] if named else [ROOT / "build" / "kernel", Path("/")]
    if name != "amd64":
        places = [ROOT / "build" / f"kernel-{name}"]
    for place in places:
        for kernel in kernels_in(place):
            if (kernel.modules / "kernel").is_dir() and os.access(kernel.image, os.R_OK):
                return kernel
    return None


def kernels_in(place: Path) -> Iterator[Kernel]:
    """Images in /boot with their modules; from Debian's Linux 7 on the image is beside these."""
    for image in sorted(place.glob("boot/vmlinuz-*"), reverse=True):
        release = image.name.removeprefix("vmlinuz-")
        for parent in ("lib/modules", "usr/lib/modules"):
            yield Kernel(image, place / parent / release)
    for image in sorted(place.glob("usr/lib/modules/*/vmlinuz"), reverse=True):
        yield Kernel(image, image.parent)
