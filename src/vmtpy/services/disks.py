"""The filesystems as the host is told of them: `SetGuestDiskInfo`, and for older hosts key 3.

Serves services/guest_info.py. Only local filesystems of the plan are asked: a network filesystem
whose server is away would hang whoever asks it. Formats: open-vm-tools'
services/plugins/guestInfo/diskInfo.c.
"""

from __future__ import annotations

import os
import struct
from binascii import b2a_base64
from typing import NamedTuple

from vmtpy import _core
from vmtpy.services import virtual_devices

MOST_OLD = 255  # a count of one byte
MIB = 1 << 20
NAME_OLD = 100  # bytes, the last one zero


class Disk(NamedTuple):
    """A filesystem.

    Attributes:
        path: where it is mounted.
        type: "ext4".
        free: bytes that a user can still have, in whole MiB: a line in a log is no news.
        size: bytes.
        devices: the virtual devices that carry it, as vSphere calls them: "scsi0:0"; none if that
            is not known of all of them.
    """

    path: str
    type: str
    free: int
    size: int
    devices: tuple[str, ...] = ()


def read() -> list[Disk]:
    """The local filesystems by path; one that cannot be asked is left out, the others stay."""
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
    """The body of `SetGuestDiskInfo`: JSON, in which a name is base64 for it may be any bytes."""
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
