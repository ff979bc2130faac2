"""Kernels and initramfs for the virtual machines of this directory, made once per run."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import guest_kernel, initramfs
from support.images import filled
from support.qemu import QEMU, Root, virtual_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.qemu import VirtualMachine

MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "ext4", "vsock_loopback")
PROGRAMS = ("e2fsck", "tune2fs", "dumpe2fs")
# open-vm-tools, where they are installed.
PEERS = ("vmtoolsd", "vmware-rpctool")
PLUGINS = Path("/usr/lib/x86_64-linux-gnu/open-vm-tools/plugins")
NEEDED = (QEMU, "qemu-img", "busybox", "ldd", "mkfs.ext4", *PROGRAMS)


@pytest.fixture(scope="session")
def root_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Root]:
    """What machines boot, by the name that `.ci/kernel` takes. Skips without QEMU or the kernel."""

    @functools.cache
    def make(name: str) -> Root:
        for program in NEEDED:
            if initramfs.where(program) is None:
                pytest.skip(f"needs the program {program}")
        kernel = guest_kernel.find(name)
        if kernel is None:
            pytest.skip(f"needs Debian's kernel package: run .ci/kernel {name}")
        work = tmp_path_factory.mktemp("initramfs")
        (work / "modules").mkdir()
        initramfs.write(
            work / "initramfs",
            modules=kernel.unpack(MODULES, work / "modules"),
            programs=[*PROGRAMS, *filter(initramfs.where, PEERS)],
            trees=[PLUGINS] if PLUGINS.is_dir() else [],
            guest=Path(__file__).parent / "guest",
        )
        return Root(kernel.image, work / "initramfs")

    return make


@pytest.fixture(scope="session")
def root(root_of: Callable[[str], Root]) -> Root:
    """What machines boot that need no other kernel than Debian 12's."""
    return root_of("amd64")


@pytest.fixture(scope="session")
def machine(root: Root) -> Iterator[VirtualMachine]:
    """A machine without a disk for all tests that leave it as it was."""
    with virtual_machine(root) as made:
        yield made


@pytest.fixture(scope="session")
def disk() -> Iterator[Path]:
    """An ext4 image of 10 GB with 2 GiB in files. Tests write to layers over it."""
    with tempfile.TemporaryDirectory(prefix="vmtpy-disk-") as work:
        image = Path(work) / "disk.raw"
        filled(image, 10 * 10**9, 2 << 30)
        yield image
