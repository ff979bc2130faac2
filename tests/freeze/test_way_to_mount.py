"""A filesystem on a mount whose server does not answer: an open() there waits for ever."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support import loop
from support.freezing import write_marker
from support.fuse import FuseMount, fuse_mount, unmount
from support.loop import LoopMount, loop_mount
from support.patience import PATIENCE

from vmtpy import _core
from vmtpy._core import Filesystem, FreezeOptions, FreezeSession, Outcome, Phase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="needs FUSE (/dev/fuse)"
)


@contextmanager
def mounted_on_silence(mount: LoopMount, place: Path) -> Iterator[tuple[FuseMount, Filesystem]]:
    """The filesystem of `mount`, by a way that leads through a server that has fallen silent."""
    place.mkdir()
    with fuse_mount(place) as fuse:
        loop.run(["mount", mount.device, str(fuse.inner)])
        found = loop.find_mount(fuse.inner)
        assert found is not None
        fuse.fall_silent()
        try:
            yield (
                fuse,
                Filesystem(
                    found.path,
                    mount_id=found.mount_id,
                    device=found.number,
                    type=found.fs,
                    source=found.source,
                ),
            )
        finally:
            fuse.answer()
            unmount(fuse.inner)  # fails if a session has left its directory open


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as made:
        yield made


def make_session(filesystem: Filesystem, tmp_path: Path, **options: float) -> FreezeSession:
    chosen = FreezeOptions(run_directory=tmp_path / "run", **options)  # type: ignore[arg-type]
    return FreezeSession(_core.real_system(), None, [filesystem], chosen)


def test_an_abort_is_heard_while_an_open_waits_for_a_server(
    mount: LoopMount, tmp_path: Path
) -> None:
    with mounted_on_silence(mount, tmp_path / "net") as (_, filesystem):
        session = make_session(filesystem, tmp_path)
        session.start()
        assert not session.wait_for(Phase.FREEZING, 0.2)
        session.abort("the host has had enough")
        assert session.wait_for(Phase.ENDED, PATIENCE)
        record = session.record()
        assert (record.outcome, record.error) == (Outcome.ABORTED, "the host has had enough")
        assert not mount.thaw()


def test_a_server_that_never_answers_fails_the_backup_and_is_named(
    mount: LoopMount, tmp_path: Path
) -> None:
    place = tmp_path / "net"
    with mounted_on_silence(mount, place) as (_, filesystem):
        session = make_session(filesystem, tmp_path, presync_timeout=0.3)
        session.start()
        assert session.wait_for(Phase.ENDED, PATIENCE)
        record = session.record()
        assert (record.outcome, record.path) == (Outcome.FAILED, f"{place}/inner")
        assert record.error == (
            f"open {place}/inner: not done within 0.3 s; "
            f"{place} (fuse), on which it is mounted, does not answer"
        )
        assert not mount.thaw()


def test_a_server_that_answers_late_is_waited_for(mount: LoopMount, tmp_path: Path) -> None:
    with mounted_on_silence(mount, tmp_path / "net") as (fuse, filesystem):
        session = make_session(filesystem, tmp_path)
        session.start()
        assert not session.wait_for(Phase.FREEZING, 0.2)
        fuse.answer()
        assert session.wait_for(Phase.FROZEN, PATIENCE)
        assert session.phase() == Phase.FROZEN, session.record().error
        session.release()
        assert session.wait_for(Phase.ENDED, PATIENCE)
        assert session.record().outcome == Outcome.RELEASED


@contextmanager
def only_behind_silence(tmp_path: Path) -> Iterator[str]:
    """A filesystem that is mounted nowhere else; its entry in a marker."""
    place = tmp_path / "net"
    place.mkdir()
    image = tmp_path / "ext4.img"
    with image.open("wb") as file:
        file.truncate(loop.SIZES["ext4"])
    loop.run([*loop.MKFS["ext4"], str(image)])
    with fuse_mount(place) as fuse:
        loop.run(["mount", "-o", "loop", str(image), str(fuse.inner)])
        found = loop.find_mount(fuse.inner)
        assert found is not None
        fuse.fall_silent()
        try:
            yield f"{found.number} {found.path} ext4"
        finally:
            fuse.answer()
            unmount(fuse.inner)


def test_a_rescue_thaws_the_others_before_it_waits_for_a_server(
    mount: LoopMount, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    results: list[_core.RescueResult] = []
    with only_behind_silence(tmp_path) as silent:
        # They are thawed from the last to the first.
        write_marker(run, f"{mount.number} {mount.path} ext4", silent)
        mount.freeze()
        rescue = threading.Thread(
            target=lambda: results.extend(_core.thaw_from_markers(_core.real_system(), run))
        )
        rescue.start()
        (mount.path / "file").write_bytes(b"thawed")  # waits for the thaw
    rescue.join(PATIENCE)
    assert [result.text for result in results] == [
        f"{mount.path} is thawed",
        f"{tmp_path}/net/inner was not frozen",
    ]
