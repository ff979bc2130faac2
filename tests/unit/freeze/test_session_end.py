"""Who tells a session to end, when, and what counts then; who only waits for it."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from support.bench import Bench
from support.patience import PATIENCE, await_true

from vmtpy._core import Outcome, Phase
from vmtpy._host import FaultySystem, SimulatedDisk, StoppingSystem

if TYPE_CHECKING:
    from pathlib import Path


class Stopped:
    """A session that stands right before it writes its marker: nothing is frozen yet."""

    def __init__(self, directory: Path) -> None:
        self.disk = SimulatedDisk(["/a"])
        self.system = FaultySystem(self.disk)
        self.stops = StoppingSystem(self.system, str(directory / "stops"))
        self.stops.stop("before create_file")
        self.bench = Bench(disk=self.disk, system=self.stops)
        await_true(lambda: self.stops.stopped("before create_file"))

    def go_on(self) -> None:
        self.stops.let_go("before create_file")


def test_an_abort_before_the_first_freeze_freezes_nothing(tmp_path: Path) -> None:
    stopped = Stopped(tmp_path)
    stopped.bench.session.abort("enough")
    stopped.go_on()
    record = stopped.bench.end()
    assert (record.outcome, record.error) == (Outcome.ABORTED, "enough")
    assert record.first_freeze == 0
    assert "freeze" not in stopped.system.calls()


def test_an_abort_after_a_release_changes_nothing(tmp_path: Path) -> None:
    stopped = Stopped(tmp_path)
    stopped.bench.session.release()
    stopped.bench.session.abort("too late")
    stopped.go_on()
    assert stopped.bench.end().error == "released before everything was frozen"


def test_an_abort_thaws_level_by_level_at_once_although_another_is_stuck_in_its_freeze() -> None:
    """The clock stands still: nothing of this waits for a time limit."""
    machine = FaultySystem(disk := SimulatedDisk(["/a", "/b", "/c"]))
    disk.hold("/c")
    bench = Bench(disk=disk, system=machine, levels={"/b": 1, "/c": 2}, filesystem_timeout=60)
    await_true(lambda: machine.calls().count("freeze") == 3)
    bench.session.abort("enough")
    await_true(lambda: bench.frozen() == [])
    disk.let_go("/c")
    assert bench.end().outcome == Outcome.ABORTED
    await_true(lambda: bench.markers() == [])
    assert bench.frozen() == []


def test_a_directory_is_not_closed_while_its_filesystem_is_being_synced() -> None:
    """Its number may be another file's when the syncfs begins."""
    machine = FaultySystem(disk := SimulatedDisk(["/a", "/b"]))
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, system=machine)
    await_true(lambda: machine.calls().count("sync") == 2)
    bench.session.abort("enough")
    bench.end()
    assert machine.calls().count("close") == 1  # the other one, whose mount is free now
    disk.let_sync_go("/a")
    await_true(lambda: machine.calls().count("close") == 2)


def test_a_phase_that_was_passed_over_is_not_waited_for() -> None:
    machine = FaultySystem(disk := SimulatedDisk(["/a"]))
    machine.fail(1, errno.EIO, for_good=True, call="freeze")
    bench = Bench(disk=disk, system=machine)
    bench.reach(Phase.ENDED)
    assert bench.session.wait_for(Phase.FROZEN, 0)


def test_a_fork_that_lets_go_of_its_copy_neither_thaws_nor_waits() -> None:
    bench = Bench("/a")
    bench.reach(Phase.FROZEN)
    child = os.fork()
    if child == 0:
        del bench.session
        os._exit(0)
    deadline = time.monotonic() + PATIENCE
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, 9)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.005)
    assert ended[1] == 0
    assert bench.session.phase() == Phase.FROZEN
    bench.session.release()
    assert bench.end().outcome == Outcome.RELEASED
