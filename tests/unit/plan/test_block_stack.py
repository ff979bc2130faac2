"""What stands on what: partitions, dm, md, images, overlays, btrfs, swap, and rings of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support.machine import Machine, levels, reasons

from vmtpy.errors import PlanError

if TYPE_CHECKING:
    from pathlib import Path

    from vmtpy import _core


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """/ on sda1; sda2 and sdb are free."""
    made = Machine(tmp_path)
    made.disk("sda", "8:0")
    made.disk("sdb", "8:16")
    made.partition("sda1", "8:1", of="sda")
    made.partition("sda2", "8:2", of="sda")
    made.mount("/")
    return made


def stands_on(plan: _core.Plan) -> dict[str, list[str]]:
    paths = {filesystem.device: filesystem.path for filesystem in plan.filesystems}
    return {f.path: [paths[device] for device in f.stands_on] for f in plan.filesystems}


def mount_image(machine: Machine, number: int, image: str, point: str, fs: str = "ext4") -> None:
    machine.loop(f"loop{number}", f"7:{number}", image)
    machine.mount(point, fs, f"7:{number}", f"/dev/loop{number}")


# --- loop images ---
def test_a_loop_image_is_frozen_before_the_filesystem_that_holds_it(machine: Machine) -> None:
    mount_image(machine, 0, "/srv/vm.img", "/vm")
    plan = machine.plan()
    assert levels(plan) == {"/vm": 0, "/": 1}
    assert stands_on(plan) == {"/vm": ["/"], "/": []}


def test_images_on_images_are_ordered_to_any_depth(machine: Machine) -> None:
    where = "/"
    for number in range(10):
        mount_image(machine, number, f"{where.rstrip('/')}/x.img", f"/m{number}")
        where = f"/m{number}"
    plan = machine.plan()
    assert levels(plan) == {"/": 10, **{f"/m{n}": 9 - n for n in range(10)}}
    assert stands_on(plan)["/m3"] == ["/m2"]


def test_the_order_of_mounting_does_not_matter(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/outer/in.img")
    machine.mount("/a-inner", "xfs", "7:0", "/dev/loop0")
    machine.mount("/outer", "ext4", "8:2", "/dev/sda2")
    assert levels(machine.plan()) == {"/": 0, "/a-inner": 0, "/outer": 1}


def test_one_level_holds_all_that_do_not_depend_on_each_other(machine: Machine) -> None:
    machine.mount("/srv", "xfs", "8:2", "/dev/sda2")
    for number in range(4):
        mount_image(machine, number, f"/srv/{number}.img", f"/vm{number}")
    assert levels(machine.plan()) == {"/": 0, "/srv": 1, **{f"/vm{n}": 0 for n in range(4)}}


def test_the_longest_way_down_gives_the_level(machine: Machine) -> None:
    machine.mount("/srv", "xfs", "8:2", "/dev/sda2")
    mount_image(machine, 0, "/a.img", "/a")
    mount_image(machine, 1, "/a/b.img", "/b")
    machine.loop("loop2", "7:2", "/b/c.img")
    machine.loop("loop3", "7:3", "/srv/c.img")
    machine.mapper("dm-0", "253:0", "vg-c", "loop2", "loop3")
    machine.mount("/c", "ext4", "253:0", "/dev/mapper/vg-c")
    plan = machine.plan()
    assert levels(plan) == {"/c": 0, "/b": 1, "/srv": 1, "/a": 2, "/": 3}
    assert sorted(stands_on(plan)["/c"]) == ["/b", "/srv"]


def test_the_mapped_devices_below_are_listed_to_any_depth(machine: Machine) -> None:
    machine.mapper("dm-0", "253:0", "crypt", "sda2")
    machine.mapper("dm-1", "253:1", "vg-home", "dm-0")
    machine.mount("/home", "ext4", "253:1", "/dev/mapper/vg-home")
    mount_image(machine, 0, "/home/x.img", "/vm")
    mapped = {filesystem.path: filesystem.mapped for filesystem in machine.plan().filesystems}
    assert mapped == {"/": [], "/home": ["253:0", "253:1"], "/vm": ["253:0", "253:1"]}


def test_a_partition_of_a_loop_image_stands_on_the_image(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/disk.img")
    machine.partition("loop0p1", "259:0", of="loop0")
    machine.mount("/vm", "ext4", "259:0", "/dev/loop0p1")
    assert levels(machine.plan()) == {"/vm": 0, "/": 1}


def test_a_loop_over_a_block_device_stands_on_that_device(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/inner.img")
    machine.loop("loop1", "7:1", "/dev/loop0")
    machine.mount("/vm", "ext4", "7:1", "/dev/loop1")
    assert levels(machine.plan()) == {"/vm": 0, "/": 1}


def test_an_image_lies_on_the_mount_that_its_path_leads_to(machine: Machine) -> None:
    machine.mount("/srv", "xfs", "8:2", "/dev/sda2")
    mount_image(machine, 0, "/srv/a b/x.img", "/vm")
    assert stands_on(machine.plan())["/vm"] == ["/srv"]


def test_include_keeps_the_order_among_those_named(machine: Machine) -> None:
    mount_image(machine, 0, "/a.img", "/a")
    mount_image(machine, 1, "/a/b.img", "/b")
    plan = machine.plan(include=("/", "/b"))
    assert levels(plan) == {"/b": 0, "/": 1}
    assert stands_on(plan)["/b"] == ["/"]


def test_what_is_not_frozen_itself_passes_the_dependence_on(machine: Machine) -> None:
    mount_image(machine, 0, "/efi.img", "/efi", "vfat")
    machine.loop("loop1", "7:1", "/stick/in.img")
    machine.mount("/stick", "fuseblk", "8:2", "/dev/sda2")
    mount_image(machine, 2, "/efi/x.img", "/x")
    plan = machine.plan(exclude=("/efi",))
    assert levels(plan) == {"/x": 0, "/": 1}
    assert levels(machine.plan()) == {"/x": 0, "/efi": 1, "/": 2}


def test_an_image_in_memory_is_frozen_and_stands_on_nothing(machine: Machine) -> None:
    machine.mount("/dev/shm", "tmpfs", "0:9", "tmpfs")
    mount_image(machine, 0, "/dev/shm/x.img", "/x")
    assert stands_on(machine.plan()) == {"/": [], "/x": []}


@pytest.mark.parametrize(
    ("fs", "kind"), [("nfs4", "network filesystem"), ("fuse.sshfs", "FUSE filesystem")]
)
def test_an_image_on_a_server_is_left_out(machine: Machine, fs: str, kind: str) -> None:
    machine.mount("/far", fs, "0:50", "server:/")
    mount_image(machine, 0, "/far/x.img", "/x")
    mount_image(machine, 1, "/x/y.img", "/y")
    plan = machine.plan()
    assert levels(plan) == {"/": 0}
    assert reasons(plan)["/x"] == f"its image lies on the {kind} /far"
    assert reasons(plan)["/y"] == f"its image lies on the {kind} /far"


def test_a_deleted_image_is_an_error_that_says_what_to_exclude(machine: Machine) -> None:
    mount_image(machine, 0, "/srv/x.img (deleted)", "/x")
    with pytest.raises(PlanError) as caught:
        machine.plan()
    text = str(caught.value)
    assert "/srv/x.img (deleted), the image of loop0, cannot be found" in text
    assert text.endswith("exclude /x")
    assert levels(machine.plan(exclude=("/x",))) == {"/": 0}


def test_a_deleted_image_is_no_problem_when_it_is_frozen_alone(machine: Machine) -> None:
    mount_image(machine, 0, "/srv/x.img (deleted)", "/x")
    assert levels(machine.plan(include=("/x",))) == {"/x": 0}


def test_an_image_where_nothing_is_mounted_is_an_error(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.disk("sda", "8:0")
    machine.mount("/srv", "ext4", "8:0", "/dev/sda")  # a chroot: / is not listed
    mount_image(machine, 0, "/other/x.img", "/x")
    with pytest.raises(PlanError, match="exclude /x"):
        machine.plan()


# --- device-mapper, md, crypt ---
def test_lvm_on_crypt_on_md_on_partitions_goes_down_to_the_disks(machine: Machine) -> None:
    machine.disk("sdc", "8:32", wwid="naa.6000c29aaaaaaaaaaaaaaaaaaaaaaaaa")
    machine.partition("sdc1", "8:33", of="sdc")
    machine.block("md0", "9:0", slaves=("sdc1", "sda2"))
    machine.mapper("dm-0", "253:0", "crypt", "md0")
    machine.mapper("dm-1", "253:1", "vg-home", "dm-0")
    machine.mount("/home", "xfs", "253:1", "/dev/mapper/vg-home")
    plan = machine.plan(volumes=("6000c29aaaaaaaaaaaaaaaaaaaaaaaaa",))
    assert levels(plan) == {"/home": 0}
    assert plan.unmatched == []


def test_an_image_under_lvm_orders_the_filesystem_above(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/pv.img")
    machine.mapper("dm-0", "253:0", "vg-a", "loop0", "sdb")
    machine.mount("/a", "ext4", "253:0", "/dev/mapper/vg-a")
    assert levels(machine.plan()) == {"/a": 0, "/": 1}


def test_bcache_and_zram_stand_on_their_devices(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/a.img")
    machine.loop("loop1", "7:1", "/b.img")
    machine.block("bcache0", "252:0", slaves=("loop0", "sdb"))
    (machine.block("zram0", "253:9") / "backing_dev").write_text("/dev/loop1\n")
    (machine.block("zram1", "253:10") / "backing_dev").write_text("none\n")
    machine.mount("/cached", "ext4", "252:0", "/dev/bcache0")
    machine.mount("/z0", "ext4", "253:9", "/dev/zram0")
    machine.mount("/z1", "ext4", "253:10", "/dev/zram1")
    assert stands_on(machine.plan()) == {"/cached": ["/"], "/z0": ["/"], "/z1": [], "/": []}


@pytest.mark.parametrize(
    ("name", "under"),
    [
        ("nbd0", "virtual/block"),
        ("rbd3", "virtual/block"),
        ("sdx", "platform/host3/session1/target3:0:0/block"),
        ("nvme9n1", "virtual/nvme-fabrics/ctl/nvme9"),
    ],
)
def test_what_lies_on_a_network_block_device_is_left_out(
    machine: Machine, name: str, under: str
) -> None:
    machine.block(name, "44:0", under=under)
    machine.mapper("dm-0", "253:0", "vg-far", name)
    machine.mount("/far", "ext4", "253:0", "/dev/mapper/vg-far")
    plan = machine.plan()
    assert levels(plan) == {"/": 0}
    assert reasons(plan)["/far"] == f"on the network block device {name}"


# --- btrfs ---
def test_btrfs_subvolumes_are_one_filesystem(machine: Machine) -> None:
    machine.btrfs("uuid-1", "sda2")
    for point, root in (("/home", "/@home"), ("/var", "/@var"), ("/long/top", "/")):
        machine.mount(point, "btrfs", "0:60", "/dev/sda2", root=root)
    (found,) = [f for f in machine.plan().filesystems if f.type == "btrfs"]
    assert (found.path, found.also) == ("/long/top", ["/var", "/home"])


def test_a_btrfs_of_several_devices_stands_on_all_of_them(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/a.img")
    mount_image(machine, 1, "/b.img", "/b")
    machine.loop("loop2", "7:2", "/b/c.img")
    machine.btrfs("uuid-1", "sda2")
    machine.btrfs("uuid-2", "loop0", "loop2")
    machine.mount("/pool", "btrfs", "0:60", "/dev/loop0")
    plan = machine.plan()
    assert levels(plan) == {"/pool": 0, "/b": 1, "/": 2}
    assert sorted(stands_on(plan)["/pool"]) == ["/", "/b"]


def test_a_btrfs_that_sysfs_does_not_list_stands_on_its_source(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/a.img")
    machine.mount("/pool", "btrfs", "0:60", "/dev/loop0")
    assert stands_on(machine.plan())["/pool"] == ["/"]


def test_dev_root_is_the_only_btrfs_there_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.disk("sda", "8:0")
    machine.btrfs("uuid-1", "sda")
    machine.mount("/", "btrfs", "0:20", "/dev/root", root="/@")
    assert levels(machine.plan()) == {"/": 0}


def test_bcachefs_and_external_logs_stand_on_every_device_named(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/a.img")
    machine.mapper("dm-0", "253:0", "log", "loop0")
    machine.mount("/pool", "bcachefs", "0:61", "/dev/sda2:/dev/loop0")
    machine.mount(
        "/x", "xfs", "8:16", "/dev/sdb", super_options="rw,logdev=/dev/mapper/log,noquota"
    )
    assert stands_on(machine.plan()) == {"/pool": ["/"], "/x": ["/"], "/": []}


def test_a_mapper_name_without_a_link_in_dev_is_found_by_its_title(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/a.img")
    machine.mapper("dm-0", "253:0", "pool", "loop0")
    (machine.path / "dev/mapper/pool").unlink()
    machine.mount("/pool", "btrfs", "0:60", "/dev/mapper/pool")
    assert stands_on(machine.plan())["/pool"] == ["/"]


# --- overlay ---
OVERLAY = "rw,lowerdir=/l/a:/l/b,upperdir=/srv/up,workdir=/srv/work"


def test_an_overlay_is_left_out_and_says_where_its_files_lie(machine: Machine) -> None:
    machine.mount("/srv", "xfs", "8:2", "/dev/sda2")
    machine.mount("/merged", "overlay", "0:70", "overlay", super_options=OVERLAY)
    plan = machine.plan()
    assert levels(plan) == {"/": 0, "/srv": 0}
    assert reasons(plan)["/merged"] == "overlay cannot be frozen: its files lie on /, /srv"


def test_an_image_in_an_overlay_stands_on_the_upper_directory(machine: Machine) -> None:
    machine.mount("/a b", "xfs", "8:2", "/dev/sda2")
    options = r"rw,lowerdir=l/REL:..,upperdir=/a\040b/x\054y,workdir=/a\040b/w"
    machine.mount("/merged", "overlay", "0:70", "overlay", super_options=options)
    mount_image(machine, 0, "/merged/x.img", "/x")
    plan = machine.plan()
    assert levels(plan) == {"/": 0, "/x": 0, "/a b": 1}
    assert stands_on(plan)["/x"] == ["/a b"]


def test_a_lower_directory_may_hold_colons_and_backslashes(machine: Machine) -> None:
    machine.mount("/c:d", "xfs", "8:2", "/dev/sda2")
    options = r"rw,lowerdir=/c\134:d/low:/e,upperdir=/up,workdir=/w"
    machine.mount("/merged", "overlay", "0:70", "overlay", super_options=options)
    assert reasons(machine.plan())["/merged"].endswith("its files lie on /, /c:d")


def test_a_containers_own_overlay_root_does_not_stand_on_itself(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    options = "rw,lowerdir=l/A:l/B,upperdir=/var/lib/docker/x/diff,workdir=/var/lib/docker/x/work"
    machine.mount("/", "overlay", "0:70", "overlay", super_options=options)
    machine.disk("sda", "8:0")
    machine.mount("/data", "ext4", "8:0", "/dev/sda")
    assert levels(machine.plan()) == {"/data": 0}
    mount_image(machine, 0, "/x.img", "/x")
    with pytest.raises(PlanError, match=r"/var/lib/docker/x/diff .* exclude /x"):
        machine.plan()


# --- rings ---
def test_a_ring_of_devices_is_an_error_that_names_it(machine: Machine) -> None:
    machine.mapper("dm-0", "253:0", "a", "sdb")
    machine.mapper("dm-1", "253:1", "b", "dm-0")
    machine.add_slave("dm-0", "dm-1")
    machine.mount("/a", "ext4", "253:0", "/dev/mapper/a")
    with pytest.raises(PlanError, match="dm-0 → dm-1 → dm-0; exclude /a"):
        machine.plan()
    assert levels(machine.plan(exclude=("/a",))) == {"/": 0}


def test_a_ring_of_images_is_an_error_that_names_it(machine: Machine) -> None:
    mount_image(machine, 0, "/c/a.img", "/a")
    mount_image(machine, 1, "/a/b.img", "/b")
    mount_image(machine, 2, "/b/c.img", "/c")
    mount_image(machine, 3, "/c/d.img", "/d")
    with pytest.raises(PlanError) as caught:
        machine.plan()
    text = str(caught.value)
    chain = text.partition(":")[0].replace("which stands on ", "").replace(" stands on ", ", ")
    ring = [part.split(" ")[0] for part in chain.split(", ")]
    assert ring[0] == ring[-1]
    assert sorted(set(ring)) == ["/a", "/b", "/c"]
    below = {"/a": "/c", "/b": "/a", "/c": "/b"}
    assert all(below[upper] == lower for upper, lower in pairwise(ring))


def test_an_image_on_its_own_filesystem_is_a_ring(machine: Machine) -> None:
    mount_image(machine, 0, "/a/a.img", "/a")
    with pytest.raises(PlanError, match=r"^/a \(ext4 on /dev/loop0\) stands on /a: no order"):
        machine.plan()


def test_a_stack_without_end_is_given_up(machine: Machine) -> None:
    machine.block("dm-0", "253:0", slaves=("sdb",))
    for number in range(1, 100):
        machine.block(f"dm-{number}", f"253:{number}", slaves=(f"dm-{number - 1}",))
    machine.mount("/deep", "ext4", "253:99", "/dev/dm-99")
    with pytest.raises(PlanError, match=r"stacked too deep.* exclude /deep"):
        machine.plan()


# --- swap ---
def test_a_swap_file_on_a_disk_is_no_matter(machine: Machine) -> None:
    machine.swap("/swapfile", "file")
    machine.swap("/dev/sda2", "partition")
    machine.swap("/dev/gone", "partition")
    plan = machine.plan()
    assert levels(plan) == {"/": 0}
    assert plan.notes == []


def test_swap_through_an_image_on_what_is_frozen_is_noted(machine: Machine) -> None:
    machine.loop("loop0", "7:0", "/swap.img")
    mount_image(machine, 1, "/vm.img", "/vm")
    (machine.block("zram0", "253:9") / "backing_dev").write_text("/dev/loop0\n")
    for name in ("/dev/loop0", "/vm/swap file", "/dev/zram0"):
        machine.swap(name, "file" if name.startswith("/vm") else "partition")
    assert machine.plan().notes == [
        f"swap on {name} is written into an image on /: swapping out waits while that is frozen"
        for name in ("/dev/loop0", "/vm/swap file", "/dev/zram0")
    ]
    assert machine.plan(include=("/vm",)).notes == []


def test_swap_through_an_image_on_what_is_only_synced_is_no_matter(machine: Machine) -> None:
    machine.mount("/efi", "vfat", "8:2", "/dev/sda2")
    machine.loop("loop0", "7:0", "/efi/swap.img")
    machine.swap("/dev/loop0", "partition")
    assert machine.plan().notes == []
