"""Where dirty pages are counted (bdis), and what tells how fast they leave memory (sinks)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from vmtpy import _core


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """/ on sda1, /data on sdb. A partition has the bdi of its disk."""
    made = Machine(tmp_path)
    for name, number in (("sda", "8:0"), ("sdb", "8:16")):
        made.disk(name, number)
        made.bdi(number)
    made.partition("sda1", "8:1", of="sda")
    made.mount("/")
    made.mount("/data", "ext4", "8:16", "/dev/sdb")
    return made


def image(machine: Machine, file: str) -> None:
    """Mounts a loop image at /vm."""
    machine.loop("loop0", "7:0", file)
    machine.bdi("7:0")
    machine.mount("/vm", "ext4", "7:0", "/dev/loop0")


def storage(machine: Machine, path: str) -> tuple[list[str], list[str], list[str]]:
    """The names of bdis, sinks and disks of the filesystem at `path`."""
    found: dict[str, _core.Filesystem] = {f.path: f for f in machine.plan().filesystems}
    one = found[path]
    return list(one.bdis), list(one.sinks), list(one.disks)


def test_a_partition_counts_its_own_sectors_and_its_disk_the_dirty_pages(machine: Machine) -> None:
    assert storage(machine, "/") == (["8:0"], ["8:1"], ["8:0"])
    assert storage(machine, "/data") == (["8:16"], ["8:16"], ["8:16"])


def test_what_an_image_takes_leaves_memory_where_its_file_is(machine: Machine) -> None:
    image(machine, "/data/vm.img")
    assert storage(machine, "/vm") == (["7:0", "8:16"], ["8:16"], ["8:16"])


def test_so_it_does_through_an_overlay(machine: Machine) -> None:
    machine.mount("/merged", "overlay", "0:70", "overlay", super_options="rw,upperdir=/data/up")
    image(machine, "/merged/vm.img")
    assert storage(machine, "/vm") == (["7:0", "8:16"], ["8:16"], ["8:16"])


def test_an_image_in_memory_is_written_to_its_loop_device_and_no_further(machine: Machine) -> None:
    machine.mount("/dev/shm", "tmpfs", "0:25", "tmpfs")
    image(machine, "/dev/shm/vm.img")
    assert storage(machine, "/vm") == (["7:0"], ["7:0"], [])


def test_a_volume_over_two_disks_has_the_bdis_of_all_three(machine: Machine) -> None:
    machine.block("dm-0", "253:0", slaves=("sda1", "sdb"))
    machine.bdi("253:0")
    machine.mount("/lv", "xfs", "253:0", "/dev/dm-0")
    assert storage(machine, "/lv") == (["253:0", "8:0", "8:16"], ["253:0"], ["8:0", "8:16"])


def test_a_btrfs_has_a_bdi_without_a_block_device_that_tells_both(machine: Machine) -> None:
    for number, name in enumerate(("uuid-1", "uuid-2"), 1):
        machine.disk(f"sd{number}", f"8:{number * 32}")
        machine.btrfs(name, f"sd{number}")
        machine.bdi(f"btrfs-{number}", of=name)
    machine.mount("/pool", "btrfs", "0:60", "/dev/sd2")
    assert storage(machine, "/pool") == (["btrfs-2"], ["btrfs-2"], ["8:64"])
