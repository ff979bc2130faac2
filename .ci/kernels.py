"""Fetches Debian's kernels for test machines: `.ci/kernel [NAME ...]`, see KERNELS.

Each is unpacked into a directory of its own in build/ and never installed. A kernel that is there
already and is still the suite's own is left as it is. Relies on apt-get and dpkg-deb.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import debian_packages


@dataclass(frozen=True)
class Kernel:
    """The source of a kernel, and its directory in build/."""

    into: str
    suites: tuple[str, ...]
    architecture: str = "amd64"
    package: str = "linux-image-amd64"


# No mirror has Debian 10 any more, which had Linux 4.19.
KERNELS = {
    "amd64": Kernel("kernel", ("bookworm",)),
    "arm64": Kernel("kernel-arm64", ("bookworm",), "arm64", "linux-image-cloud-arm64"),
    "5.10": Kernel("kernel-5.10", ("bullseye",)),
    "6.12": Kernel("kernel-6.12", ("trixie",)),
    "newest": Kernel("kernel-newest", ("sid", "trixie-backports")),
}
# From Linux 7 on, the image and the modules are packages on which the kernel's package depends.
PARTS = re.compile(r"linux-(image|base|binary|modules)-[0-9]")


def packages_of(archive: debian_packages.Archive, package: str) -> list[str]:
    """Returns the packages of the kernel to which `package` refers."""
    parts = [name for name in archive.depends(package) if PARTS.match(name)]
    return sorted({name for part in parts for name in (part, *packages_of(archive, part))})


def fetch(kernel: Kernel) -> None:
    into = Path("build") / kernel.into
    done = into / ".unpacked"
    archive = debian_packages.Archive([*kernel.suites], [kernel.architecture])

    def download() -> list[Path]:
        archive.update()
        packages = packages_of(archive, kernel.package)
        if done.exists() and done.read_text().split() == archive.files(packages):
            return []
        return archive.download(packages)

    if files := debian_packages.patiently(download):
        shutil.rmtree(into, ignore_errors=True)
        names = [file.name for file in files]
        debian_packages.extract(files, into)
        done.write_text(" ".join(names))


if __name__ == "__main__":
    names = sys.argv[1:] or ["amd64"]
    if unknown := set(names) - set(KERNELS):
        sys.exit(f"no kernel {', '.join(unknown)}; there are {', '.join(KERNELS)}")
    for name in names:
        fetch(KERNELS[name])
