"""The volumes that the host names: paths, and the UUIDs of SCSI and NVMe disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.machine import Machine, levels, reasons

if TYPE_CHECKING:
    from pathlib import Path

A = "6000c29aabbccddeeff0011223344556"
B = "6000c29b000000000000000000000002"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """/ on disk A (sda1), /srv on disk B (sdb) through LVM, /data on NVMe."""
    made = Machine(tmp_path)
    made.disk("sda", "8:0", wwid=f"naa.{A}")
    made.partition("sda1", "8:1", of="sda")
    made.disk("sdb", "8:16")
    made.link(f"disk/by-id/wwn-0x{B}", "../../sdb")
    made.mapper("dm-0", "253:0", "vg-srv", "sdb")
    made.block("nvme0n1", "259:0", under="pci0000:00/nvme/nvme0")
    made.partition("nvme0n1p1", "259:1", of="nvme0n1")
    made.mount("/")
    made.mount("/proc", "proc", "0:5", "proc")
    made.mount("/srv", "xfs", "253:0", "/dev/mapper/vg-srv")
    made.mount("/data", "ext4", "259:1", "/dev/nvme0n1p1")
    return made


def chosen(machine: Machine, *volumes: str) -> tuple[set[str], list[str]]:
    plan = machine.plan(volumes=volumes)
    return set(levels(plan)), plan.unmatched


def test_without_volumes_all_is_frozen(machine: Machine) -> None:
    assert chosen(machine) == ({"/", "/srv", "/data"}, [])


def test_a_uuid_in_sysfs_leads_to_the_filesystems_on_the_disk(machine: Machine) -> None:
    assert chosen(machine, A) == ({"/"}, [])


def test_a_uuid_in_by_id_leads_through_lvm_to_the_filesystem(machine: Machine) -> None:
    assert chosen(machine, B) == ({"/srv"}, [])


@pytest.mark.parametrize(
    "text",
    [
        A.upper(),
        "6000C29a-abbc-cdde-eff0-011223344556",
        "60 00 c2 9a ab bc cd de-ef f0 01 12 23 34 45 56",
        "6000C29aabbccddeeff0011223344556\r",
    ],
)
def test_case_blanks_and_dashes_of_a_uuid_do_not_matter(machine: Machine, text: str) -> None:
    assert chosen(machine, text) == ({"/"}, [])


@pytest.mark.parametrize("name", ["wwn-0x{}", "scsi-3{}", "nvme-eui.{}", "nvme-uuid.{}"])
def test_each_kind_of_link_in_by_id_is_understood(machine: Machine, name: str) -> None:
    uuid = "6000c29d000000000000000000000004"
    machine.link("disk/by-id/" + name.format(uuid), "../../nvme0n1")
    assert chosen(machine, uuid) == ({"/data"}, [])


@pytest.mark.parametrize("wwid", ["eui.{}", "uuid.{}", "naa.{}"])
def test_the_wwid_of_an_nvme_namespace_is_understood(machine: Machine, wwid: str) -> None:
    uuid = "6000c29d000000000000000000000004"
    (machine.path / "sys/block/nvme0n1/wwid").write_text(wwid.format(uuid) + "\n")
    assert chosen(machine, uuid) == ({"/data"}, [])


def test_links_of_partitions_and_of_other_kinds_are_no_disks(machine: Machine) -> None:
    uuid = "6000c29e000000000000000000000005"
    machine.link(f"disk/by-id/wwn-0x{uuid}-part1", "../../sda1")
    machine.link(f"disk/by-id/ata-{uuid}", "../../sda")
    machine.link(f"disk/by-id/wwn-0x{uuid}", "../../gone")
    machine.link(f"disk/by-id/scsi-3{uuid}", "/elsewhere/sda")
    machine.link(f"disk/by-id/nvme-eui.{uuid}", f"nvme-eui.{uuid}")
    assert chosen(machine, uuid) == (set(), [uuid])


def test_a_uuid_that_matches_nothing_is_reported_as_the_host_wrote_it(machine: Machine) -> None:
    text = "6000C29f-0000 0000"
    plan = machine.plan(volumes=(A, text))
    assert set(levels(plan)) == {"/"}
    assert plan.unmatched == [text]
    assert reasons(plan)["/srv"] == "not on the requested volumes"
    assert reasons(plan)["/proc"] == "pseudo filesystem"


def test_a_disk_on_which_no_filesystem_lies_is_reported(machine: Machine) -> None:
    uuid = "6000c29c000000000000000000000003"
    machine.disk("sdc", "8:32", wwid=f"naa.{uuid}")
    assert chosen(machine, uuid) == (set(), [uuid])


def test_a_disk_whose_filesystem_is_excluded_is_not_unmatched(machine: Machine) -> None:
    plan = machine.plan(volumes=(B,), exclude=("/srv",))
    assert (plan.filesystems, plan.unmatched) == ([], [])
    assert reasons(plan)["/srv"] == "excluded by exclude = /srv"


def test_an_image_lies_on_the_disk_of_the_filesystem_that_holds_it(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/srv/vm.img")
    machine.mount("/vm", "ext4", "7:0", "/dev/loop0")
    assert levels(machine.plan(volumes=(B,))) == {"/vm": 0, "/srv": 1}


def test_a_btrfs_lies_on_each_of_its_disks(machine: Machine) -> None:
    machine.block("nvme1n1", "259:8", under="pci0000:00/nvme/nvme1")
    machine.disk("sdc", "8:32", wwid="naa.6000c29c000000000000000000000003")
    machine.btrfs("uuid", "nvme1n1", "sdc")
    machine.mount("/pool", "btrfs", "0:60", "/dev/nvme1n1")
    assert chosen(machine, "6000c29c000000000000000000000003") == ({"/pool"}, [])


def test_a_path_means_the_filesystem_that_it_lies_on(machine: Machine) -> None:
    assert chosen(machine, "/srv/www/") == ({"/srv"}, [])
    assert chosen(machine, "/data", "/") == ({"/", "/data"}, [])


def test_a_path_on_what_cannot_be_frozen_is_no_error_and_freezes_nothing(machine: Machine) -> None:
    assert chosen(machine, "/proc/self") == (set(), [])


def test_volumes_and_include_both_have_to_agree(machine: Machine) -> None:
    plan = machine.plan(volumes=(A, B), include=("/srv", "/data"))
    assert set(levels(plan)) == {"/srv"}
    assert reasons(plan)["/data"] == "not on the requested volumes"
    assert reasons(plan)["/"] == "not included"


@pytest.mark.parametrize("text", ["", "-", "C:\\", "x" * 4000, "\udcff", "naa."])
def test_a_volume_that_is_neither_path_nor_uuid_matches_nothing(
    machine: Machine, text: str
) -> None:
    assert chosen(machine, text) == (set(), [text])
