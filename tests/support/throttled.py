"""A virtual machine on a disk that QEMU throttles, and a backup of it under load.

Serves tests/vm and benchmarks/scenarios/throttled.py. The agent inside may be any: `vmtpy emulate`
is its host.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.qemu import virtual_machine
from support.roots import make_root
from support.vm_backup import EMULATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.qemu import VirtualMachine

MIB = 1 << 20
SIZE = 512 * MIB
HELD = ("--snapshot-command", "sleep 0.1", "--end-after-backup")
RECORD = "/run/record"
VMTPY = ("python", "-m", "vmtpy", "run", "--record", RECORD)
OPEN_VM_TOOLS = ("vmtoolsd", "-n", "vmsvc")
DISK = "virtio0"


@dataclass(frozen=True)
class Limits:
    """What the disk takes.

    Attributes:
        rate: MiB of writes a second, 0 for all.
        requests: a second, which makes each wait; 0 for all.
    """

    rate: int = 0
    requests: int = 0


@dataclass(frozen=True)
class Backup:
    """A backup as its host saw it, and the writers.

    Attributes:
        outcome: "done", or what it was instead.
        error: what the host was told.
        moments: when its phases were reached, by name; seconds of the guest's monotonic clock.
        gaps: by writer, the times without a finished write, as guest/pace.py tells them.
        record: vmtpy's own; empty for another agent.
    """

    outcome: str
    error: str
    moments: dict[str, float]
    gaps: dict[str, list[tuple[float, float]]]
    record: dict[str, Any]


@contextmanager
def throttled_guest(kernel: str, work: Path) -> Iterator[VirtualMachine]:
    """Boots a machine with the writers' files on an ext4 at /data; `work` is an empty directory."""
    root = make_root(kernel, work, programs=("mkfs.ext4",))
    image = work / "disk.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", str(image), str(SIZE)]
    subprocess.run(create, check=True, timeout=60)
    with virtual_machine(root, image) as machine:
        machine.check("mkfs.ext4", "-q", "/dev/vda")
        machine.check("mount", "-t", "ext4", "/dev/vda", "/data")
        machine.check("mount", "-t", "debugfs", "debugfs", "/sys/kernel/debug")
        machine.check("python", "/opt/guest/pace.py", "--fill", "/data")
        yield machine


def throttle(machine: VirtualMachine, device: str, limits: Limits) -> None:
    """Throttles one of its disks from now on."""
    owner = device if device.startswith("path") else f"/machine/peripheral/{device}/virtio-backend"
    arguments = dict.fromkeys(("bps", "bps_rd", "iops", "iops_rd"), 0)
    arguments |= {"bps_wr": limits.rate * MIB, "iops_wr": limits.requests}
    machine.qmp.execute("block_set_io_throttle", id=owner, **arguments)


def back_up(machine: VirtualMachine, agent: tuple[str, ...], limits: Limits, load: int) -> Backup:
    """One backup while a writer gives the disk `load` MiB/s; the disk is throttled for as long."""
    pace = machine.start("python", "/opt/guest/pace.py", "/data", str(load), output="/run/pace")
    throttle(machine, DISK, limits)
    host = machine.start(*EMULATE, *HELD, "--", *agent, output="/run/emulate")
    try:
        machine.wait(host, timeout=600)
    finally:
        throttle(machine, DISK, Limits())
    machine.ask("end_of_input", pid=pace)
    machine.wait(pace)
    lines = [json.loads(line) for line in machine.read("/run/timeline").splitlines()]
    phases: dict[str, dict[str, Any]] = {
        line["phase"]: line for line in lines if line["kind"] == "phase"
    }
    ended = phases.get("backup ended", {})
    moments = {name: phase["monotonic"] for name, phase in phases.items()}
    gaps = json.loads(machine.read("/run/pace"))
    record = json.loads(machine.read(RECORD).splitlines()[-1]) if RECORD in agent else {}
    return Backup(ended.get("outcome", "no end"), ended.get("error", ""), moments, gaps, record)
