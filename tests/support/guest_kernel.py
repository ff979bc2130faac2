"""Debian's own kernel for test machines: the image and its modules, unpacked, not installed.

Serves tests/vm and tests/native. Looks in $VMTPY_KERNEL, in build/kernel (which `.ci/kernel` fills)
and in this machine's own /boot and /lib/modules; for arm64 in build/kernel-arm64.
"""

from __future__ import annotations

import lzma
import os
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kernel:
    """A kernel and the directory of its modules."""

    image: Path
    modules: Path

    def unpack(self, names: tuple[str, ...], into: Path) -> list[Path]:
        """Copies modules and all that they need, in the order in which they must be loaded.

        Raises:
            KeyError: the kernel has no module of that name.
        """
        files = {}
        for file in self.modules.rglob("*.ko*"):
            files[file.name.partition(".")[0].replace("-", "_")] = file
        order: dict[str, Path] = {}

        def take(name: str) -> None:
            if name in order:
                return
            source = files[name]
            data = source.read_bytes()
            if source.suffix == ".xz":
                data = lzma.decompress(data)
            for needed in depends(data):
                take(needed)
            order[name] = into / f"{name}.ko"
            order[name].write_bytes(data)

        for name in names:
            take(name)
        return list(order.values())


def depends(module: bytes) -> list[str]:
    """What a module says that it needs, in its section .modinfo."""
    said = re.search(rb"\0depends=([^\0]*)\0", module)
    words = said.group(1).decode() if said else ""
    return [word.replace("-", "_") for word in words.split(",") if word]


def find(architecture: str = "amd64") -> Kernel | None:
    """The first kernel in the places above that can be read."""
    named = os.environ.get("VMTPY_KERNEL")
    places = [Path(named)] if named else [ROOT / "build" / "kernel", Path("/")]
    if architecture != "amd64":
        places = [ROOT / "build" / f"kernel-{architecture}"]
    for place in places:
        for image in sorted(place.glob("boot/vmlinuz-*"), reverse=True):
            modules = place / "lib" / "modules" / image.name.removeprefix("vmlinuz-")
            if (modules / "kernel").is_dir() and os.access(image, os.R_OK):
                return Kernel(image, modules)
    return None
