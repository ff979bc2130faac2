"""The tools of the freeze tests themselves: they must be safe before anything else is tried."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import loop
from support.patience import await_true
from support.writer import Writer, check_log

CODE = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from support.loop import loop_mount
with loop_mount("ext4") as mount:
    mount.freeze()
    print(mount.path, mount.device, mount.image, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("fs", ["ext4", "xfs", "btrfs"])
def test_a_writer_stands_still_while_its_filesystem_is_frozen(fs: str) -> None:
    with loop.loop_mount(fs) as mount, Writer(mount.path / "log") as writer:
        mount.freeze()
        before = writer.acknowledged
        writer.forget_longest()
        await_true(lambda: writer.longest >= 0.15)  # the record under way counts
        stopped = writer.acknowledged
        assert mount.thaw()
        writer.wait_for_more()
        assert stopped <= before + 1
        assert writer.longest >= 0.15
        last = writer.acknowledged
        assert check_log(writer.path) >= last


def test_nothing_but_a_loop_mount_of_ours_is_frozen(tmp_path: Path) -> None:
    with loop.loop_mount("ext4") as mount:
        stranger = loop.LoopMount(
            tmp_path, mount.image, mount.device, "ext4", mount.number, mount.mount_id
        )
        with pytest.raises(AssertionError, match="is not mounted"):
            stranger.freeze()


def forget() -> None:
    """Leaves a mount frozen, for a time that is longer than its watchdog bears."""
    with (
        loop.loop_mount("ext4", longest_freeze=0.5) as mount,
        Writer(mount.path / "log") as writer,
    ):
        mount.freeze()
        writer.wait_for_more()
        assert not mount.thaw()


def test_the_watchdog_thaws_what_a_test_forgets_and_fails_it() -> None:
    with pytest.raises(AssertionError, match="until the watchdog thawed it"):
        forget()


def test_nothing_is_left_when_the_test_is_killed_while_frozen() -> None:
    loop.require_loop()
    tests = Path(__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", CODE, str(tests)], stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        path, device, image = victim.stdout.readline().split()
        os.kill(victim.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while loop.find_mount(path) or loop.backing_file(device) == Path(image):
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.2)
    while Path(path).parent.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.01)


def test_a_damaged_log_is_found(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Writer(log) as writer:
        writer.wait_for(10)
    assert check_log(log) >= 10
    data = bytearray(log.read_bytes())
    data[64 * 4] ^= 1
    log.write_bytes(data)
    with pytest.raises(AssertionError, match="record 5 is damaged"):
        check_log(log)
