"""Hooks of the real agent, on the very filesystem that it freezes."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from support.guest import running_guest
from support.hooks import write_script
from support.loop import loop_mount
from support.patience import PATIENCE
from support.start_options import start_options
from support.writer import Writer

from vmtpy.demo import disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.loop import LoopMount


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as mount:
        yield mount


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "hooks.d"
    directory.mkdir(mode=0o755)
    return directory


def config(place: Path, more: str = "") -> str:
    return f'[hooks]\ndirectory = "{place}"\n{more}\n'


def phases(mount: LoopMount) -> list[str]:
    """What the hooks have written to the filesystem."""
    file = mount.path / "phases"
    return file.read_text().splitlines() if file.exists() else []


def writing_hook(place: Path, mount: LoopMount, name: str, body: str = "") -> None:
    """One that writes to the filesystem in each phase, and would hang if that were frozen."""
    write_script(
        place / name, f'echo "{name} $1" >> {mount.path}/phases && sync {mount.path}/phases\n{body}'
    )


def test_hooks_write_to_the_filesystem_before_the_freeze_and_after_the_thaw(
    mount: LoopMount, place: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "copy.img"
    writing_hook(place, mount, "a")
    writing_hook(place, mount, "b")
    before, after = ["a freeze", "b freeze"], ["b thaw", "a thaw"]
    with running_guest([mount], tmp_path / "log", config(place, "timeout = 10")) as guest:
        for turn in range(3):
            guest.entries.clear()
            guest.freeze()
            disk.copy(mount.image, copied)
            assert guest.command("vmbackup.snapshotDone") == b"OK "
            guest.done()
            assert not any(event.startswith(b"req.error") for event in guest.events())
            expected = (before + after) * turn + before
            with disk.read_only(copied, "ext4") as path:
                assert (path / "phases").read_text().splitlines() == expected
            copied.unlink()
            assert phases(mount) == expected + after


def test_a_failing_hook_leaves_everything_thawed_and_is_read_by_the_host(
    mount: LoopMount, place: Path, tmp_path: Path
) -> None:
    writing_hook(place, mount, "a")
    writing_hook(place, mount, "b", '[ "$1" = freezeFail ] || { echo "shop is open"; exit 1; }')
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", config(place)) as guest,
    ):
        assert guest.command("vmbackup.start 1") == b"OK "
        guest.done()
        assert guest.events() == [
            b"reset 0 ",
            b"req.error 2 hook b freeze failed with exit code 1: shop is open",
            b"req.done 0 ",
        ]
        assert phases(mount) == ["a freeze", "b freeze", "b freezeFail", "a freezeFail"]
        writer.wait_for_more()
        assert guest.command("vmbackup.snapshotDone").startswith(b"ERROR ")


def test_the_hosts_argument_reaches_hooks_and_no_shell(
    mount: LoopMount, place: Path, tmp_path: Path
) -> None:
    argument = f"$(touch {tmp_path}/hole) `id`; 'a b' \"ü"
    writing_hook(place, mount, "a", f'printf "%s|%s|%s\n" "$#" "$1" "$2" >> {mount.path}/arguments')
    body = start_options(argument=argument.encode())
    with running_guest([mount], tmp_path / "log", config(place)) as guest:
        assert guest.command(b"vmbackup.startWithOpts " + body) == b"OK "
        guest.until(lambda: guest.events()[-1:] == [b"prov.snapshotCommit 0 "])
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
    lines = (mount.path / "arguments").read_text().splitlines()
    assert lines == [f"2|freeze|{argument}", f"2|thaw|{argument}"]
    assert not (tmp_path / "hole").exists()


def test_past_the_limit_of_the_freeze_hooks_hear_freeze_fail_after_the_thaw(
    mount: LoopMount, place: Path, tmp_path: Path
) -> None:
    writing_hook(place, mount, "a")
    settings = config(place) + "[quiesce]\ntimeout = 4\n"  # in which a busy machine has frozen
    with running_guest([mount], tmp_path / "log", settings) as guest:
        guest.freeze()
        guest.done()
        assert guest.events()[-2].startswith(b"req.aborted 4 ")
        assert phases(mount) == ["a freeze", "a freezeFail"]


def test_sigterm_while_a_hook_runs_ends_it_and_the_agent(
    mount: LoopMount, place: Path, tmp_path: Path
) -> None:
    writing_hook(place, mount, "a", '[ "$1" = freeze ] && exec sleep 60')
    with running_guest([mount], tmp_path / "log", config(place)) as guest:
        assert guest.command("vmbackup.start 1") == b"OK "
        deadline = time.monotonic() + PATIENCE
        while phases(mount) != ["a freeze"]:
            assert time.monotonic() < deadline
            guest.read()
        assert guest.end() == 0
        guest.done()
        assert guest.events()[-2] == b"req.aborted 4 the agent was told to stop"
        assert phases(mount) == ["a freeze", "a freezeFail"]


def test_an_agent_killed_while_a_hook_runs_leaves_the_next_one_free(
    mount: LoopMount, place: Path, tmp_path: Path
) -> None:
    writing_hook(place, mount, "a", f'[ "$1" = freeze ] && [ -e {tmp_path}/slow ] && sleep 2\n:')
    (tmp_path / "slow").touch()
    with running_guest([mount], tmp_path / "log", config(place)) as guest:
        assert guest.command("vmbackup.start 1") == b"OK "
        deadline = time.monotonic() + PATIENCE
        while phases(mount) != ["a freeze"]:
            assert time.monotonic() < deadline
            guest.read()
        os.kill(guest.pid, signal.SIGKILL)
        assert guest.host.wait(time.monotonic() + PATIENCE)
    (tmp_path / "slow").unlink()
    with running_guest([mount], tmp_path / "log2", config(place)) as guest:
        guest.freeze()
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        assert phases(mount)[-2:] == ["a freeze", "a thaw"]


def test_a_hook_of_somebody_else_is_refused_and_nothing_is_frozen(
    mount: LoopMount, place: Path, tmp_path: Path
) -> None:
    writing_hook(place, mount, "a")
    os.chown(place / "a", 65534, -1)
    with running_guest([mount], tmp_path / "log", config(place)) as guest:
        assert guest.command("vmbackup.start 1") == b"OK "
        guest.done()
        assert guest.events()[-2].startswith(f"req.error 2 hook {place}/a is refused: ".encode())
        assert phases(mount) == []
