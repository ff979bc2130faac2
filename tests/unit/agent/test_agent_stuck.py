"""Python that does not answer the start of a backup, or answers when nobody waits any more."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE
from support.rig import KIND, Rig, State

from vmtpy import _core, _host
from vmtpy.agent import Agent
from vmtpy.cli import status as command
from vmtpy.config import Config, GuestInfoConfig
from vmtpy.hooks import HookError, Hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PREPARE_PATIENCE = 180.0
LATE_ANSWERS: dict[str, Callable[[Rig], None]] = {
    "arm": Rig.arm,
    "skip": lambda rig: rig.agent.skip(30.0),
    "refuse": lambda rig: rig.agent.refuse(_core.BackupCode.SCRIPT, "cancelled"),
}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def log_lines(rig: Rig) -> list[str]:
    """What Python finds in its queue for the log; the rest of it is lost."""
    lines = []
    while event := rig.agent.next_event(0):
        if event.kind == KIND.LOG:
            lines.append(event.text)
    return lines


def begin(rig: Rig, state: State) -> None:
    """A backup that waits for Python, in this state."""
    rig.turn()
    assert rig.command("vmbackup.start 1") == b"OK "
    if state == State.CANCELLED:
        assert rig.command("vmbackup.abort") == b"OK "
    assert rig.agent.backup_state == state


@pytest.mark.parametrize("answer", LATE_ANSWERS)
@pytest.mark.parametrize("state", [State.PREPARING, State.CANCELLED], ids=lambda state: state.name)
def test_a_python_that_never_answers_is_given_up_and_refused_until_it_does(
    rig: Rig, state: State, answer: str
) -> None:
    begin(rig, state)
    begun = rig.clock.now()
    rig.turn(PREPARE_PATIENCE - 1)
    assert rig.agent.backup_state == state
    assert not rig.agent.status().stuck_since
    rig.turn(1)
    rig.turn()
    assert rig.agent.backup_state == State.IDLE
    told, done = rig.events()[-2:]
    assert done == b"req.done 0 "
    if state == State.PREPARING:
        assert told.startswith(
            b"req.aborted 4 Python is stuck: it has not answered the start of a "
        )
    else:
        assert told == b"req.aborted 4 aborted by the host"
    assert rig.agent.status().stuck_since == pytest.approx(begun, abs=0.1)
    refusal = rig.command("vmbackup.start 1")
    assert refusal.startswith(b"ERROR Error: Python is stuck: it has not answered the start of a ")
    assert refusal.endswith(b" s; restart the vmtpy service")

    rig.take(KIND.START)
    LATE_ANSWERS[answer](rig)
    rig.turn()
    assert rig.agent.backup_state == State.IDLE
    assert not rig.disk.frozen("/srv")
    assert rig.take(KIND.ENDED).record.outcome == _core.Outcome.ABORTED
    rig.agent.finish()
    rig.turn()
    assert not rig.agent.status().stuck_since
    assert rig.events()[-1] == done, "the host hears one end"
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    assert rig.finish().outcome == _core.Outcome.RELEASED


@pytest.mark.parametrize("state", [State.PREPARING, State.CANCELLED], ids=lambda state: state.name)
def test_the_log_says_once_that_python_is_stuck(rig: Rig, state: State) -> None:
    begin(rig, state)
    for _ in range(10):
        rig.turn(PREPARE_PATIENCE)
        rig.command("vmbackup.start 1")
    assert sum("Python is stuck" in line for line in log_lines(rig)) == 1


def test_the_end_of_a_backup_is_no_answer_to_its_start(rig: Rig) -> None:
    begin(rig, State.PREPARING)
    rig.turn(PREPARE_PATIENCE)
    rig.agent.finish()
    rig.turn()
    assert rig.command("vmbackup.start 1").startswith(b"ERROR Error: Python is stuck: ")


def test_a_python_that_works_through_many_slow_hooks_is_not_stuck(rig: Rig) -> None:
    begin(rig, State.PREPARING)
    for _ in range(20):
        rig.turn(PREPARE_PATIENCE - 1)
        assert rig.agent.preparing()
    rig.command("vmbackup.abort")
    for _ in range(20):  # hooks that have frozen already thaw
        rig.turn(PREPARE_PATIENCE - 1)
        assert not rig.agent.preparing()
    assert rig.agent.backup_state == State.CANCELLED
    rig.turn(PREPARE_PATIENCE)
    assert rig.agent.backup_state == State.IDLE


def test_a_new_patience_counts_at_once(rig: Rig) -> None:
    begin(rig, State.PREPARING)
    rig.agent.configure(
        _core.AgentOptions(
            poll_min=0.01,
            poll_max=0.5,
            poll_busy=0.002,
            announce=["log hello"],
            withdraw=[],
            prepare_patience=1000.0,
        )
    )
    rig.turn(999)
    assert rig.agent.backup_state == State.PREPARING
    rig.turn(1)
    assert rig.agent.backup_state == State.IDLE


def test_the_watchdog_starves_while_python_is_stuck(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    manager.setblocking(False)
    clock = _host.ManualClock()
    device = _host.Device(clock)
    options = _core.AgentOptions(
        poll_min=0.01,
        poll_max=0.5,
        poll_busy=0.002,
        announce=[],
        withdraw=[],
        notify_socket=address,
        watchdog=30.0,
    )
    agent = _core.Agent(_host.EmulatedBackdoor(device), clock, options)

    def turn(seconds: float) -> list[bytes]:
        clock.advance(seconds)
        agent.step()
        said = []
        while True:
            try:
                said.append(manager.recv(4096))
            except BlockingIOError:
                return said

    with manager:
        turn(0)
        device.send_command("vmbackup.start 1")
        turn(1)
        assert agent.backup_state == State.PREPARING
        assert b"WATCHDOG=1" in turn(PREPARE_PATIENCE - 1)
        assert turn(15) == [b"STATUS=Python is stuck: backups are refused"]
        assert turn(1000) == []
        agent.preparing()  # It is at work again, which takes its time.
        assert turn(15) == [b"STATUS=serving the host", b"WATCHDOG=1"]
        assert b"WATCHDOG=1" not in turn(PREPARE_PATIENCE)
        agent.refuse(_core.BackupCode.SCRIPT, "cancelled")
        assert b"WATCHDOG=1" in turn(0)


# --- the Python side ---


def test_hooks_show_that_they_are_at_work_before_each_that_thaws() -> None:
    seen: list[str] = []
    hooks = Hooks()

    @contextmanager
    def one() -> Iterator[None]:
        try:
            yield
        finally:
            seen.append("one")

    @contextmanager
    def two() -> Iterator[None]:
        try:
            yield
        finally:
            seen.append("two")

    @contextmanager
    def fails() -> Iterator[None]:
        raise RuntimeError("no")
        yield

    def looked_at() -> bool:
        if "alive" not in seen[-1:]:
            seen.append("alive")
        return False

    for hook in (one, two, fails):
        hooks.add(hook)
    with pytest.raises(HookError):
        hooks.freeze(cancelled=looked_at)
    assert seen == ["alive", "two", "alive", "one"]


def test_a_whole_agent_that_is_stuck_says_so_and_works_again_when_it_goes_on() -> None:
    """The status says who is stuck, and when Python goes on, its hooks are left."""
    go_on = threading.Event()
    held: list[str] = []
    disk = _host.SimulatedDisk(["/srv"])
    device = _host.Device(_core.SteadyClock())
    lines: list[str] = []

    def planner(_: _core.PlanRequest) -> _core.Plan:
        go_on.wait(60)
        return _core.Plan(disk.filesystems())

    agent = Agent(
        Config(guest_info=GuestInfoConfig(enabled=False)),
        log=lines.append,
        backdoor=_host.EmulatedBackdoor(device),
        system=disk,
        planner=planner,
        guardian=False,
    )

    @agent.hook
    @contextmanager
    def database() -> Iterator[None]:
        held.append("entered")
        try:
            yield
        finally:
            held.append("left")

    def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{agent.status()} {lines}"
            time.sleep(0.002)

    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        until(lambda: agent.status()["announced"])
        native = agent._native
        device.send_command("vmbackup.start 1")
        until(lambda: held)
        assert agent.status()["python_stuck_for"] is None
        native.configure(
            _core.AgentOptions(
                poll_min=0.01,
                poll_max=0.5,
                poll_busy=0.002,
                announce=[],
                withdraw=[],
                prepare_patience=0.05,
            )
        )
        until(lambda: agent.status()["python_stuck_for"] is not None)
        shown = dict(command.lines(agent.status()))
        assert shown["Python"].startswith("has not answered for ")
        assert shown["filesystems"] == "not frozen"
        go_on.set()
        until(lambda: held == ["entered", "left"])
        until(lambda: agent.status()["python_stuck_for"] is None)
        native.configure(agent._options(Config()))
        device.send_command("vmbackup.start 1")
        until(lambda: agent.status()["backup_state"] == "frozen")  # it has told the host
        device.send_command("vmbackup.snapshotDone")
        until(lambda: agent.status()["backup_state"] == "idle")
        assert held == ["entered", "left"] * 2
        assert sum("Python is stuck" in line for line in lines) >= 1
    finally:
        go_on.set()
        agent.stop()
        thread.join(PATIENCE)
    assert not disk.frozen("/srv")
