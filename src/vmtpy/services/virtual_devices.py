"""Which virtual device carries a disk, as vSphere calls it: "scsi0:1", "nvme0:0", "ide1:0".

Serves services/disks.py: vSphere finds a filesystem's VMDK by it. Relies on sysfs alone, and on the
label that VMware's firmware gives a controller; rules: open-vm-tools'
services/plugins/guestInfo/diskInfo.c. Regular expressions would cost the agent memory for good.
"""

from __future__ import annotations

import os

from vmtpy import files

KINDS = ("scsi", "sata", "nvme", "ide")
IDE, AHCI = 0x0101, 0x010601  # PCI classes; of IDE without its programming interface


def names(disks: list[str], sys: str = "/sys") -> tuple[str, ...]:
    """The virtual devices of all these disks, or none: a part of them would be taken for the whole.

    Args:
        disks: "major:minor".
        sys: where sysfs is.
    """
    found = {name(disk, sys) for disk in disks}
    if "" in found:
        return ()
    return tuple(sorted(found, key=in_order))


def name(disk: str, sys: str = "/sys") -> str:
    """The virtual device of a disk, "" where it cannot be told."""
    try:
        return located(os.path.realpath(f"{sys}/dev/block/{disk}"))
    except (OSError, ValueError, StopIteration):  # unplugged, or not VMware's
        return ""


def in_order(name: str) -> tuple[str, int]:
    """scsi0:2 stands before scsi0:12."""
    controller, _, unit = name.partition(":")
    return controller, int(unit)


def located(path: str) -> str:
    """The same by the disk's directory in sysfs."""
    block = os.path.basename(path)  # noqa: PTH119
    nvme = block.startswith("nvme")
    parts = (nvme_controller(path) if nvme else path).split("/")
    places = [place for place, part in enumerate(parts) if is_pci(part)]
    if not places:
        return ""
    controller, below = "/".join(parts[: places[-1] + 1]), parts[places[-1] + 1 :]
    if nvme:
        return f"{label(controller)}:{namespace(path) - 1}"
    kind = int(files.read_text(f"{controller}/class"), 16)
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
    """Whether it is the address of a PCI device: 0000:03:00.0."""
    return part.count(":") == 2 and part[-2:-1] == "."


def number(text: str, *prefixes: str) -> int:
    """ata12 → 12; -1 where it is something else."""
    for prefix in prefixes:
        rest = text.removeprefix(prefix)
        if rest != text and rest.isdigit():
            return int(rest)
    return -1


def label(controller: str) -> str:
    """The name that VMware's firmware gives the controller.

    Raises:
        ValueError: it has another one.
        OSError: it has none.
    """
    text = files.read_text(f"{controller}/label").strip().lower()
    if not 0 <= number(text, *KINDS) < 1000:
        raise ValueError(text)
    return text


def ata_number(controller: str, below: list[str]) -> int:
    """The how-manieth port of the controller it is; the kernel numbers all ports of the machine, by
    "ata", or "host" in old ones."""
    own = next(part for part in below if number(part, "ata", "host") >= 0)
    prefix = own.rstrip("0123456789")
    siblings = [number(entry, prefix) for entry in os.listdir(controller)]  # noqa: PTH208
    return sum(0 <= sibling < number(own, prefix) for sibling in siblings)


def sas_phy(port: str) -> int:
    """The first phy of a SAS port: phy-6:4 → 4."""
    found = os.listdir(port)  # noqa: PTH208
    return min(int(phy.partition(":")[2]) for phy in found if phy.startswith("phy-"))


def nvme_controller(path: str) -> str:
    """The directory below the controller. Where the kernel joins several ways to one disk, the disk
    lies below a subsystem, which has links to its controllers."""
    if any(is_pci(part) for part in path.split("/")):
        return path
    above = os.path.dirname(path)  # noqa: PTH120
    (only,) = (entry for entry in os.listdir(above) if number(entry, "nvme") >= 0)  # noqa: PTH208
    return os.path.realpath(f"{above}/{only}")


def namespace(path: str) -> int:
    """The number of an NVMe disk, from 1 on; old kernels have it in its name only: nvme0n1."""
    try:
        return int(files.read_text(f"{path}/nsid"))
    except OSError:
        return int(path.rpartition("n")[2])
