"""The agent as a whole: real instructions, real filesystems, real deaths. The host is the test."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.guest import running_guest
from support.holder import holding
from support.loop import loop_mount, require_loop
from support.patience import fastest
from support.writer import Writer, check_log

import vmtpy
from vmtpy.demo import disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loop import LoopMount

FILESYSTEMS = ("ext4", "xfs", "btrfs")
LIMIT = 4  # seconds, which a busy machine does not take to freeze or to answer
SHORT = f"[quiesce]\ntimeout = {LIMIT}\n"
LATE = b"ERROR Error: no quiesce operation in progress"


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as mount:
        yield mount


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("fs", FILESYSTEMS)
def test_a_copy_taken_between_commit_and_done_is_clean_and_complete(
    fs: str, turn: int, tmp_path: Path
) -> None:
    require_loop(fs)
    copied = tmp_path / "copy.img"
    with (
        loop_mount(fs) as mount,
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log") as guest,
    ):
        writer.wait_for(50)
        guest.freeze()
        acknowledged = writer.acknowledged
        disk.copy(mount.image, copied)
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        writer.wait_for_more()
        assert guest.events() == [
            b"reset 0 ",
            b"prov.snapshotCommit 0 ",
            b"req.genericManifest 0 /run/vmtpy/quiesce_manifest.xml",
            b"req.done 0 ",
        ]
        assert guest.end() == 0
    verdict = disk.check(copied, fs, orphans=False)
    assert verdict.clean, verdict.output
    with disk.read_only(copied, fs) as path:
        assert check_log(path / "log") >= acknowledged >= 50


def test_killed_while_frozen_it_leaves_nothing_frozen(mount: LoopMount, tmp_path: Path) -> None:
    with Writer(mount.path / "log", sync=False) as writer:

        def die() -> float:
            """Seconds until writers go on."""
            with running_guest([mount], tmp_path / "log") as guest:
                guest.freeze()
                begin = time.monotonic()
                os.kill(guest.pid, signal.SIGKILL)
                writer.wait_for_more()
                waited = time.monotonic() - begin
                assert not mount.thaw()
            return waited

        assert fastest(die, 0.1) < 0.1


def test_stopped_while_frozen_it_is_thawed_at_the_limit(mount: LoopMount, tmp_path: Path) -> None:
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", SHORT) as guest,
    ):
        begin = time.monotonic()
        guest.freeze()
        os.kill(guest.pid, signal.SIGSTOP)
        writer.wait_for_more()
        assert time.monotonic() >= begin + LIMIT
        os.kill(guest.pid, signal.SIGCONT)
        assert guest.command("vmbackup.snapshotDone").startswith(b"ERROR ")
        guest.done()


def test_without_snapshot_done_it_thaws_at_the_limit_and_says_so(
    mount: LoopMount, tmp_path: Path
) -> None:
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", SHORT) as guest,
    ):
        begin = time.monotonic()
        guest.freeze()
        writer.wait_for_more()
        guest.done()
        assert guest.when(b"req.aborted") >= begin + LIMIT
        assert guest.events()[-2].startswith(b"req.aborted 4 ")
        assert guest.command("vmbackup.snapshotDone") == LATE
        assert guest.command("vmbackup.start 0") == b"OK "  # and it is ready for the next
        guest.until(lambda: guest.events()[-1].startswith(b"prov.snapshotCommit"))
        assert guest.command("vmbackup.snapshotDone") == b"OK "


def test_a_whole_backup_goes_by_hypercall_where_the_ports_fault(
    mount: LoopMount, tmp_path: Path
) -> None:
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", hypercall=True) as guest,
    ):
        guest.freeze()
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        writer.wait_for_more()
        guest.done()
        traps = guest.device.traps()
    assert {name.split()[0] for name in traps} <= {"vmcall", "vmmcall"}
    assert any(name.endswith("HB out") for name in traps)


def test_an_abort_thaws(mount: LoopMount, tmp_path: Path) -> None:
    with Writer(mount.path / "log") as writer, running_guest([mount], tmp_path / "log") as guest:
        guest.freeze()
        assert guest.command("vmbackup.abort") == b"OK "
        writer.wait_for_more()
        guest.done()
        assert guest.events()[-2] == b"req.aborted 4 aborted by the host"
        assert guest.command("vmbackup.snapshotDone") == LATE


def test_sigterm_while_frozen_thaws_tells_the_host_and_ends(
    mount: LoopMount, tmp_path: Path
) -> None:
    with Writer(mount.path / "log") as writer, running_guest([mount], tmp_path / "log") as guest:
        guest.freeze()
        assert guest.end() == 0
        writer.wait_for_more()
        guest.done()
        assert guest.events()[-2] == b"req.aborted 4 the agent was told to stop"
        assert guest.device.open_channels() == 0


def test_a_second_start_while_frozen_is_refused_and_changes_nothing(
    mount: LoopMount, tmp_path: Path
) -> None:
    with Writer(mount.path / "log"), running_guest([mount], tmp_path / "log") as guest:
        guest.freeze()
        assert guest.command("vmbackup.start 1") == b"ERROR Quiesce operation already in progress."
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()


def test_its_own_files_on_the_frozen_disk_do_not_hang_it(mount: LoopMount, tmp_path: Path) -> None:
    """Log, record, configuration, working directory and the package lie on what is frozen."""
    home = mount.path
    package = Path(vmtpy.__file__).parent
    shutil.copytree(
        package, home / "lib/vmtpy", ignore=shutil.ignore_patterns("__pycache__", "_host.*")
    )
    inside = f"env -C {home} PYTHONPATH={home}/lib"
    config = "[quiesce]\ntimeout = 30\n"
    record = ("--record", "runs.jsonl")
    with running_guest([mount], home / "agent.log", config, inside, *record) as guest:
        assert f"{home}/lib/vmtpy/_core" in Path(f"/proc/{guest.pid}/maps").read_text()
        assert Path(f"/proc/{guest.pid}/cwd").readlink() == home
        caches = set(home.rglob("*.pyc"))
        guest.freeze()
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        guest.until(lambda: "quiesced: " in guest.text())
        assert len((home / "runs.jsonl").read_text().splitlines()) == 1
        guest.freeze()
        guest.device.answer_with("vmbackup.eventSet req.keepAlive", "0 gone")  # is logged
        guest.until(lambda: guest.events()[-1:] == [b"req.done 0 "])
        guest.until(lambda: "refused req.keepAlive" in guest.text())
        assert any(event.startswith(b"req.aborted 4 ") for event in guest.events())
        assert set(home.rglob("*.pyc")) == caches
        assert guest.end() == 0


def test_several_filesystems_are_frozen_together(tmp_path: Path) -> None:
    with (
        loop_mount("ext4") as first,
        loop_mount("ext4", directory=first.path) as inner,
        running_guest([first, inner], tmp_path / "log") as guest,
    ):
        guest.freeze()
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        assert "2 filesystems" in guest.text()


def test_what_someone_else_has_frozen_is_reported_by_name(mount: LoopMount, tmp_path: Path) -> None:
    with running_guest([mount], tmp_path / "log") as guest:
        mount.freeze()
        assert guest.command("vmbackup.start 1") == b"OK "
        guest.done()
        assert guest.events()[-2].startswith(b"req.error 3 ")
        assert str(mount.path).encode() in guest.events()[-2]
        assert mount.thaw(), "it was not ours to thaw"


def test_what_someone_else_has_frozen_is_accepted_if_so_configured_and_left_to_them(
    mount: LoopMount, tmp_path: Path
) -> None:
    config = '[quiesce]\nalready_frozen = "accept"\n'
    with (
        loop_mount("xfs") as ours,
        running_guest([mount, ours], tmp_path / "log", config) as guest,
    ):
        mount.freeze()
        guest.freeze()
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        assert f"{mount.path}: frozen by someone else, left to them" in guest.text()
        assert mount.thaw(), "it was not ours to thaw"
        assert not ours.thaw()


def test_that_nothing_can_be_frozen_is_told_with_the_reason(
    mount: LoopMount, tmp_path: Path
) -> None:
    config = f'[quiesce]\ninclude = ["{mount.path}*"]\nexclude = ["{mount.path}"]\n'
    with running_guest([], tmp_path / "log", config) as guest:
        assert guest.command("vmbackup.start 1") == b"OK "
        guest.done()
        assert guest.events()[-2].startswith(b"req.error 3 there is nothing to freeze; ")
        assert f"{mount.path}: excluded by".encode() in guest.events()[-2]


def test_the_host_hears_which_process_keeps_a_filesystem_from_freezing(
    mount: LoopMount, tmp_path: Path
) -> None:
    config = "[quiesce]\nfilesystem_timeout = 3\n"
    with (
        holding(mount.path / "spliced") as holder,
        running_guest([mount], tmp_path / "log", config) as guest,
    ):
        assert guest.command("vmbackup.start 1") == b"OK "
        guest.done()
        told = guest.events()[-2].decode()
        assert told.startswith(f"req.error 3 FIFREEZE {mount.path}: not frozen within 3 s, held")
        assert f"process {holder.pid} (" in told
        holder.kill()
