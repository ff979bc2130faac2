"""What test machines boot: one of Debian's kernels, and an initramfs with what a test needs inside.

Serves tests/vm and benchmarks/scenarios/throttled.py. Relies on `.ci/kernel`, which
fetches the kernels.
"""

from __future__ import annotations

from pathlib import Path

from support import guest_kernel, initramfs
from support.qemu import QEMU, Root

MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "ext4", "vsock_loopback")
PROGRAMS = ("e2fsck", "tune2fs", "dumpe2fs")
# open-vm-tools, where they are installed.
PEERS = ("vmtoolsd", "vmware-rpctool")
PLUGINS = Path("/usr/lib/x86_64-linux-gnu/open-vm-tools/plugins")
NEEDED = (QEMU, "qemu-img", "busybox", "ldd", "mkfs.ext4", *PROGRAMS)
GUEST = Path(__file__).parents[1] / "vm" / "guest"


def missing(kernel: str, programs: tuple[str, ...] = ()) -> str:
    """What this machine lacks for make_root(), "" if nothing."""
    for program in (*NEEDED, *programs):
        if initramfs.where(program) is None:
            return f"the program {program}"
    if guest_kernel.find(kernel) is None:
        return f"Debian's kernel package: run .ci/kernel {kernel}"
    return ""


def make_root(
    kernel: str,
    work: Path,
    *,
    modules: tuple[str, ...] = (),
    programs: tuple[str, ...] = (),
    trees: tuple[Path, ...] = (),
) -> Root:
    """Makes one in `work`.

    Args:
        kernel: as `.ci/kernel` takes it.
        work: an empty directory.
        modules: of the kernel, beside MODULES.
        programs: beside PROGRAMS.
        trees: directories to take along as they are.
    """
    chosen = guest_kernel.find(kernel)
    assert chosen, missing(kernel)
    (work / "modules").mkdir()
    initramfs.write(
        work / "initramfs",
        modules=chosen.unpack((*MODULES, *modules), work / "modules"),
        programs=[*PROGRAMS, *programs, *filter(initramfs.where, PEERS)],
        trees=[*trees, *filter(Path.is_dir, [PLUGINS])],
        guest=GUEST,
    )
    return Root(chosen.image, work / "initramfs")
