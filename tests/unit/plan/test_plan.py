"""What is frozen, what not and why, and what include and exclude mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.machine import Machine, levels, reasons

from vmtpy import _core
from vmtpy._core import Cause
from vmtpy.errors import PlanError

if TYPE_CHECKING:
    from pathlib import Path


FREEZE = ["bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "reiserfs", "xfs"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """/ on sda1, /srv on sda2, /boot/efi (vfat) on sda3, /proc, /run."""
    made = Machine(tmp_path)
    made.disk("sda", "8:0")
    for number in (1, 2, 3, 4):
        made.partition(f"sda{number}", f"8:{number}", of="sda")
    made.mount("/")
    made.mount("/proc", "proc", "0:5", "proc")
    made.mount("/run", "tmpfs", "0:6", "tmpfs")
    made.mount("/srv", "xfs", "8:2", "/dev/sda2")
    made.mount("/boot/efi", "vfat", "8:3", "/dev/sda3")
    return made


@pytest.mark.parametrize("fs", FREEZE)
def test_each_type_that_can_freeze_is_frozen(machine: Machine, fs: str) -> None:
    machine.mount("/data", fs, "8:4", "/dev/sda4")
    (found,) = [f for f in machine.plan().filesystems if f.path == "/data"]
    assert (found.type, found.sync_only) == (fs, False)


@pytest.mark.parametrize("fs", ["vfat", "exfat", "ntfs3", "hfsplus", "udf"])
def test_each_local_type_that_cannot_freeze_is_synced(machine: Machine, fs: str) -> None:
    machine.mount("/stick", fs, "8:4", "/dev/sda4")
    (found,) = [f for f in machine.plan().filesystems if f.path == "/stick"]
    assert found.sync_only


@pytest.mark.parametrize(
    ("fs", "device", "source", "reason"),
    [
        ("nfs4", "0:50", "server:/export", "network filesystem"),
        ("cifs", "0:50", "//server/share", "network filesystem"),
        ("9p", "0:50", "share", "network filesystem"),
        ("gfs2", "8:4", "/dev/sda4", "network filesystem"),
        ("fuse.sshfs", "0:50", "host:/", "FUSE filesystem"),
        ("fuseblk", "8:4", "/dev/sda4", "FUSE filesystem"),
        ("tmpfs", "0:50", "tmpfs", "in memory"),
        ("autofs", "0:50", "systemd-1", "pseudo filesystem"),
        ("fusectl", "0:50", "fusectl", "pseudo filesystem"),
        ("efivarfs", "0:50", "efivarfs", "pseudo filesystem"),
        ("zfs", "0:50", "tank/home", "zfs cannot be frozen"),
        ("ext5", "8:4", "/dev/sda4", "ext5 cannot be frozen"),
        (
            "ext4",
            "8:99",
            "/dev/sdb3",
            "no block device: the block device 8:99 is not in {sys}",
        ),
        ("btrfs", "0:50", "/dev/gone", "no block device: the devices of /dev/gone are not known"),
    ],
)
def test_what_cannot_be_frozen_is_left_out_with_its_reason(
    machine: Machine, fs: str, device: str, source: str, reason: str
) -> None:
    machine.mount("/data", fs, device, source)
    reason = reason.format(sys=machine.path / "sys")
    plan = machine.plan()
    assert reasons(plan)["/data"] == reason
    assert "/data" not in levels(plan)
    with pytest.raises(PlanError, match="include /data: it cannot be frozen: ") as caught:
        machine.plan(include=("/data",))
    assert str(caught.value).endswith(reason)


def test_what_is_left_out_carries_path_device_and_type(machine: Machine) -> None:
    left = {left.path: (left.device, left.type) for left in machine.plan().left_out}
    assert left == {"/proc": ("0:5", "proc"), "/run": ("0:6", "tmpfs")}


@pytest.mark.parametrize(
    ("fs", "device", "source", "options", "cause", "writable"),
    [
        ("zfs", "0:50", "tank/home", "rw", Cause.UNSUPPORTED, True),
        ("ext5", "8:4", "/dev/sda4", "rw", Cause.UNSUPPORTED, True),
        ("nfs4", "0:50", "nas:/home", "rw", Cause.NETWORK, True),
        ("nfs4", "0:50", "nas:/home", "ro", Cause.NETWORK, False),
        ("fuse.sshfs", "0:50", "host:/", "rw", Cause.FUSE, True),
        ("fuseblk", "8:4", "/dev/sda4", "rw", Cause.FUSE, True),
        ("fuse.lxcfs", "0:50", "lxcfs", "rw", Cause.PSEUDO, False),
        ("fuse.vmware-vmblock", "0:50", "vmware-vmblock", "rw", Cause.PSEUDO, False),
        ("tmpfs", "0:50", "tmpfs", "rw", Cause.MEMORY, False),
        ("autofs", "0:50", "systemd-1", "rw", Cause.PSEUDO, False),
        ("iso9660", "8:4", "/dev/sda4", "ro", Cause.READ_ONLY, False),
        ("squashfs", "7:4", "/dev/loop4", "ro", Cause.READ_ONLY, False),
        ("ext4", "8:99", "/dev/sdb3", "rw", Cause.UNREACHABLE, True),
        ("overlay", "0:50", "overlay", "rw,lowerdir=/a,upperdir=/srv/u", Cause.LAYERED, False),
        ("overlay", "0:50", "overlay", "rw,lowerdir=a,upperdir=b", Cause.LAYERED, True),
    ],
)
def test_programs_are_told_the_cause_and_whether_writes_can_be_lost(  # noqa: PLR0917
    machine: Machine, fs: str, device: str, source: str, options: str, cause: Cause, writable: bool
) -> None:
    machine.mount("/data", fs, device, source, super_options=options)
    (left,) = (left for left in machine.plan().left_out if left.path == "/data")
    assert (left.cause, left.writable) == (cause, writable)


def test_what_was_not_wanted_is_told_apart(machine: Machine) -> None:
    def causes(plan: _core.Plan) -> dict[str, Cause]:
        return {left.path: left.cause for left in plan.left_out if left.writable}

    assert causes(machine.plan()) == {}
    assert causes(machine.plan(exclude=("/srv",))) == {"/srv": Cause.EXCLUDED}
    assert causes(machine.plan(include=("/srv",))) == {
        "/": Cause.NOT_INCLUDED,
        "/boot/efi": Cause.NOT_INCLUDED,
    }
    requested = causes(machine.plan(volumes=("/nowhere",)))
    assert set(requested.values()) == {Cause.NOT_REQUESTED}
    machine.mount("/srv", "ext4", "8:1", "/dev/sda1")
    assert causes(machine.plan()) == {"/srv": Cause.UNREACHABLE}
    assert causes(machine.plan(exclude=("/s*",))) == {"/srv": Cause.UNREACHABLE}


@pytest.mark.parametrize(
    ("fs", "device", "options", "cause"),
    [
        ("nfs4", "0:50", "rw", Cause.NETWORK),
        ("fuse.sshfs", "0:50", "rw", Cause.FUSE),
        ("overlay", "0:50", "rw,lowerdir=a,upperdir=b", Cause.LAYERED),
        ("zfs", "0:50", "rw", Cause.UNSUPPORTED),
        ("ext5", "8:4", "rw", Cause.UNSUPPORTED),
    ],
)
def test_what_cannot_be_frozen_and_is_not_wanted_is_not_wanted(
    machine: Machine, fs: str, device: str, options: str, cause: Cause
) -> None:
    machine.mount("/data", fs, device, "source", super_options=options)

    def cause_now(**request: tuple[str, ...]) -> Cause:
        (left,) = (left for left in machine.plan(**request).left_out if left.path == "/data")
        assert left.writable
        return left.cause

    assert cause_now() == cause
    assert cause_now(exclude=("/da*",)) == Cause.EXCLUDED
    assert cause_now(include=("/srv",)) == Cause.NOT_INCLUDED
    assert cause_now(include=("/*",)) == cause
    known = device == "8:4"  # else it may lie on the requested volume
    assert cause_now(volumes=("/srv",)) == (Cause.NOT_REQUESTED if known else cause)
    assert cause_now(volumes=("/srv",), exclude=("/data",)) == Cause.EXCLUDED
    with pytest.raises(PlanError, match="include /data: it cannot be frozen: "):
        machine.plan(include=("/data",), volumes=("/srv",))


def test_an_image_on_a_filesystem_of_unknown_disks_may_lie_on_a_requested_one(
    machine: Machine,
) -> None:
    machine.mount("/tank", "zfs", "0:50", "tank")
    machine.loop("loop0", "7:0", "/tank/image")
    machine.mount("/data", "ext5", "7:0", "/dev/loop0")
    (left,) = (left for left in machine.plan(volumes=("/srv",)).left_out if left.path == "/data")
    assert left.cause == Cause.UNSUPPORTED


def test_a_view_of_other_filesystems_loses_nothing_even_if_it_is_not_wanted(
    machine: Machine,
) -> None:
    options = "rw,lowerdir=/a,upperdir=/srv/u"
    machine.mount("/data", "overlay", "0:50", "overlay", super_options=options)
    for request in ({"exclude": ("/data",)}, {"include": ("/",)}, {"volumes": ("/boot/efi",)}):
        (left,) = (left for left in machine.plan(**request).left_out if left.path == "/data")
        assert (left.cause, left.writable) == (Cause.LAYERED, False)


def test_of_a_machine_on_zfs_the_plan_says_that_its_root_is_left_out(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.disk("sda", "8:0")
    machine.partition("sda1", "8:1", of="sda")
    machine.partition("sda2", "8:2", of="sda")
    machine.mount("/", "zfs", "0:24", "rpool/ROOT/os_1", super_options="rw,xattr,posixacl")
    machine.mount("/boot", "ext4", "8:2", "/dev/sda2")
    machine.mount("/boot/efi", "vfat", "8:1", "/dev/sda1", super_options="rw,fmask=0077")
    machine.mount("/home", "zfs", "0:31", "rpool/home", super_options="rw,xattr,posixacl")
    plan = machine.plan()
    assert [filesystem.path for filesystem in plan.filesystems if not filesystem.sync_only] == [
        "/boot"
    ]
    assert {left.path: left.cause for left in plan.left_out if left.writable} == {
        "/": Cause.UNSUPPORTED,
        "/home": Cause.UNSUPPORTED,
    }
    assert {filesystem.path: filesystem.disks for filesystem in plan.filesystems} == {
        "/boot": ["8:0"],
        "/boot/efi": ["8:0"],
    }


def test_a_read_only_filesystem_is_left_out_and_an_error_when_named(machine: Machine) -> None:
    machine.mount("/iso", "iso9660", "8:4", "/dev/sda4", super_options="ro")
    assert reasons(machine.plan())["/iso"] == "read-only"
    with pytest.raises(PlanError, match="include /iso: it cannot be frozen: read-only"):
        machine.plan(include=("/iso",))


def test_without_include_everything_freezable_is_frozen(machine: Machine) -> None:
    assert levels(machine.plan()) == {"/": 0, "/srv": 0, "/boot/efi": 0}


def test_include_keeps_it_to_what_is_named(machine: Machine) -> None:
    plan = machine.plan(include=("/srv",))
    assert levels(plan) == {"/srv": 0}
    assert reasons(plan)["/"] == "not included"
    assert reasons(plan)["/proc"] == "pseudo filesystem"


@pytest.mark.parametrize("text", ["/srv/", "//srv", "/./srv", "/srv/../srv/."])
def test_an_include_may_be_spelled_in_any_way(machine: Machine, text: str) -> None:
    assert levels(machine.plan(include=(text,))) == {"/srv": 0}


def test_a_duplicate_include_is_harmless(machine: Machine) -> None:
    machine.mount("/export", "xfs", "8:2", "/dev/sda2")
    plan = machine.plan(include=("/srv", "/srv", "/srv/", "/s*", "/export"))
    assert levels(plan) == {"/srv": 0}


def test_an_include_of_a_bind_mount_means_the_filesystem(machine: Machine) -> None:
    machine.mount("/var/lib/export", "xfs", "8:2", "/dev/sda2", root="/sub")
    (found,) = machine.plan(include=("/var/lib/export",)).filesystems
    assert (found.path, found.also) == ("/srv", ["/var/lib/export"])


def test_an_include_that_is_no_mount_point_names_the_mount_it_lies_on(machine: Machine) -> None:
    with pytest.raises(PlanError) as caught:
        machine.plan(include=("/srv/www/html",))
    assert str(caught.value).startswith(
        "include /srv/www/html: it is not a mount point; it lies on /srv (xfs on /dev/sda2)"
    )


def test_a_relative_include_is_an_error(machine: Machine) -> None:
    with pytest.raises(PlanError, match="include srv: it is not an absolute path"):
        machine.plan(include=("srv",))


def test_an_include_glob_takes_all_that_match_and_can_be_frozen(machine: Machine) -> None:
    plan = machine.plan(include=("/[rs]*",))
    assert levels(plan) == {"/srv": 0}
    assert reasons(plan)["/run"] == "in memory"


def test_an_include_glob_that_matches_nothing_is_an_error(machine: Machine) -> None:
    machine.mount("/mnt/hidden", device="8:2", source="/dev/sda2")
    machine.mount("/mnt", "tmpfs", "0:25", "tmpfs")
    with pytest.raises(PlanError, match=r"include /mnt/hid\*: it matches no mount point"):
        machine.plan(include=("/mnt/hid*",))
    with pytest.raises(PlanError, match=r"include /mnt/\*: it matches no mount point"):
        machine.plan(include=("/mnt/*",))


def test_a_mount_point_with_glob_characters_can_be_named(machine: Machine) -> None:
    machine.mount("/a[b]", "ext4", "8:4", "/dev/sda4")
    assert levels(machine.plan(include=("/a[b]",))) == {"/a[b]": 0}
    assert "/a[b]" in reasons(machine.plan(exclude=("/a[b]",)))


def test_include_of_an_automount_point_without_a_mount_is_an_error(machine: Machine) -> None:
    machine.mount("/net", "autofs", "0:70", "systemd-1")
    with pytest.raises(PlanError, match="include /net: it cannot be frozen: pseudo filesystem"):
        machine.plan(include=("/net",))


def test_what_is_mounted_on_an_automount_point_is_taken(machine: Machine) -> None:
    machine.mount("/auto", "autofs", "0:70", "systemd-1")
    machine.mount("/auto", "ext4", "8:4", "/dev/sda4")
    assert levels(machine.plan(include=("/auto",))) == {"/auto": 0}


@pytest.mark.parametrize("glob", ["/srv", "/srv/", "/s*", "/*v", "*srv", "/sr?"])
def test_exclude_leaves_out_and_says_by_which_glob(machine: Machine, glob: str) -> None:
    plan = machine.plan(exclude=("/nothing/like/it", glob))
    assert levels(plan) == {"/": 0, "/boot/efi": 0}
    assert reasons(plan)["/srv"] == f"excluded by exclude = {glob}"


@pytest.mark.parametrize("text", ["/srv/data", "/sr", "/srvv*", "/nowhere"])
def test_an_exclude_that_leaves_nothing_out_is_noted(machine: Machine, text: str) -> None:
    plan = machine.plan(exclude=("/srv", text, "/boot*"))
    assert plan.notes == [
        f"exclude {text} leaves nothing out: it matches none of the mount points that "
        "`vmtpy plan --all` lists"
    ]


@pytest.mark.parametrize("text", ["/srv/", "/sr?", "*", "/proc"])
def test_an_exclude_that_matches_any_filesystem_is_not_noted(machine: Machine, text: str) -> None:
    assert machine.plan(exclude=(text,)).notes == []


def test_an_exclude_glob_reaches_below_slashes(machine: Machine) -> None:
    machine.mount("/mnt/a/b", "ext4", "8:4", "/dev/sda4")
    assert "/mnt/a/b" in reasons(machine.plan(exclude=("/mnt/*",)))


def test_a_bind_mount_that_an_exclude_glob_matches_does_not_exclude_the_root(
    machine: Machine,
) -> None:
    machine.mount("/mnt/root")
    assert "/" in levels(machine.plan(exclude=("/mnt/*",)))


def test_an_exclude_that_names_a_bind_mount_excludes_and_says_that_it_is_the_same_filesystem(
    machine: Machine,
) -> None:
    machine.mount("/mnt/root")
    plan = machine.plan(exclude=("/mnt/root",))
    assert reasons(plan)["/"] == "excluded by exclude = /mnt/root, which is the same filesystem"


def test_what_is_named_by_include_and_excluded_is_an_error(machine: Machine) -> None:
    with pytest.raises(PlanError, match=r"include /srv: it cannot be frozen: excluded by .*/s\*"):
        machine.plan(include=("/srv",), exclude=("/s*",))


def test_an_include_glob_and_an_exclude_go_together(machine: Machine) -> None:
    assert levels(machine.plan(include=("/*",), exclude=("/", "/boot*"))) == {"/srv": 0}


def test_vfat_named_beside_what_freezes_is_synced(machine: Machine) -> None:
    plan = machine.plan(include=("/boot/efi", "/srv"))
    assert {f.path: f.sync_only for f in plan.filesystems} == {"/boot/efi": True, "/srv": False}


def test_vfat_named_alone_is_an_error_for_nothing_would_be_frozen(machine: Machine) -> None:
    with pytest.raises(PlanError, match="include /boot/efi: it cannot be frozen: vfat can only be"):
        machine.plan(include=("/boot/efi",))


def test_nothing_to_freeze_is_an_empty_plan_with_its_reasons(machine: Machine) -> None:
    plan = machine.plan(exclude=("*",))
    assert plan.filesystems == []
    assert set(reasons(plan)) == {"/", "/proc", "/run", "/srv", "/boot/efi"}


def test_the_real_machine_can_be_planned() -> None:
    plan = _core.make_plan(_core.PlanRequest(exclude=["/*/*"]))
    assert "/proc" in reasons(plan)


def test_plans_have_reprs_that_say_what_they_are(machine: Machine) -> None:
    plan = machine.plan()
    assert repr(plan) == "<Plan: 3 filesystems, 2 left out>"
    assert repr(plan.filesystems[0]) == "<Filesystem / (ext4 8:1, level 0)>"
    assert repr(plan.filesystems[1]) == "<Filesystem /boot/efi (vfat 8:3, level 0, sync only)>"
    assert repr(plan.left_out[0]) == "<LeftOut /proc (proc): pseudo filesystem>"


def test_a_filesystem_can_be_made_by_hand(tmp_path: Path) -> None:
    made = _core.Filesystem(tmp_path, device="7:1", type="ext4", level=2, also=[b"/\xff"])
    assert (made.path, made.device, made.level) == (str(tmp_path), "7:1", 2)
    assert made.also == ["/\udcff"]


def bound(machine: Machine, point: str, kind: str, *, root: str = "/hosts") -> None:
    """A part of /dev/sda4's ext4, mounted at `point`: a file or a directory."""
    machine.mount(point, "ext4", "8:4", "/dev/sda4", root=root)
    place = machine.path / "tree" / point.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        place.touch()
    else:
        place.mkdir()


def test_a_filesystem_of_which_only_a_file_is_mounted_is_left_out(machine: Machine) -> None:
    bound(machine, "/x/onlyfile", "file")
    plan = machine.plan()
    assert reasons(plan)["/x/onlyfile"] == "only single files of it are mounted here"
    assert levels(plan) == {"/": 0, "/srv": 0, "/boot/efi": 0}


def test_a_named_file_is_an_error_that_says_what_it_is(machine: Machine) -> None:
    bound(machine, "/x/onlyfile", "file")
    with pytest.raises(
        PlanError, match="include /x/onlyfile: it cannot be frozen: only single files"
    ):
        machine.plan(include=("/x/onlyfile",))


def test_a_directory_beats_a_file_with_a_shorter_path(machine: Machine) -> None:
    bound(machine, "/etc/hosts", "file")
    bound(machine, "/var/lib/containers/volume", "directory", root="/volume")
    bound(machine, "/etc/name", "file", root="/name")
    (found,) = [
        filesystem for filesystem in machine.plan().filesystems if filesystem.device == "8:4"
    ]
    assert found.path == "/var/lib/containers/volume"
    assert found.also == ["/etc/name", "/etc/hosts"]


def test_a_directory_that_cannot_be_looked_at_is_taken_for_one(machine: Machine) -> None:
    machine.mount("/x/unknown", "ext4", "8:4", "/dev/sda4", root="/part")
    assert "/x/unknown" in levels(machine.plan())
