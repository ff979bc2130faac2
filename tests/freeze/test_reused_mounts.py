"""The kernel gives the id of a mount that is gone to the next one: real mounts, replaced by others.

Whatever has been put in the place of a planned or frozen filesystem is left alone and named.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
from support import loop, watchdog
from support.freezing import FreezingProcess, await_gone, write_marker
from support.loop import LoopMount, loop_mount
from support.patience import PATIENCE, await_true

from vmtpy import _core
from vmtpy._core import (
    Filesystem,
    FreezeOptions,
    FreezeSession,
    Outcome,
    Phase,
    PlanRequest,
    Rescue,
    RescueResult,
)
from vmtpy._host import StoppingSystem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRIES = 50  # other programs mount, too, and may get the id first
UNIQUE = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 8)


def plan_of(mount: LoopMount) -> list[Filesystem]:
    return _core.make_plan(PlanRequest(include=[mount.path])).filesystems


def mount_id(path: Path) -> int:
    found = loop.find_mount(path)
    assert found is not None
    return found.mount_id


def unmount(mount: LoopMount) -> None:
    if mount.guard is not None:
        watchdog.stop(mount.guard)
        mount.guard = None
    loop.run(["umount", str(mount.path)])


@contextmanager
def mounted_with_the_id_of(mount: LoopMount, device: str) -> Iterator[None]:
    """Mounts where `mount` was. The lowest free id is given, so lower ones are taken before."""
    with ExitStack() as stack:
        for _ in range(TRIES):
            loop.run(["mount", device, str(mount.path)])
            found = mount_id(mount.path)
            if found == mount.mount_id:
                break
            loop.run(["umount", str(mount.path)])
            if found < mount.mount_id:
                place = stack.enter_context(tempfile.TemporaryDirectory())
                loop.run(["mount", "-t", "tmpfs", "taken", place])
                stack.callback(loop.run, ["umount", place])
        else:
            pytest.fail("the kernel has not given the id again")
        try:
            yield
        finally:
            loop.run(["umount", str(mount.path)])


@contextmanager
def replaced(mount: LoopMount, device: str) -> Iterator[None]:
    """Another device lies where `mount` was, by a mount that has its id."""
    unmount(mount)
    with mounted_with_the_id_of(mount, device):
        yield


@contextmanager
def also_at(mount: LoopMount, place: Path) -> Iterator[Path]:
    """A second mount of the same filesystem, guarded."""
    place.mkdir()
    loop.run(["mount", mount.device, str(place)])
    guard = watchdog.start(place, mount.device, mount.image, 20)
    try:
        yield place
    finally:
        mount_elsewhere = LoopMount(place, mount.image, mount.device, mount.fs, mount.number, 0)
        while mount_elsewhere.thaw():
            pass
        watchdog.stop(guard)
        loop.run(["umount", str(place)])


def freeze(filesystems: list[Filesystem], run_directory: Path) -> _core.RunRecord:
    """A session that must come to nothing, and leave nothing."""
    options = FreezeOptions(run_directory=run_directory)
    session = FreezeSession(_core.real_system(), None, filesystems, options)
    session.start()
    assert session.wait_for(Phase.FROZEN, PATIENCE)
    session.abort("")
    assert session.wait_for(Phase.ENDED, PATIENCE)
    return session.record()


@pytest.mark.parametrize("fs", ["ext4", "xfs"])  # btrfs takes ids for itself while it mounts
def test_another_filesystem_in_the_place_of_a_planned_one_is_not_frozen(
    fs: str, tmp_path: Path
) -> None:
    with loop_mount("ext4") as mount, loop_mount(fs) as other:
        filesystems = plan_of(mount)
        with replaced(mount, other.device):
            record = freeze(filesystems, tmp_path)
            assert (record.outcome, record.path) == (Outcome.FAILED, str(mount.path))
            assert record.first_freeze == 0
            assert record.error == (
                f"{mount.path}: {fs} {other.device} ({other.number}) has been mounted there since"
                f" the plan was made, in place of ext4 {mount.device} ({mount.number})"
            )
            assert not other.thaw()


def test_where_the_kernel_tells_no_unique_ids_the_device_gives_another_filesystem_away(
    tmp_path: Path,
) -> None:
    with loop_mount("ext4") as mount, loop_mount("xfs") as other:
        [planned] = plan_of(mount)
        filesystem = Filesystem(
            planned.path,
            mount_id=planned.mount_id,
            device=planned.device,
            type=planned.type,
            source=planned.source,
        )
        with replaced(mount, other.device):
            record = freeze([filesystem], tmp_path)
            assert record.outcome == Outcome.FAILED
            assert record.error == (
                f"{mount.path}: xfs {other.device} ({other.number}) has been mounted there since"
                f" the plan was made, in place of ext4 {mount.device} ({mount.number})"
            )
            assert not other.thaw()


def test_another_filesystem_on_the_same_device_is_not_frozen(tmp_path: Path) -> None:
    if not UNIQUE:
        pytest.skip("needs unique mount ids (Linux 6.8) in the kernel")
    with loop_mount("ext4") as mount:
        filesystems = plan_of(mount)
        assert filesystems[0].unique_id > mount.mount_id
        unmount(mount)
        loop.run(["mkfs.ext4", "-q", "-F", mount.device])
        with mounted_with_the_id_of(mount, mount.device):
            record = freeze(filesystems, tmp_path)
            assert record.outcome == Outcome.FAILED
            assert record.error == (
                f"{mount.path}: it has been unmounted and mounted again since the plan was made"
            )
            assert not mount.thaw()


@contextmanager
def left_frozen(mount: LoopMount, run_directory: Path) -> Iterator[None]:
    """By an agent that was killed together with its guardian."""
    with FreezingProcess([mount.path], run_directory) as agent:
        assert agent.line() == "frozen"
        guardian = agent.guardian()
        os.kill(agent.pid, signal.SIGSTOP)  # it would notice the death of its guardian
        os.kill(guardian, signal.SIGKILL)
        agent.process.kill()
        agent.process.wait(timeout=PATIENCE)
        await_gone(guardian)
        yield


def test_what_is_frozen_is_found_by_its_device_and_not_where_it_was(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with (
        loop_mount("ext4") as mount,
        loop_mount("xfs") as other,
        also_at(mount, tmp_path / "elsewhere") as elsewhere,
        left_frozen(mount, run),
    ):
        loop.run(["umount", "-l", str(mount.path)])  # its guard is still there
        loop.run(["mount", other.device, str(mount.path)])
        try:
            other.freeze()
            [result] = _core.thaw_from_markers(_core.real_system(), run)
            assert (result.result, result.text) == (Rescue.THAWED, f"{elsewhere} is thawed")
            assert other.thaw()
            (elsewhere / "file").write_bytes(b"thawed")
        finally:
            loop.run(["umount", str(mount.path)])
        assert list(run.iterdir()) == []


def test_a_filesystem_that_takes_the_place_of_another_during_a_rescue_is_left_alone(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    results: list[RescueResult] = []
    stops = StoppingSystem(_core.real_system(), str(tmp_path / "stops"))
    with loop_mount("ext4") as mount, loop_mount("xfs") as other:
        marker = write_marker(run, f"{mount.number} {mount.path} ext4")
        stops.stop("before open_directory")
        rescue = threading.Thread(
            target=lambda: results.extend(_core.thaw_from_markers(stops, run))
        )
        rescue.start()
        await_true(lambda: stops.stopped("before open_directory"))
        with replaced(mount, other.device):
            other.freeze()
            stops.let_go("before open_directory")
            rescue.join(PATIENCE)
            assert other.thaw()
        [result] = results
        assert (result.result, result.path) == (Rescue.FAILED, str(mount.path))
        assert result.text == f"open {mount.path}: Stale file handle"
        assert marker.exists()


def test_another_filesystem_that_has_got_the_device_number_is_left_alone(tmp_path: Path) -> None:
    """A frozen one keeps its number: if another one has it, ours has been thawed and is gone."""
    run = tmp_path / "run"
    run.mkdir()
    with loop_mount("ext4") as mount:
        marker = write_marker(run, f"{mount.number} /was/here xfs")
        mount.freeze()
        [result] = _core.thaw_from_markers(_core.real_system(), run)
        assert (result.result, result.path) == (Rescue.NOT_FROZEN, "/was/here")
        assert result.text == (
            f"/was/here is gone and was not frozen: {mount.number} is another filesystem now,"
            f" ext4 on {mount.path}"
        )
        assert mount.thaw()
        assert not marker.exists()
        shutil.rmtree(run)
