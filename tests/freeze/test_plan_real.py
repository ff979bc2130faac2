"""The plan of real mounts: images on images, bind mounts, btrfs subvolumes, overlay, vfat.

The kernel's own mountinfo and sysfs are read, which no made-up machine can vouch for.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from support.loop import LoopMount, loop_mount, require_program, require_root, run
from support.machine import levels, reasons

from vmtpy import _core
from vmtpy.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def plan_of(*include: Path | str, **request: list[str]) -> _core.Plan:
    paths = [str(path) for path in include]
    return _core.make_plan(_core.PlanRequest(include=paths, **request))


@contextmanager
def mounted(point: Path, *arguments: str) -> Iterator[Path]:
    """`mount ARGUMENTS POINT`, for as long as it is needed."""
    point.mkdir(parents=True, exist_ok=True)
    try:
        run(["mount", *arguments, str(point)])
    except subprocess.CalledProcessError:
        pytest.skip(f"needs the right to mount {' '.join(arguments)}")
    try:
        yield point
    finally:
        run(["umount", str(point)])


@pytest.fixture
def images() -> Iterator[list[LoopMount]]:
    """xfs on a loop image on ext4 on a loop image on btrfs on a loop image."""
    with ExitStack() as stack:
        outer = stack.enter_context(loop_mount("btrfs", size=640 << 20))
        middle = stack.enter_context(loop_mount("ext4", size=400 << 20, directory=outer.path))
        inner = stack.enter_context(loop_mount("xfs", directory=middle.path))
        yield [outer, middle, inner]


def test_a_loop_on_a_loop_on_a_filesystem_is_ordered_from_the_inside(
    images: list[LoopMount],
) -> None:
    outer, middle, inner = images
    plan = plan_of(*(mount.path for mount in images))
    assert levels(plan) == {str(inner.path): 0, str(middle.path): 1, str(outer.path): 2}
    assert [filesystem.stands_on for filesystem in plan.filesystems] == [
        [middle.number],
        [outer.number],
        [],
    ]
    assert [filesystem.mount_id for filesystem in plan.filesystems] == [
        mount.mount_id for mount in (inner, middle, outer)
    ]
    assert [(filesystem.type, filesystem.source) for filesystem in plan.filesystems] == [
        (mount.fs, mount.device) for mount in (inner, middle, outer)
    ]


def test_everything_that_can_freeze_is_planned_without_an_include(images: list[LoopMount]) -> None:
    plan = plan_of(exclude=["/", "/dev/shm/*/other"])
    assert {str(mount.path) for mount in images} <= set(levels(plan))
    assert reasons(plan)["/proc"] == "pseudo filesystem"


def test_a_deleted_image_is_still_traced_by_asking_the_loop_device() -> None:
    with loop_mount("ext4", size=400 << 20) as outer:
        with loop_mount("ext4", directory=outer.path) as inner:
            inner.image.unlink()
            found = plan_of(inner.path, outer.path)
            run(["losetup", "-d", inner.device])  # at the unmount
        assert levels(found) == {str(inner.path): 0, str(outer.path): 1}


def test_an_image_hidden_by_a_later_mount_is_traced_to_where_it_is() -> None:
    with loop_mount("ext4", size=400 << 20) as outer:
        directory = outer.path / "images"
        directory.mkdir()
        with (
            loop_mount("ext4", directory=directory) as inner,
            loop_mount("ext4") as other,
            mounted(directory, "--bind", str(other.path)),
        ):
            plan = plan_of(inner.path, outer.path, other.path)
        assert levels(plan) == {str(inner.path): 0, str(other.path): 0, str(outer.path): 1}


def test_an_image_on_a_filesystem_that_is_mounted_nowhere_is_traced_through_it() -> None:
    with (
        loop_mount("ext4", size=640 << 20) as outer,
        loop_mount("ext4", size=400 << 20, directory=outer.path) as middle,
        loop_mount("ext4", directory=middle.path) as inner,
    ):
        run(["umount", "--lazy", str(middle.path)])  # its path is now that of another filesystem
        try:
            plan = plan_of(inner.path, outer.path)
        finally:
            run(["mount", middle.device, str(middle.path)])
            run(["losetup", "-d", inner.device])  # at the unmount
        assert levels(plan) == {str(inner.path): 0, str(outer.path): 1}


def test_bind_mounts_and_a_read_only_one_count_once(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount:
        (mount.path / "sub").mkdir()
        with (
            mounted(tmp_path / "a b", "--bind", str(mount.path / "sub")) as bound,
            mounted(tmp_path / "ro", "--bind", str(mount.path)) as read_only,
        ):
            run(["mount", "-o", "remount,bind,ro", str(read_only)])
            (one,) = plan_of(bound, read_only, mount.path).filesystems
            assert one.device == mount.number
            assert {one.path, *one.also} == {str(mount.path), str(bound), str(read_only)}


def test_a_read_only_filesystem_is_left_out() -> None:
    with loop_mount("ext4", options="ro") as mount:
        assert reasons(plan_of(exclude=["/"]))[str(mount.path)] == "read-only"
        with pytest.raises(PlanError, match="cannot be frozen: read-only"):
            plan_of(mount.path)


def test_btrfs_subvolumes_are_one_filesystem(tmp_path: Path) -> None:
    require_root()
    require_program("btrfs")
    with loop_mount("btrfs") as mount:
        run(["btrfs", "subvolume", "create", str(mount.path / "sub")])
        with mounted(tmp_path / "sub", "-o", "subvol=/sub", mount.device) as sub:
            assert sub.stat().st_dev != mount.path.stat().st_dev  # so stat() would not do
            (one,) = plan_of(sub, mount.path).filesystems
            assert (one.path, one.also) == (str(mount.path), [str(sub)])


def test_a_btrfs_of_two_devices_stands_on_the_images_of_both() -> None:
    with loop_mount("ext4", size=400 << 20) as outer, loop_mount("btrfs") as pool:
        second = outer.path / "second.img"
        with second.open("wb") as file:
            file.truncate(160 << 20)
        device = run(["losetup", "--show", "-f", str(second)]).strip()
        try:
            run(["btrfs", "device", "add", "-f", device, str(pool.path)])
            found = plan_of(pool.path, outer.path)
            run(["btrfs", "device", "remove", device, str(pool.path)])
        finally:
            run(["losetup", "-d", device])
        assert levels(found) == {str(pool.path): 0, str(outer.path): 1}


def test_an_overlay_is_left_out_and_its_upper_filesystem_is_not(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount:
        for name in ("lower", "upper:1", "work"):
            (mount.path / name).mkdir()
        options = (
            f"lowerdir={mount.path}/lower,upperdir={mount.path}/upper:1,workdir={mount.path}/work"
        )
        with mounted(tmp_path / "merged", "-t", "overlay", "overlay", "-o", options) as merged:
            plan = plan_of(exclude=["/"])
            assert str(mount.path) in levels(plan)
            assert reasons(plan)[str(merged)] == (
                f"overlay cannot be frozen: its files lie on {mount.path}"
            )


def test_vfat_is_only_synced() -> None:
    with loop_mount("vfat", options="") as mount:
        (one,) = [f for f in plan_of(exclude=["/"]).filesystems if f.path == str(mount.path)]
        assert one.sync_only


def test_a_directory_that_is_no_mount_point_names_the_mount() -> None:
    with loop_mount("ext4") as mount:
        directory = mount.path / "deep" / "er"
        directory.mkdir(parents=True)
        with pytest.raises(PlanError, match=f"not a mount point; it lies on {mount.path} "):
            plan_of(directory)


def test_the_plan_can_be_made_while_a_filesystem_of_it_is_frozen() -> None:
    with (
        loop_mount("ext4", size=400 << 20) as outer,
        loop_mount("ext4", directory=outer.path) as in_it,
    ):
        in_it.freeze()
        outer.freeze()
        try:
            plan = plan_of(in_it.path, outer.path)
        finally:
            outer.thaw()
            in_it.thaw()
        assert levels(plan) == {str(in_it.path): 0, str(outer.path): 1}


def test_the_command_line_needs_no_root() -> None:
    with loop_mount("ext4") as mount:
        command = [sys.executable, "-m", "vmtpy", "plan", str(mount.path)]
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if "No module named" in done.stderr or done.returncode == 126:
            pytest.skip("needs a package that other users may read")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"Would freeze 1 filesystem\n└── {mount.path}  ext4 on ")


def test_a_filesystem_that_is_mounted_by_a_file_alone_is_left_out(tmp_path: Path) -> None:
    """Of the same filesystem, a directory mounted later is used although its path is longer."""
    with loop_mount("ext4") as mount:
        (mount.path / "hosts").write_text("127.0.0.1 localhost\n")
        (mount.path / "volume").mkdir()
        file, volume = tmp_path / "hosts", tmp_path / "some" / "longer" / "volume"
        file.touch()
        run(["mount", "--bind", str(mount.path / "hosts"), str(file)])
        try:
            with mounted(volume, "--bind", str(mount.path / "volume")):
                run(["umount", "--lazy", str(mount.path)])  # its watchdog holds it
                (found,) = [
                    filesystem
                    for filesystem in plan_of().filesystems
                    if filesystem.device == mount.number
                ]
                assert found.path == str(volume)
            assert reasons(plan_of())[str(file)] == "only single files of it are mounted here"
        finally:
            run(["mount", mount.device, str(mount.path)])
            run(["umount", str(file)])
