"""Which virtual device carries a disk, on a made-up sysfs as VMware's machines have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.machine import Machine

from vmtpy import _core
from vmtpy.services import disks, virtual_devices

if TYPE_CHECKING:
    from pathlib import Path

PVSCSI, LSI_PARALLEL, IDE, AHCI, NVME = "0x010700", "0x010000", "0x01018a", "0x010601", "0x010802"


class Sys:
    """Disks below PCI controllers. The directories are those of Linux 6.1 in VMware's machines."""

    def __init__(self, path: Path) -> None:
        self.machine = Machine(path)
        self.path = path / "sys"

    def controller(self, slot: str, kind: str, label: str = "") -> None:
        directory = self.path / "devices" / slot
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "class").write_text(kind + "\n")
        if label:
            (directory / "label").write_text(label + "\n")

    def disk(self, name: str, number: str, under: str, **files: str) -> None:
        directory = self.machine.block(name, number, under=under)
        for file, text in files.items():
            (directory / file).write_text(text + "\n")

    def name(self, number: str) -> str:
        return virtual_devices.name(number, str(self.path))


@pytest.fixture
def sys(tmp_path: Path) -> Sys:
    made = Sys(tmp_path)
    bridge = "pci0000:00/0000:00:15.0/0000:03:00.0"
    made.controller(bridge, PVSCSI, "SCSI0")
    made.disk("sda", "8:0", f"{bridge}/host0/target0:0:0/0:0:0:0/block")
    made.disk("sdb", "8:16", f"{bridge}/host0/target0:0:12/0:0:12:0/block")
    parallel = "pci0000:00/0000:00:11.0/0000:02:02.0"
    made.controller(parallel, LSI_PARALLEL, "SCSI1")
    made.disk("sdc", "8:32", f"{parallel}/host5/target5:0:3/5:0:3:0/block")
    sas = "pci0000:00/0000:00:16.0/0000:0b:00.0"
    made.controller(sas, PVSCSI, "SCSI2")
    port = f"{sas}/host6/port-6:4"
    made.disk("sdd", "8:48", f"{port}/end_device-6:4/target6:0:1/6:0:1:0/block")
    (made.path / "devices" / port / "phy-6:4").mkdir()
    ide = "pci0000:00/0000:00:07.1"
    made.controller(ide, IDE)
    for ata in (1, 2):
        (made.path / "devices" / ide / f"ata{ata}").mkdir()
    made.disk("sde", "8:64", f"{ide}/ata2/host2/target2:0:1/2:0:1:0/block")
    sata = "pci0000:00/0000:00:11.0/0000:02:04.0"
    made.controller(sata, AHCI, "SATA0")
    for ata in range(3, 33):
        (made.path / "devices" / sata / f"ata{ata}").mkdir()
    made.disk("sdf", "8:80", f"{sata}/ata12/host12/target12:0:0/12:0:0:0/block")
    nvme = "pci0000:00/0000:00:17.0/0000:13:00.0"
    made.controller(nvme, NVME, "NVME0")
    made.disk("nvme0n1", "259:0", f"{nvme}/nvme/nvme0", nsid="1")
    made.disk("nvme0n2", "259:1", f"{nvme}/nvme/nvme0", nsid="15")
    made.disk("nvme0n3", "259:2", f"{nvme}/nvme/nvme0")
    return made


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("8:0", "scsi0:0"),
        ("8:16", "scsi0:12"),
        ("8:32", "scsi1:3"),
        ("8:48", "scsi2:4"),
        ("8:64", "ide1:1"),
        ("8:80", "sata0:9"),
        ("259:0", "nvme0:0"),
        ("259:1", "nvme0:14"),
        ("259:2", "nvme0:2"),
        ("8:99", ""),
    ],
)
def test_a_disk_goes_by_controller_and_unit(sys: Sys, number: str, expected: str) -> None:
    assert sys.name(number) == expected


def test_old_kernels_have_hosts_in_place_of_ata_ports(sys: Sys) -> None:
    sata = "pci0000:00/0000:00:18.0"
    sys.controller(sata, AHCI, "SATA1")
    for host in (40, 41):
        (sys.path / "devices" / sata / f"host{host}").mkdir()
    sys.disk("sdg", "8:96", f"{sata}/host41/target41:0:0/41:0:0:0/block")
    assert sys.name("8:96") == "sata1:1"


def test_an_nvme_disk_of_several_ways_is_found_by_its_only_controller(sys: Sys) -> None:
    subsystem = "virtual/nvme-subsystem/nvme-subsys0"
    sys.disk("nvme9n1", "259:9", subsystem, nsid="2")
    controller = sys.path / "devices/pci0000:00/0000:00:17.0/0000:13:00.0/nvme/nvme0"
    (sys.path / "devices" / subsystem / "nvme0").symlink_to(controller)
    assert sys.name("259:9") == "nvme0:1"
    (sys.path / "devices" / subsystem / "nvme1").symlink_to(controller)
    assert sys.name("259:9") == ""


@pytest.mark.parametrize("label", ["", "Slot 3", "scsi", "scsi0:0", 'scsi0"', "SCSI" + "9" * 50])
def test_a_controller_that_is_not_vmwares_has_no_name(sys: Sys, label: str) -> None:
    controller = "pci0000:00/0000:00:1f.0"
    sys.controller(controller, PVSCSI, label)
    sys.disk("sdx", "65:0", f"{controller}/host9/target9:0:0/9:0:0:0/block")
    assert sys.name("65:0") == ""


def test_what_is_no_disk_on_a_controller_has_no_name(sys: Sys) -> None:
    sys.disk("vda", "254:0", "pci0000:00/0000:00:05.0/virtio2/block")
    sys.disk("zram0", "253:0", "virtual/block")
    (sys.path / "devices/pci0000:00/0000:00:05.0/class").write_text("0x010000")
    assert sys.name("254:0") == ""
    assert sys.name("253:0") == ""


def test_all_disks_of_a_filesystem_are_named_or_none(sys: Sys) -> None:
    root = str(sys.path)
    assert virtual_devices.names(["8:16", "8:0", "259:0"], root) == (
        "nvme0:0",
        "scsi0:0",
        "scsi0:12",
    )
    assert virtual_devices.names(["8:0", "8:99"], root) == ()
    assert virtual_devices.names([], root) == ()


def test_a_filesystem_over_volumes_raids_and_partitions_names_the_disks_below(sys: Sys) -> None:
    machine = sys.machine
    machine.partition("sda1", "8:1", of="sda")
    machine.partition("sda2", "8:2", of="sda")
    machine.partition("sdb1", "8:17", of="sdb")
    machine.block("md0", "9:0", slaves=("sdb1", "sdc"))
    machine.mapper("dm-0", "253:1", "vg-home", "md0", "sda2")
    machine.mount("/", device="8:1")
    machine.mount("/home", "xfs", "253:1", "/dev/mapper/vg-home")
    machine.mount("/nvme", "ext4", "259:0", "/dev/nvme0n1")
    machine.loop("loop0", "7:0", "/home/image")
    machine.mount("/image", "ext4", "7:0", "/dev/loop0")
    plan = machine.plan()
    found = {
        filesystem.path: virtual_devices.names(filesystem.disks, str(sys.path))
        for filesystem in plan.filesystems
    }
    assert found == {
        "/": ("scsi0:0",),
        "/home": ("scsi0:0", "scsi0:12", "scsi1:3"),
        "/nvme": ("nvme0:0",),
        "/image": ("scsi0:0", "scsi0:12", "scsi1:3"),
    }


def test_the_host_gets_them_beside_each_filesystem(
    sys: Sys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = virtual_devices.names
    monkeypatch.setattr(virtual_devices, "names", lambda disks: names(disks, str(sys.path)))
    plan = _core.Plan(
        [
            _core.Filesystem(tmp_path, type="ext4", disks=["8:0", "8:16"]),
            _core.Filesystem("/", type="xfs", disks=["8:99"]),
        ]
    )
    monkeypatch.setattr(_core, "make_plan", lambda _request: plan)
    found = {disk.path: disk.devices for disk in disks.read()}
    assert found == {str(tmp_path): ("scsi0:0", "scsi0:12"), "/": ()}
