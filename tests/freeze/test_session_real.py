"""Freeze sessions on real filesystems: clean copies, foreign hands, order."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support import loop, watchdog
from support.freezing import guardians_of
from support.loop import LoopMount, loop_mount
from support.patience import PATIENCE, TURNS, await_true
from support.rcu import await_rcu_restored
from support.writer import Writer, check_log

from vmtpy import _core
from vmtpy._core import FreezeOptions, FreezeSession, Outcome, Phase, PlanRequest, RunRecord

FILESYSTEMS = ["ext4", "xfs", "btrfs"]
LONG = 15.0  # seconds for one filesystem; before a watchdog thaws
# What each one's own checker says of an image that is clean.
CHECKERS = {
    "ext4": ["e2fsck", "-fn"],
    "xfs": ["xfs_repair", "-n"],
    "btrfs": ["btrfs", "check", "--force"],
}
MOUNT_OPTIONS = {"ext4": "ro,noload", "xfs": "ro,norecovery,nouuid", "btrfs": "ro"}


def make_session(*mounts: LoopMount, run_directory: Path, **options: float) -> FreezeSession:
    for mount in mounts:
        mount.check_ours()
    plan = _core.make_plan(PlanRequest(include=[mount.path for mount in mounts]))
    assert len(plan.filesystems) == len(mounts)
    # A machine that stands still for seconds ends none of so many freezes.
    given = {"filesystem_timeout": LONG, **options}
    chosen = FreezeOptions(run_directory=run_directory, **given)  # type: ignore[arg-type]
    return FreezeSession(_core.real_system(), None, plan.filesystems, chosen)


def freeze(*mounts: LoopMount, run_directory: Path, **options: float) -> FreezeSession:
    session = make_session(*mounts, run_directory=run_directory, **options)
    session.start()
    assert session.wait_for(Phase.FROZEN, PATIENCE)
    assert session.phase() == Phase.FROZEN, session.record().error
    return session


def end(session: FreezeSession) -> RunRecord:
    session.release()
    assert session.wait_for(Phase.ENDED, PATIENCE)
    return session.record()


def check_clean(fs: str, image: Path) -> None:
    """The filesystem's own checker finds nothing. (xfs logs on purpose while frozen.)"""
    loop.require_program(CHECKERS[fs][0])
    command = [*CHECKERS[fs], str(image)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    if fs == "xfs":
        assert "would" not in said, said
    else:
        assert done.returncode == 0, said


def last_record(fs: str, image: Path, directory: Path) -> int:
    """Reads the log back from a copy, mounted read-only and without recovery."""
    directory.mkdir()
    device = loop.run(["losetup", "--show", "-r", "-f", str(image)]).strip()
    try:
        loop.run(["mount", "-t", fs, "-o", MOUNT_OPTIONS[fs], device, str(directory)])
        try:
            return check_log(directory / "log")
        finally:
            loop.run(["umount", str(directory)])
    finally:
        loop.run(["losetup", "-d", device])


@pytest.mark.parametrize("fs", FILESYSTEMS)
def test_a_copy_taken_while_frozen_is_clean_and_complete(fs: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.img"
    with loop_mount(fs) as mount:
        with Writer(mount.path / "log") as writer:
            writer.wait_for(50)
            session = freeze(mount, run_directory=tmp_path / "run")
            acknowledged = writer.acknowledged
            loop.run(["cp", "--sparse=always", "--reflink=auto", str(mount.image), str(copy)])
            record = end(session)
            writer.wait_for_more()
        assert (record.outcome, record.error, record.warnings) == (Outcome.RELEASED, "", [])
        check_log(writer.path)
    check_clean(fs, copy)
    assert last_record(fs, copy, tmp_path / "mnt") >= acknowledged >= 50


@pytest.mark.parametrize("fs", FILESYSTEMS)
def test_a_filesystem_frozen_by_someone_else_is_left_to_them(fs: str, tmp_path: Path) -> None:
    with loop_mount(fs) as mount:
        mount.freeze()
        session = make_session(mount, run_directory=tmp_path / "run")
        session.start()
        assert session.wait_for(Phase.ENDED, PATIENCE)
        record = session.record()
        assert record.outcome == Outcome.FAILED
        assert record.error == f"FIFREEZE {mount.path}: already frozen by someone else"
        assert mount.thaw()


@pytest.mark.parametrize("fs", FILESYSTEMS)
def test_a_thaw_by_someone_else_is_found(fs: str, tmp_path: Path) -> None:
    with loop_mount(fs) as mount:
        session = freeze(mount, run_directory=tmp_path / "run")
        assert mount.thaw()
        record = end(session)
        assert (record.outcome, record.path) == (Outcome.LOST, str(mount.path))


def test_the_limit_thaws(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount, Writer(mount.path / "log") as writer:
        session = freeze(mount, run_directory=tmp_path / "run", timeout=3)
        assert session.wait_for(Phase.ENDED, PATIENCE)
        writer.wait_for_more()
        record = session.record()
        assert record.outcome == Outcome.EXPIRED
        # The limit is set before the guardian starts, which is just before the first freeze.
        assert record.all_thawed - record.started >= 3
        assert not mount.thaw()


def test_an_abort_thaws_while_others_still_freeze(tmp_path: Path) -> None:
    with loop_mount("ext4") as one, loop_mount("xfs") as two:
        for _ in range(10):
            session = make_session(one, two, run_directory=tmp_path / "run")
            session.start()
            session.abort("changed my mind")
            assert session.wait_for(Phase.ENDED, PATIENCE)
            assert session.record().outcome == Outcome.ABORTED
            assert not one.thaw()
            assert not two.thaw()


@pytest.mark.parametrize("fs", FILESYSTEMS)
def test_an_image_on_a_frozen_filesystem_freezes_before_it(fs: str, tmp_path: Path) -> None:
    with (
        loop_mount("ext4", size=512 << 20) as outer,
        loop_mount(fs, directory=outer.path) as inner,
        Writer(outer.path / "log") as outer_writer,
        Writer(inner.path / "log") as inner_writer,
    ):
        for _ in range(5):
            session = freeze(outer, inner, run_directory=tmp_path / "run")
            record = end(session)
            assert record.error == ""
            levels = {filesystem.path: filesystem.level for filesystem in record.filesystems}
            assert levels == {str(inner.path): 0, str(outer.path): 1}
            outer_writer.wait_for_more()
            inner_writer.wait_for_more()


def test_an_image_on_an_image_freezes_a_hundred_times_under_load(tmp_path: Path) -> None:
    with (
        loop_mount("ext4", size=512 << 20) as outer,
        loop_mount("ext4", size=256 << 20, directory=outer.path) as middle,
        loop_mount("ext4", size=64 << 20, directory=middle.path) as inner,
        Writer(outer.path / "log"),
        Writer(middle.path / "log"),
        Writer(inner.path / "log") as writer,
    ):
        for _ in range(100):
            record = end(freeze(outer, middle, inner, run_directory=tmp_path / "run"))
            assert record.outcome == Outcome.RELEASED, record.error
            assert [filesystem.level for filesystem in record.filesystems] == [0, 1, 2]
        writer.wait_for_more()


def test_what_is_only_synced_is_not_frozen(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount, loop_mount("ext4") as boot:
        made = _core.make_plan(PlanRequest(include=[mount.path, boot.path]))
        filesystems = [
            _core.Filesystem(
                filesystem.path,
                mount_id=filesystem.mount_id,
                device=filesystem.device,
                type=filesystem.type,
                source=filesystem.source,
                sync_only=filesystem.path == str(boot.path),
            )
            for filesystem in made.filesystems
        ]
        options = FreezeOptions(run_directory=tmp_path / "run")
        session = FreezeSession(_core.real_system(), None, filesystems, options)
        session.start()
        assert session.wait_for(Phase.FROZEN, PATIENCE)
        (boot.path / "file").write_bytes(b"not frozen")
        assert end(session).outcome == Outcome.RELEASED
        assert not boot.thaw()


def test_a_mount_that_vanishes_after_the_plan_is_named(tmp_path: Path) -> None:
    with loop_mount("ext4") as stays, loop_mount("ext4") as goes:
        session = make_session(stays, goes, run_directory=tmp_path / "run")
        loop.take_away(goes)
        session.start()
        assert session.wait_for(Phase.ENDED, PATIENCE)
        record = session.record()
        assert record.outcome == Outcome.FAILED
        assert record.error == f"{goes.path}: the planned mount is gone, or hidden by another one"
        assert not stays.thaw()


def test_a_mount_hidden_by_another_after_the_plan_is_named(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount:
        session = make_session(mount, run_directory=tmp_path / "run")
        loop.run(["mount", "-t", "tmpfs", "hides", str(mount.path)])
        try:
            session.start()
            assert session.wait_for(Phase.ENDED, PATIENCE)
            assert "hidden by another one" in session.record().error
        finally:
            loop.run(["umount", str(mount.path)])
        assert not mount.thaw()


def test_a_session_leaves_nothing_behind(tmp_path: Path) -> None:
    signals: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, _: signals.append(number))
    try:
        with loop_mount("ext4") as mount:
            signals.clear()  # of mkfs and mount
            gc.collect()  # what earlier tests have left is not this one's
            descriptors = count("/proc/self/fd")
            threads = count("/proc/self/task")
            # Process 1 of a namespace gets those of other tests' dead agents.
            adopted = set(guardians_of(os.getpid()))
            for _ in range(20):
                session = freeze(mount, run_directory=tmp_path / "run")
                # The one before may be a zombie for a moment yet.
                await_true(lambda: len(set(guardians_of(os.getpid())) - adopted) == 1)
                assert end(session).error == ""
            del session
            deadline = time.monotonic() + PATIENCE
            while set(guardians_of(os.getpid())) - adopted or count("/proc/self/task") > threads:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert count("/proc/self/fd") <= descriptors  # an earlier test's may still be closed
            assert count(tmp_path / "run") == 0
            assert signals == []
    finally:
        signal.signal(signal.SIGCHLD, before)


def count(directory: Path | str) -> int:
    """How many entries there are."""
    return len(list(Path(directory).iterdir()))


def test_the_mount_is_free_as_soon_as_the_session_has_ended(tmp_path: Path) -> None:
    """The end waits a little for the guardian's, which a busy machine may delay for longer."""
    umount = ctypes.CDLL(None, use_errno=True).umount2
    for _ in range(TURNS):
        with loop_mount("ext4") as mount:
            session = freeze(mount, run_directory=tmp_path / "run")
            assert mount.guard is not None
            watchdog.stop(mount.guard)
            mount.guard = None
            end(session)
            if umount(os.fsencode(mount.path), 0) == 0:
                return
            assert ctypes.get_errno() == errno.EBUSY
    pytest.fail("it is busy each time")


def test_two_sessions_at_once_do_not_mind_each_other(tmp_path: Path) -> None:
    with loop_mount("ext4") as one, loop_mount("ext4") as two:
        errors: list[str] = []

        def cycle(mount: LoopMount) -> None:
            for _ in range(10):
                errors.append(end(freeze(mount, run_directory=tmp_path / "run")).error)

        threads = [threading.Thread(target=cycle, args=(mount,)) for mount in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == [""] * 20
        await_rcu_restored()
