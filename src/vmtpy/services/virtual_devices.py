"""Finds vSphere's name of the virtual device of a disk: "scsi0:1", "nvme0:0", "ide1:0".

It serves disks.py, since vSphere finds a filesystem's VMDK by this name. It relies on sysfs and on
the label that VMware's firmware gives a controller. The rules are those of open-vm-tools'
services/plugins/guestInfo/diskInfo.c. The module does without regular expressions, which would cost
the agent memory.
"""

from __future__ import annotations

import os
from pathlib import Path

KINDS = ("scsi", "sata", "nvme", "ide")
IDE, AHCI = 0x0101, 0x010601  # PCI classes; IDE's is without the programming interface


def names(disks: list[str], sys: str = "/sys") -> tuple[str, ...]:
    """The virtual devices of all these disks, sorted; empty if one of them is not known.

    vSphere would take an incomplete list for a complete one.

    Args:
        disks: the disks as "major:minor".
        sys: the mount point of sysfs.
    """
    found = {name(disk, sys) for disk in disks}
    if "" in found:
        return ()
    return tuple(sorted(found, key=in_order))


def name(disk: str, sys: str = "/sys") -> str:
    """The virtual device of a disk; "" if it is not known."""
    try:
        return located(os.path.realpath(f"{sys}/dev/block/{disk}"))
    except (OSError, ValueError, StopIteration):  # the disk was removed, or is not VMware's
        return ""


def in_order(name: str) -> tuple[str, int]:
    """The sorting key by which scsi0:2 comes before scsi0:12."""
    controller, _, unit = name.partition(":")
    return controller, int(unit)


def located(path: str) -> str:
    """The virtual device of the disk whose directory in sysfs is `path`."""
    block = os.path.basename(path)  # noqa: PTH119
    nvme = block.startswith("nvme")
    parts = (nvme_controller(path) if nvme else path).split("/")
    places = [place for place, part in enumerate(parts) if is_pci(part)]
    if not places:
        return ""
    controller, below = "/".join(parts[: places[-1] + 1]), parts[places[-1] + 1 :]
    if nvme:
        return f"{label(controller)}:{namespace(path) - 1}"
    kind = int(Path(f"{controller}/class").read_text("utf-8", "replace"), 16)
    address = next(part for part in below if part.count(":") == 3)  # host:channel:target:unit
    unit = int(address.split(":")[2])
    if kind >> 8 == IDE:
        return f"ide{ata_number(controller, below)}:{unit}"
    if kind == AHCI:
        return f"{label(controller)}:{ata_number(controller, below)}"
    for place, part in enumerate(below):
        if part.startswith("port-"):
            unit = sas_phy("/".join([controller, *below[: place + 1]]))
    return f"{label(controller)}:{unit}"


def is_pci(part: str) -> bool:
    """Whether `part` is the address of a PCI device, as 0000:03:00.0."""
    return part.count(":") == 2 and part[-2:-1] == "."


def number(text: str, *prefixes: str) -> int:
    """The number after one of the prefixes, ata12 → 12; -1 if there is no such number."""
    for prefix in prefixes:
        rest = text.removeprefix(prefix)
        if rest != text and rest.isdigit():
            return int(rest)
    return -1


def label(controller: str) -> str:
    """The name that VMware's firmware gives the controller.

    Raises:
        ValueError: the label is not one of VMware's.
        OSError: the controller has no label.
    """
    text = Path(f"{controller}/label").read_text("utf-8", "replace").strip().lower()
    if not 0 <= number(text, *KINDS) < 1000:
        raise ValueError(text)
    return text


def ata_number(controller: str, below: list[str]) -> int:
    """The number of a port among those of its controller.

    The kernel numbers all ports of the machine, by "ata", or "host" in old kernels.
    """
    own = next(part for part in below if number(part, "ata", "host") >= 0)
    prefix = own.rstrip("0123456789")
    siblings = [number(entry, prefix) for entry in os.listdir(controller)]  # noqa: PTH208
    return sum(0 <= sibling < number(own, prefix) for sibling in siblings)


def sas_phy(port: str) -> int:
    """The first phy of a SAS port: phy-6:4 → 4."""
    found = os.listdir(port)  # noqa: PTH208
    return min(int(phy.partition(":")[2]) for phy in found if phy.startswith("phy-"))


def nvme_controller(path: str) -> str:
    """The directory below the controller of an NVMe disk.

    If the kernel has joined several paths to the disk (NVMe multipath), the disk's directory is
    below a subsystem, which has links to its controllers.
    """
    if any(is_pci(part) for part in path.split("/")):
        return path
    above = os.path.dirname(path)  # noqa: PTH120
    (only,) = (entry for entry in os.listdir(above) if number(entry, "nvme") >= 0)  # noqa: PTH208
    return os.path.realpath(f"{above}/{only}")


def namespace(path: str) -> int:
    """The number of an NVMe disk, from 1; old kernels have it only in the disk's name, nvme0n1."""
    try:
        return int(Path(f"{path}/nsid").read_text("utf-8", "replace"))
    except OSError:
        return int(path.rpartition("n")[2])
