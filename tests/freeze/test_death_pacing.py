"""An agent that dies while it slows writers down leaves no bound on anybody's dirty pages."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.freezing import FreezingProcess, await_gone, guardians_of
from support.loop import loop_mount
from support.patience import await_true

from vmtpy import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loop import LoopMount

THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
MIB = 1 << 20
FOUND = {"strict_limit": "0", "min_ratio_fine": "0", "max_ratio_fine": "1000000"}


def number(mount: LoopMount) -> str:
    return Path(f"/sys/block/{Path(mount.device).name}/dev").read_text().strip()


def bounds(mount: LoopMount) -> dict[str, str]:
    directory = Path("/sys/class/bdi") / number(mount)
    return {name: (directory / name).read_text().strip() for name in FOUND}


@contextmanager
def paced(mount: LoopMount, run: Path) -> Iterator[FreezingProcess]:
    """A session that has 96 MiB to write to a disk of 4 MiB/s, and has bounded what is dirty."""
    if not THROTTLE.exists():
        pytest.skip(f"no {THROTTLE} (cgroup v1)")
    if not (Path("/sys/class/bdi") / number(mount) / "max_bytes").exists():
        pytest.skip("no bound on the dirty pages of a device (Linux 6.2)")
    assert bounds(mount) == FOUND
    THROTTLE.write_text(f"{number(mount)} {4 * MIB}")
    try:
        (mount.path / "dirty").write_bytes(os.urandom(MIB) * 96)
        with FreezingProcess([mount.path], run) as agent:
            await_true(lambda: bounds(mount)["strict_limit"] == "1")
            yield agent
    finally:
        THROTTLE.write_text(f"{number(mount)} 0")


def test_an_agent_killed_while_it_paces_writers_has_the_bound_put_back(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount, paced(mount, run := tmp_path / "run") as agent:
        guardian = agent.guardian()
        time.sleep(0.2)  # a few steps of the controller
        agent.process.kill()
        await_true(lambda: bounds(mount) == FOUND)
        THROTTLE.write_text(f"{number(mount)} 0")
        await_gone(guardian)
        assert not list(run.glob("freeze-*"))
        assert not mount.thaw()


def test_when_both_are_killed_while_they_pace_the_rescue_puts_the_bound_back(
    tmp_path: Path,
) -> None:
    with loop_mount("ext4") as mount, paced(mount, run := tmp_path / "run") as agent:
        guardians = guardians_of(agent.pid)
        for guardian in guardians:
            os.kill(guardian, signal.SIGKILL)
        agent.process.kill()
        THROTTLE.write_text(f"{number(mount)} 0")
        agent.process.wait(timeout=60)
        assert bounds(mount)["strict_limit"] == "1"
        _core.thaw_from_markers(_core.real_system(), run)
        assert bounds(mount) == FOUND
        assert not list(run.glob("freeze-*"))
        assert not mount.thaw()
