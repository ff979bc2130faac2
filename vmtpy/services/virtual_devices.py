"""Which virtual device carries a disk, as vSphere calls it: "scsi0:1", "nvme0:0", "ide1:0".

Serves services/disks.py: vSphere finds a filesystem's VMDK by it. Relies on sysfs alone, and on the
label that VMware's firmware gives a controller; rules: open-vm-tools'
services/plugins/guestInfo/diskInfo.c.
"""

from __future__ import annotations

import os
import re

from vmtpy import files

PCI = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
SCSI = re.compile(r"\d+:\d+:(\d+):\d+")  # host, channel, target, unit
ATA = re.compile(r"(?:ata|host)(\d+)")
SAS_PORT = re.compile(r"port-\d+:\d+")
SAS_PHY = re.compile(r"phy-\d+:(\d+)")
NVME = re.compile(r"nvme\d+n(\d+)")
NVME_CONTROLLER = re.compile(r"nvme\d+")
LABEL = re.compile(r"(?:scsi|sata|nvme|ide)\d{1,3}")
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


def in_order(name: str) -> tuple[str, list[int]]:
    """scsi0:2 stands before scsi0:12."""
    return name[:4].rstrip("0123456789:"), [int(one) for one in re.findall(r"\d+", name)]


def located(path: str) -> str:
    """The same by the disk's directory in sysfs."""
    block = os.path.basename(path)  # noqa: PTH119
    nvme = NVME.fullmatch(block)
    parts = (nvme_controller(path) if nvme else path).split("/")
    places = [place for place, part in enumerate(parts) if PCI.fullmatch(part)]
    if not places:
        return ""
    controller, below = "/".join(parts[: places[-1] + 1]), parts[places[-1] + 1 :]
    if nvme:
        return f"{label(controller)}:{namespace(path, nvme) - 1}"
    kind = int(files.read_text(f"{controller}/class"), 16)
    unit = next(match[1] for part in below if (match := SCSI.fullmatch(part)))
    if kind >> 8 == IDE:
        return f"ide{ata_number(controller, below)}:{unit}"
    if kind == AHCI:
        return f"{label(controller)}:{ata_number(controller, below)}"
    for place, part in enumerate(below):
        if SAS_PORT.fullmatch(part):
            unit = sas_phy("/".join([controller, *below[: place + 1]]))
    return f"{label(controller)}:{unit}"


def label(controller: str) -> str:
    """The name that VMware's firmware gives the controller.

    Raises:
        ValueError: it has another one.
        OSError: it has none.
    """
    text = files.read_text(f"{controller}/label").strip().lower()
    if not LABEL.fullmatch(text):
        raise ValueError(text)
    return text


def ata_number(controller: str, below: list[str]) -> int:
    """The how-manieth port of the controller it is; the kernel numbers all ports of the machine."""
    own = next(match for part in below if (match := ATA.fullmatch(part)))
    prefix = own[0].removesuffix(own[1])
    siblings = [
        int(match[1])
        for one in os.listdir(controller)  # noqa: PTH208
        if one.startswith(prefix) and (match := ATA.fullmatch(one))
    ]
    return sum(one < int(own[1]) for one in siblings)


def sas_phy(port: str) -> str:
    """The first phy of a SAS port."""
    found = [SAS_PHY.fullmatch(one) for one in os.listdir(port)]  # noqa: PTH208
    return str(min(int(match[1]) for match in found if match))


def nvme_controller(path: str) -> str:
    """The directory below the controller. Where the kernel joins several ways to one disk, the disk
    lies below a subsystem, which has links to its controllers."""
    if any(PCI.fullmatch(part) for part in path.split("/")):
        return path
    above = os.path.dirname(path)  # noqa: PTH120
    (only,) = (one for one in os.listdir(above) if NVME_CONTROLLER.fullmatch(one))  # noqa: PTH208
    return os.path.realpath(f"{above}/{only}")


def namespace(path: str, block: re.Match[str]) -> int:
    """The number of an NVMe disk, from 1 on."""
    try:
        return int(files.read_text(f"{path}/nsid"))
    except OSError:  # kernels of before 4.0
        return int(block[1])
