"""A test machine whose filesystems stand on LVM, LUKS, md and multipath, its root included.

Serves tests/vm. guest/stacks builds them inside, with Debian's own programs; this is the list of
them, the disks that they need, and what a checker finds in their copies.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.images import layer
from support.qemu import VirtualMachine, virtual_machine
from support.throttled import Limits, throttle
from support.vm_backup import PORTS, BusyGuest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.qemu import Root

MODULES = ("virtio_scsi", "sd_mod", "loop", "dm_thin_pool", "dm_snapshot", "dm_crypt", "raid1")
MODULES += ("dm_service_time", "xfs", "btrfs", "algif_skcipher", "xts")
PROGRAMS = ("lvm", "dmsetup", "thin_check", "cryptsetup", "mdadm", "multipath", "losetup")
PROGRAMS += ("mkfs.ext4", "mkfs.xfs", "xfs_repair", "mkfs.btrfs", "btrfs")
TREES = (Path("/lib/multipath"),)
SIZES = (768, 128, 256, 256, 512)  # MiB: vda, vdb, …
SHARED = 128
STEP = 600.0  # seconds for many programs, by software emulation on a busy machine


@dataclass(frozen=True)
class Stack:
    """A filesystem and what it stands on.

    Attributes:
        path: where it is mounted.
        type: its type.
        device: its block device, as mountinfo has it.
        below: the names of all block devices below, its own included, and of its image's carrier.
        disks: those of them that stand on no other one.
        written: where its writers write.
    """

    path: str
    type: str
    device: str
    below: tuple[str, ...]
    disks: tuple[str, ...]
    written: str = ""

    @property
    def directory(self) -> str:
        return self.written or self.path


POOL = ("group-pool-tpool", "group-pool_tdata", "group-pool_tmeta", "vda")
STACKS = (
    Stack(
        "/", "ext4", "/dev/system/root", ("system-root", "system_plain", "vde"), ("vde",), "/srv"
    ),
    Stack("/data/linear", "ext4", "/dev/group/linear", ("group-linear", "vda"), ("vda",)),
    Stack("/data/thin", "xfs", "/dev/group/thin", ("group-thin", *POOL), ("vda",)),
    Stack("/data/luks", "ext4", "/dev/mapper/plain", ("plain", "vdb"), ("vdb",)),
    Stack("/data/mirror", "btrfs", "/dev/md0", ("md0", "vdc", "vdd"), ("vdc", "vdd")),
    Stack("/data/paths", "ext4", "/dev/mapper/shared", ("shared", "sda", "sdb"), ("sda", "sdb")),
    Stack("/data/image", "ext4", "/dev/loop0", ("loop0", "group-thin", *POOL), ("vda",)),
)


class StackedGuest(BusyGuest):
    """Its machine, with writers on each of STACKS."""

    def __init__(self, machine: VirtualMachine, *kinds: str) -> None:
        machine.check("sh", "/opt/guest/stacks", "make", timeout=STEP)
        machine.ask("change_root", path="/root")
        machine.check("sh", "/opt/guest/stacks", "mount", timeout=STEP)
        directories = tuple(stack.directory for stack in STACKS)
        super().__init__(machine, *kinds, directories=directories)

    def numbers(self) -> dict[str, str]:
        """ "major:minor" of all block devices, by their names or device-mapper's."""
        found = self.machine.check("sh", "-c", "grep '' /sys/block/*/dev /sys/block/*/dm/name")
        values = dict(line.split(":", 1) for line in found.splitlines())
        numbers = {}
        for file, value in values.items():
            if file.endswith("/dev"):
                block = file.removesuffix("/dev")
                numbers[values.get(f"{block}/dm/name", block.rpartition("/")[2])] = value
        return numbers

    def plan(self) -> dict[str, dict[str, Any]]:
        """What `vmtpy plan` says of each filesystem, by its path."""
        text = self.machine.check("python", "-m", "vmtpy", "plan", "--json")
        return {one["path"]: one for one in json.loads(text)["filesystems"]}

    def record(self) -> dict[str, Any]:
        """The agent's record of the last backup."""
        return dict(json.loads(self.machine.read("/run/record").splitlines()[-1]))

    def throttle(self, rate: int) -> None:
        """Lets each disk take so many MiB/s of writes from now on; 0: as many as it can."""
        for device in (*(f"virtio{number}" for number in range(len(SIZES))), "path0", "path1"):
            throttle(self.machine, device, Limits(rate))

    def dirty(self) -> int:
        """How many bytes wait to be written, to all devices."""
        lines = self.machine.read("/proc/meminfo").splitlines()
        values = dict(line.split(":", 1) for line in lines)
        return int(values["Dirty"].split()[0]) << 10

    def bounds(self) -> dict[str, str]:
        """How the dirty pages of each device are bounded."""
        files = "/sys/class/bdi/*/strict_limit /sys/class/bdi/*/m??_ratio_fine"
        lines = self.machine.check("sh", "-c", f"grep '' {files}").splitlines()
        return {file: value for file, _, value in (line.rpartition(":") for line in lines)}


@contextmanager
def stacked_guest(root: Root, work: Path, *kinds: str) -> Iterator[StackedGuest]:
    """Boots it, with new images in `work`: NAME.qcow2 for disk0, disk1, … and shared."""
    for name, size in zip(names(), (*SIZES, SHARED), strict=True):
        command = [
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            str(work / f"{name}.qcow2"),
            f"{size}M",
        ]
        subprocess.run(command, check=True, timeout=60)
    *disks, shared = (work / f"{name}.qcow2" for name in names())
    with virtual_machine(root, *disks, ports=PORTS, shared=shared) as machine:
        yield StackedGuest(machine, *kinds)


def names() -> list[str]:
    """QEMU's nodes."""
    return [*(f"disk{number}" for number in range(len(SIZES))), "shared"]


def take_snapshots(machine: VirtualMachine, work: Path) -> None:
    """The images of all disks stay as they are now; the guest goes on in layers above."""
    actions = [
        {
            "type": "blockdev-snapshot-sync",
            "data": {
                "node-name": name,
                "snapshot-file": str(work / f"{name}.after.qcow2"),
                "snapshot-node-name": f"{name}-after",
                "format": "qcow2",
            },
        }
        for name in names()
    ]
    machine.qmp.execute("transaction", actions=actions)


@contextmanager
def copies(root: Root, work: Path) -> Iterator[VirtualMachine]:
    """A new machine that has put together what the images in `work` hold."""
    *disks, shared = (
        layer(work / f"{name}.copy.qcow2", work / f"{name}.qcow2") for name in names()
    )
    with virtual_machine(root, *disks, shared=shared) as machine:
        machine.check("sh", "/opt/guest/stacks", "assemble", timeout=STEP)
        yield machine


def check(machine: VirtualMachine, stack: Stack) -> str:
    """What the checker of its filesystem has against a copy; empty if nothing.

    The image comes after the filesystem that holds it, whose copy is mounted for that.
    """
    if stack.device.startswith("/dev/loop"):
        machine.check("sh", "/opt/guest/stacks", "attach")
    clean, text = json.loads(
        machine.check("python", "-c", CHECK, stack.device, stack.type, timeout=STEP)
    )
    return "" if clean else text


def records(machine: VirtualMachine, stack: Stack) -> dict[str, int | str]:
    """Records by writer in a copy, or what is wrong with them; mounts it for that."""
    machine.check("mkdir", "-p", "/copy")
    machine.check("mount", "-t", stack.type, stack.device, "/copy")
    directory = Path("/copy") / Path(stack.directory).relative_to(stack.path)
    text = machine.check("python", "/opt/guest/writers.py", "--check", directory)
    machine.check("umount", "/copy")
    return dict(json.loads(text))


CHECK = """
import json, sys
from pathlib import Path
from vmtpy.demo import disk
said = disk.check(Path(sys.argv[1]), sys.argv[2], orphans=False)
print(json.dumps([said.clean, said.verdict + said.output]))
"""
