"""Reads and encodes the filesystems for the host: `SetGuestDiskInfo`, and for older hosts key 3.

It serves guest_info.py. It calls statvfs() only for filesystems of the plan whose mount points are
not behind a server, because that call hangs while the server of a network filesystem is away. The
formats are those of open-vm-tools' services/plugins/guestInfo/diskInfo.c.
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
    """The local filesystems by path, without those for which statvfs() fails.

    ZFS is among them, although it cannot be frozen; its disks are not known.
    """
    plan = _core.make_plan(_core.PlanRequest())
    asked = [one for one in plan.filesystems if not one.behind_server]
    local = [(one.path, one.type, one.disks) for one in asked]
    remote = (_core.Cause.NETWORK, _core.Cause.FUSE)
    servers = [f"{one.path.rstrip('/')}/" for one in plan.left_out if one.cause in remote]
    local += [(one.path, one.type, []) for one in plan.left_out if is_zfs(one, servers)]
    disks = []
    for path, kind, below in local:
        try:
            found = os.statvfs(path)
        except OSError:
            continue
        if found.f_blocks:
            unit = found.f_frsize
            free = found.f_bavail * unit // MIB * MIB
            devices = virtual_devices.names(below)
            disks.append(Disk(path, kind, free, found.f_blocks * unit, devices))
    return sorted(disks, key=lambda disk: disk.path)


def is_zfs(left: _core.LeftOut, servers: list[str]) -> bool:
    """Whether this is a ZFS that is writable, not hidden by another mount, and not below one of
    `servers`, whose answer might never come.
    """
    if left.type != "zfs" or left.cause != _core.Cause.UNSUPPORTED:
        return False
    if left.path.startswith(tuple(servers)):
        return False
    try:
        device = os.stat(left.path).st_dev  # noqa: PTH116 (as statvfs, which Path does not have)
    except OSError:
        return False
    return f"{os.major(device)}:{os.minor(device)}" == left.device


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
