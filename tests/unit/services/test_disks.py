"""The filesystems as the host is told of them."""

from __future__ import annotations

import base64
import json
import os
import struct
from types import SimpleNamespace
from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.services import disks
from vmtpy.services.disks import Disk

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SRV = Disk("/srv", "xfs", 5 << 40, 9 << 40)
ODD = Disk('/mnt/\udcff "quoted"', "ext4", 1, 2)


def test_the_record_is_json_and_any_name_survives() -> None:
    read = json.loads(disks.encode([SRV, ODD]))
    assert read["version"] == "1"
    assert read["disks"][0] == {
        "name": base64.b64encode(b"/srv").decode(),
        "free": str(5 << 40),
        "size": str(9 << 40),
        "fstype": "xfs",
    }
    assert base64.b64decode(read["disks"][1]["name"]) == b'/mnt/\xff "quoted"'


def test_without_disks_it_is_json_too() -> None:
    assert json.loads(disks.encode([])) == {"version": "1", "disks": []}


def test_the_record_byte_for_byte_as_open_vm_tools_sends_it() -> None:
    assert disks.encode([Disk("/", "ext4", 84035723264, 270553174016)]) == (
        b'{\n"version":"1",\n"disks":[\n'
        b'{"name":"Lw==","free":"84035723264","size":"270553174016","fstype":"ext4"}\n]}'
    )


def test_the_virtual_devices_stand_behind_the_type_as_open_vm_tools_puts_them() -> None:
    disk = Disk("/", "ext4", 1, 2, ("scsi0:0", "nvme0:1"))
    assert disks.encode([disk]).splitlines()[3] == (
        b'{"name":"Lw==","free":"1","size":"2","fstype":"ext4","devices":["scsi0:0","nvme0:1"]}'
    )


def test_the_old_record_holds_names_of_99_bytes_and_255_disks() -> None:
    long = Disk("/" + "x" * 200, "ext4", 1, 2)
    record = disks.encode_old([long] * 300)
    assert record[0] == 255
    assert len(record) == 1 + 255 * 116
    free, size, name = struct.unpack_from("<QQ100s", record, 1)
    assert (free, size) == (1, 2)
    assert name == long.path.encode()[:99] + b"\0"


def test_one_that_cannot_be_asked_does_not_lose_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def statvfs(path: str) -> os.statvfs_result:
        if path == "/bad":
            raise OSError(5, "Input/output error")
        return os.statvfs_result((4096, 4096, 1000, 700, 600, 0, 0, 0, 0, 255))

    plan = _core.Plan([_core.Filesystem(path, type="ext4") for path in ("/z", "/bad", "/a")])
    monkeypatch.setattr(_core, "make_plan", lambda _request: plan)
    monkeypatch.setattr(os, "statvfs", statvfs)
    assert disks.read() == [
        Disk("/a", "ext4", 2 << 20, 1000 * 4096),
        Disk("/z", "ext4", 2 << 20, 1000 * 4096),
    ]


def test_zfs_is_told_unless_another_mount_hides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open-vm-tools tells of it, too. It cannot be frozen, so it is in no plan."""
    (tmp_path / "nfs/below").mkdir(parents=True)
    number = tmp_path.stat().st_dev
    here = f"{os.major(number)}:{os.minor(number)}"
    unsupported, read_only = _core.Cause.UNSUPPORTED, _core.Cause.READ_ONLY
    left_out = [
        SimpleNamespace(path=str(tmp_path / path), device=device, type=kind, cause=cause)
        for path, device, kind, cause in (
            ("", here, "zfs", unsupported),
            ("", "0:4711", "zfs", unsupported),
            ("", here, "zfs", read_only),
            ("", here, "panfs", unsupported),
            ("gone", here, "zfs", unsupported),
            ("nfs", "0:99", "nfs4", _core.Cause.NETWORK),
            ("nfs/below", here, "zfs", unsupported),
        )
    ]
    plan = SimpleNamespace(filesystems=[], left_out=left_out)
    monkeypatch.setattr(_core, "make_plan", lambda _request: plan)
    found = [(disk.path, disk.type, disk.devices) for disk in disks.read()]
    assert found == [(str(tmp_path), "zfs", ())]


def test_one_behind_a_server_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    far = _core.Filesystem("/dev", type="ext4", behind_server=True)
    plan = _core.Plan([_core.Filesystem("/", type="ext4"), far])
    monkeypatch.setattr(_core, "make_plan", lambda _request: plan)
    assert [disk.path for disk in disks.read()] == ["/"]


def test_here_only_local_filesystems_are_asked() -> None:
    planned = {filesystem.path for filesystem in _core.make_plan().filesystems}
    for disk in disks.read():
        assert disk.path in planned or disk.type == "zfs"
        assert 0 <= disk.free <= disk.size
