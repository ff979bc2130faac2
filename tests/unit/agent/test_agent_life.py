"""The end of an agent as an object, whoever lets go of it: with its loop at work in a thread."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest
from support.patience import PATIENCE
from support.rig import KIND, Rig, State

from vmtpy import _core, _host
from vmtpy.errors import SystemCallError


def options(withdraw: list[str] | None = None, patience: float = 5.0) -> _core.AgentOptions:
    return _core.AgentOptions(
        poll_min=0.001,
        poll_max=0.01,
        poll_busy=0.002,
        announce=[],
        withdraw=withdraw or [],
        patience=patience,
    )


def an_agent() -> tuple[_host.Device, _core.Agent]:
    device = _host.Device(_core.SteadyClock())
    return device, _core.Agent(_host.EmulatedBackdoor(device), _core.SteadyClock(), options())


def test_other_threads_go_on_while_an_agent_ends() -> None:
    """Its loop says good-bye to a host that does not answer until another thread has run."""
    base = f"@vmtpy-life-{os.getpid()}"
    device = _host.Device(_core.SteadyClock())
    service = _host.VsockService(device, base)  # to which no connection comes through
    dialer = _host.UnixDialer(base)
    dialer.hold(True)
    transports = _core.Transports(
        _core.AbsentBackdoor(),
        dialer,
        _core.SteadyClock(),
        preference=_core.Preference.VSOCK,
        connect=20.0,
    )
    agent = _core.Agent(transports, _core.SteadyClock(), options(["log bye"], patience=20.0))
    agent.start()
    began = threading.Event()
    went_on = threading.Event()

    def run() -> None:
        began.wait()
        went_on.set()
        dialer.hold(False)

    other = threading.Thread(target=run)
    other.start()
    began.set()
    del agent
    went_on_before_its_end = went_on.is_set()
    other.join()
    assert went_on_before_its_end
    del service


def test_a_fork_that_lets_go_of_its_copy_does_not_stop_the_parents_agent() -> None:
    device, agent = an_agent()
    agent.start()
    child = os.fork()
    if child == 0:
        agent.request_stop()
        del agent
        gc.collect()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    polls = agent.status().polls
    deadline = time.monotonic() + PATIENCE
    while agent.status().polls <= polls + 5:
        assert time.monotonic() < deadline, "the parent's agent has stopped"
        time.sleep(0.001)
    device.send_command("ping")


class Cycle:
    """What the garbage collector has to find, and so a fork may take along."""

    def __init__(self, held: object) -> None:
        self.held, self.me = held, self


def test_a_fork_collects_what_had_threads_and_its_memory_stays_whole() -> None:
    """The threads that ended unjoined are not in the fork, whose new threads get their stacks."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        base = f"@vmtpy-fork-{os.getpid()}"
        device = _host.Device(_core.SteadyClock())
        services = [_host.VsockService(device, f"{base}-{number}") for number in range(5)]
        Cycle([_host.VsockService(device, f"{base}-garbage-{number}") for number in range(5)])
        agents = [an_agent()[1] for _ in range(5)]
        for agent in agents:
            agent.start()
            agent.request_stop()
            while (event := agent.next_event(10)) and event.kind != _core.AgentEvent.Kind.STOPPED:
                pass
        Cycle(agents)
        del agents, agent, event
        child = os.fork()
        if child == 0:
            gc.collect()
            for _ in range(20):
                thread = threading.Thread(target=gc.collect)
                thread.start()
                thread.join()
            os._exit(0)
        _, status = os.waitpid(child, 0)
    finally:
        if enabled:
            gc.enable()
    assert os.waitstatus_to_exitcode(status) == 0
    assert all(service.connections() == 0 for service in services)  # their threads answer


@pytest.mark.parametrize("room", range(4))
def test_without_descriptors_none_is_lost(room: int) -> None:
    device = _host.Device(_core.SteadyClock())
    backdoor, clock, some = _host.EmulatedBackdoor(device), _core.SteadyClock(), options()
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free(room), hard))
    try:
        with pytest.raises(SystemCallError, match="Too many open files"):
            _core.Agent(backdoor, clock, some)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert descriptors() <= before  # an earlier test's may still be closed


def first_free(room: int) -> int:
    """The limit that leaves room for so many more."""
    taken = [os.dup(0) for _ in range(room + 1)]
    for line in taken:
        os.close(line)
    return taken[-1]


def descriptors() -> set[str]:
    """What the open ones are; the one that lists them is not there any more."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(f"{entry.name}: {entry.readlink()}")
    return {name for name in found if "/fd" not in name}


# --- the first reason stands ---


def test_an_abort_that_comes_late_does_not_replace_the_reason() -> None:
    rig = Rig(timeout=5)
    rig.freeze()
    rig.agent.request_stop()
    rig.until(lambda: rig.agent.backup_state == State.FINISHING)
    rig.command("vmbackup.abort")
    assert rig.take(KIND.ENDED).record.error == "the agent was told to stop"


def test_an_abort_does_not_replace_the_reason_while_python_is_waited_for() -> None:
    rig = Rig()
    rig.command("vmbackup.start 1")
    rig.take(KIND.START)
    rig.device.answer_with(b"vmbackup.eventSet req.keepAlive", b"0 no")
    rig.turn(1.1)
    assert rig.agent.backup_state == State.CANCELLED
    assert rig.command("vmbackup.abort") == b"OK "
    rig.agent.refuse(_core.BackupCode.SCRIPT, "interrupted")
    record = rig.take(KIND.ENDED).record
    assert record.error == "the host refused req.keepAlive: no"


def test_a_host_that_has_gone_is_named_once_whatever_else_it_is_told() -> None:
    rig = Rig()
    rig.command("vmbackup.start 1")
    rig.device.answer_with(b"vmbackup.eventSet", b"0 no", times=0)
    for _ in range(3):
        rig.turn(1.1)
    rig.agent.refuse(_core.BackupCode.SCRIPT, "interrupted")
    rig.until(lambda: rig.agent.backup_state == State.FINISHING)
    lines = []
    while event := rig.agent.next_event(0):
        lines.append(event.text)
    assert [line for line in lines if line.startswith("the host ")] == [
        "the host refused req.keepAlive: no"
    ]


# --- vmtpy.freeze() ---


def test_a_freeze_that_is_interrupted_while_it_thaws_returns_when_it_has_thawed() -> None:
    from vmtpy._freeze import Freeze

    disk = _host.SimulatedDisk(["/srv"])
    with tempfile.TemporaryDirectory() as directory:
        stopping = _host.StoppingSystem(disk, f"{directory}/places")
        stopping.stop("before thaw")
        session = _core.FreezeSession(
            stopping,
            None,
            disk.filesystems(),
            _core.FreezeOptions(guardian=False, expedite_rcu=False, run_directory=directory),
        )

        def interrupt() -> None:
            while not stopping.stopped("before thaw"):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)  # in which it would have come back
            stopping.let_go("before thaw")

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        other = threading.Thread(target=interrupt)
        try:
            with pytest.raises(KeyboardInterrupt), Freeze(session):
                other.start()
            assert not disk.frozen("/srv")
        finally:
            other.join()
            signal.signal(signal.SIGINT, before)
