"""Reads and encodes the filesystems for the host: `SetGuestDiskInfo`, and for older hosts key 3.

It serves guest_info.py. It calls statvfs() only for local filesystems of the plan, because that
call hangs on a network filesystem without its server. The formats are those of open-vm-tools'
services/plugins/guestInfo/diskInfo.c.
"""

from __future__ import annotations

import os
import struct
from binascii import b2a_base64
from typing import NamedTuple

from vmtpy import _core
from vmtpy.services import virtual_devices

MOST_OLD = 255  # filesystems in the old format, whose count has one byte
MIB = 1 << 20
NAME_OLD = 100  # bytes for a path in the old format, with the final NUL


class Disk(NamedTuple):
    """A filesystem.

    Attributes:
        path: the mount point.
        type: the type, as "ext4".
        free: bytes that users can allocate, rounded down to MiB so that small changes are not
            reported.
        size: bytes.
        devices: vSphere's names of the virtual devices below it, as "scsi0:0"; empty unless all
            are known.
    """

    path: str
    type: str
    free: int
    size: int
    devices: tuple[str, ...] = ()


def read() -> list[Disk]:
    """The local filesystems by path, without those for which statvfs() fails."""
    disks = []
    for filesystem in _core.make_plan(_core.PlanRequest()).filesystems:
        try:
            found = os.statvfs(filesystem.path)
        except OSError:
            continue
        if found.f_blocks:
            unit = found.f_frsize
            free = found.f_bavail * unit // MIB * MIB
            devices = virtual_devices.names(filesystem.disks)
            disks.append(
                Disk(filesystem.path, filesystem.type, free, found.f_blocks * unit, devices)
            )
    return sorted(disks, key=lambda disk: disk.path)


def encode(disks: list[Disk]) -> bytes:
    """The body of `SetGuestDiskInfo`: JSON, with names in base64 because they may be any bytes."""
    entries = ",\n".join(map(entry, disks))
    return f'{{\n"version":"1",\n"disks":[\n{entries}\n]}}'.encode()


def entry(disk: Disk) -> str:
    text = (
        f'{{"name":"{base64(disk.path)}","free":"{disk.free}","size":"{disk.size}",'
        f'"fstype":"{disk.type}"'
    )
    if disk.devices:
        text += ',"devices":[{}]'.format(",".join(f'"{device}"' for device in disk.devices))
    return text + "}"


def encode_old(disks: list[Disk]) -> bytes:
    """The body of `SetGuestInfo  3`."""
    body = struct.pack("B", len(disks[:MOST_OLD]))
    for disk in disks[:MOST_OLD]:
        name = os.fsencode(disk.path)[: NAME_OLD - 1]
        body += struct.pack(f"<QQ{NAME_OLD}s", disk.free, disk.size, name)
    return body


def base64(path: str) -> str:
    return b2a_base64(os.fsencode(path), newline=False).decode()
