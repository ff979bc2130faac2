"""Deaths between two steps of a freeze, each made certain by a place where the session stops: the
guardian, or the marker when it is dead as well, puts back all that had been done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.freezing import FreezingProcess, await_gone, guardians_of, in_freeze
from support.holder import holding
from support.loop import loop_mount
from support.patience import PATIENCE, await_true
from support.rcu import RCU, await_rcu_restored
from support.writer import Writer

from vmtpy import _core
from vmtpy._core import Rescue
from vmtpy._host import StoppingSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loop import LoopMount

# Where a session comes by, in this order. Its first write_file sets rcu_expedited, its first
# remove_file removes the marker when all is thawed.
PLACES = [
    *("after fork", "before create_file", "after create_file", "before write_file"),
    *("after write_file", "before freeze", "after freeze", "before thaw", "after thaw"),
    *("before remove_file", "after remove_file"),
]


@pytest.fixture(scope="module")
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as one:
        yield one


@pytest.fixture
def stops(tmp_path: Path) -> StoppingSystem:
    return StoppingSystem(_core.real_system(), str(tmp_path / "stops"))


def markers(run_directory: Path) -> list[Path]:
    return list(run_directory.glob("freeze-*"))


@pytest.mark.parametrize("place", PLACES)
def test_an_agent_killed_between_any_two_steps_leaves_nothing_behind(
    place: str, mount: LoopMount, stops: StoppingSystem, tmp_path: Path
) -> None:
    await_rcu_restored()
    stops.stop(place)
    run = tmp_path / "run"
    mount.check_ours()
    with FreezingProcess([mount.path], run, stops=tmp_path / "stops") as agent:
        if PLACES.index(place) >= PLACES.index("before thaw"):
            assert agent.line() == "frozen"
            agent.release()
        await_true(lambda: stops.stopped(place))
        guardians = guardians_of(agent.pid)
        agent.process.kill()
        agent.process.wait(timeout=PATIENCE)
        for guardian in guardians:
            await_gone(guardian)
    await_true(lambda: not markers(run))
    await_rcu_restored()
    assert not mount.thaw()


def test_an_agent_that_sets_the_switch_after_its_limit_and_dies_has_it_put_back(
    mount: LoopMount, stops: StoppingSystem, tmp_path: Path
) -> None:
    """It was stopped right before, and the guardian has long since done what it had to."""
    await_rcu_restored()
    stops.stop("before write_file")
    stops.stop("after write_file")
    run = tmp_path / "run"
    mount.check_ours()
    with FreezingProcess([mount.path], run, stops=tmp_path / "stops", timeout=1) as agent:
        await_true(lambda: stops.stopped("before write_file"))
        guardian = agent.guardian()
        RCU.write_text("1")
        await_rcu_restored()  # by the guardian, which has thus acted
        stops.let_go("before write_file")
        await_true(lambda: stops.stopped("after write_file"))
        assert RCU.read_text() == "1\n"
        agent.process.kill()
        await_gone(guardian)
    assert not markers(run)
    await_rcu_restored()
    assert not mount.thaw()


def test_when_both_are_killed_inside_a_freeze_the_rescue_waits_for_it_and_thaws(
    mount: LoopMount, tmp_path: Path
) -> None:
    """The filesystem becomes frozen only when its killers have long since gone."""
    run = tmp_path / "run"
    results: list[_core.RescueResult] = []
    with (
        holding(mount.path / "spliced") as holder,
        Writer(mount.path / "log") as writer,
        FreezingProcess([mount.path], run, filesystem_timeout=60) as agent,
    ):
        await_true(lambda: bool(guardians_of(agent.pid)) and in_freeze(agent.pid))
        os.kill(agent.guardian(), signal.SIGKILL)
        agent.process.kill()
        rescue = threading.Thread(
            target=lambda: results.extend(_core.thaw_from_markers(_core.real_system(), run))
        )
        rescue.start()
        time.sleep(0.1)  # it has tried by now, and found nothing frozen
        holder.kill()
        rescue.join(PATIENCE)
        [result] = results
        assert (result.result, result.path) == (Rescue.THAWED, str(mount.path))
        writer.wait_for_more()
    assert not markers(run)
    await_rcu_restored()
    assert not mount.thaw()


def test_a_process_that_is_being_killed_is_not_taken_for_alive(
    mount: LoopMount, tmp_path: Path
) -> None:
    """It waits inside the frozen filesystem and dies when that is thawed."""
    code = "import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY), b'')"
    file = mount.path / "waiting"
    file.touch()
    mount.freeze()
    with subprocess.Popen([sys.executable, "-ISc", code, str(file)]) as process:
        stat = Path(f"/proc/{process.pid}/stat")
        await_true(lambda: stat.read_text().rpartition(")")[2].split()[0] == "D")
        start = stat.read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (tmp_path / "freeze-1").write_text(
            f"vmtpy freeze marker 1\nboot {boot}\nprocess {process.pid} {start}\n"
            f"filesystem {mount.number} {mount.path} {mount.fs}\nend\n"
        )
        [result] = _core.thaw_from_markers(_core.real_system(), tmp_path)
        assert result.result == Rescue.REFUSED
        process.kill()
        [result] = _core.thaw_from_markers(_core.real_system(), tmp_path)
        assert result.result == Rescue.THAWED
    assert not markers(tmp_path)
