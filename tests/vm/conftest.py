"""Kernels and initramfs for the virtual machines of this directory, made once per run."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.images import filled
from support.qemu import virtual_machine
from support.roots import make_root, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.qemu import Root, VirtualMachine


@pytest.fixture(scope="session")
def root_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Root]:
    """What machines boot, by the name that `.ci/kernel` takes. Skips without QEMU or the kernel."""

    @functools.cache
    def make(name: str) -> Root:
        if lacking := missing(name):
            pytest.skip(f"needs {lacking}")
        return make_root(name, tmp_path_factory.mktemp("initramfs"))

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
