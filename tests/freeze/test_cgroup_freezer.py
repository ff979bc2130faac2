"""The control group of an agent is frozen (`systemctl freeze`, a paused container) while it holds
its filesystems: the guardian has left the group and thaws at the limit.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support.cgroup import freezable_group
from support.freezing import FreezingProcess
from support.loop import loop_mount, require_program
from support.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

# A program for which there are no control groups, as in a container that has none of its own.
MASKED = 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"'
WITHOUT_GROUPS = ["unshare", "-m", "sh", "-c", MASKED, "sh"]


@pytest.mark.parametrize("version", [1, 2])
def test_an_agent_whose_control_group_is_frozen_is_thawed_at_the_limit(
    version: int, tmp_path: Path
) -> None:
    with (
        freezable_group(version) as group,
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        FreezingProcess([mount.path], tmp_path, wrapper=group.wrapper, timeout=4) as agent,
    ):
        assert agent.line() == "frozen"
        assert agent.guardian() not in group.processes()
        assert agent.pid in group.processes()
        group.freeze()
        writer.wait_for_more()
        group.thaw()
        assert agent.line() == "EXPIRED the limit of 4 s has passed"
        assert not mount.thaw()


@pytest.mark.parametrize("version", [1, 2])
def test_a_guardian_that_cannot_leave_the_group_thaws_when_that_goes_on(
    version: int, tmp_path: Path
) -> None:
    require_program("unshare")
    with (
        freezable_group(version) as group,
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        FreezingProcess(
            [mount.path], tmp_path, wrapper=[*group.wrapper, *WITHOUT_GROUPS], timeout=4
        ) as agent,
    ):
        assert agent.line() == "frozen"
        assert agent.guardian() in group.processes()
        group.freeze()
        before = writer.acknowledged
        time.sleep(4.1)
        assert writer.acknowledged <= before + 1
        group.thaw()
        writer.wait_for_more()
        assert agent.line() == "EXPIRED the limit of 4 s has passed"
        assert not mount.thaw()
