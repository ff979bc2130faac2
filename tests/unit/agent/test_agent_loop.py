"""What wakes the loop's thread and what lets it sleep, and what it waits for when it is to stop."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.patience import FAR, PATIENCE, await_true, fastest
from support.rig import EVENT, KIND, Rig, State

from vmtpy import _core, _host

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running() -> Iterator[Rig]:
    """An agent on vsock with its own thread; the clock stands still."""
    rig = Rig(vsock=True, filesystem_timeout=3600.0)
    rig.agent.start()
    try:
        assert rig.device.wait_for_tools(time.monotonic() + PATIENCE)
        yield rig
    finally:
        rig.agent.request_stop()
        await_event(rig, KIND.STOPPED)


def await_event(rig: Rig, kind: object) -> None:
    def come() -> bool:
        event = rig.agent.next_event(1)
        return event is not None and event.kind == kind

    await_true(come)


def await_told(rig: Rig, request: bytes) -> None:
    """Waits until the host has heard it."""
    await_true(lambda: any(entry.request == request for entry in rig.device.take_transcript()))


def time_on_a_processor() -> float:
    """Seconds that threads with the loop's name have had so far."""
    spent = 0
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # one of an earlier test, which has ended meanwhile
            if (thread / "comm").read_text() == "vmtpy-loop\n":
                spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


def test_a_freeze_that_has_come_about_wakes_it() -> None:
    with running() as rig:
        rig.disk.hold("/srv")
        rig.device.send_command("vmbackup.start 1")
        await_event(rig, KIND.START)
        rig.arm()
        await_true(lambda: rig.agent.backup_state == State.FREEZING)
        rig.clock.jump(-3600)  # from its next turn on nothing is due for an hour
        time.sleep(1.5)  # it takes that turn for the keep-alive that was due within a second
        rig.disk.let_go("/srv")
        await_told(rig, EVENT + b"prov.snapshotCommit 0 ")
        rig.device.send_command("vmbackup.snapshotDone")
        await_event(rig, KIND.ENDED)
        rig.agent.finish()
        await_true(lambda: rig.agent.backup_state == State.IDLE)


def test_the_end_of_a_freeze_wakes_a_python_that_waits_for_it() -> None:
    rig = Rig()
    rig.freeze()
    assert rig.agent.next_event(0) is None  # whatever is queued is held
    found: list[_core.AgentEvent | None] = []
    python = threading.Thread(target=lambda: found.append(rig.agent.next_event(3600)), daemon=True)
    python.start()
    time.sleep(0.2)  # by now it sleeps
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    python.join(PATIENCE)
    assert len(found) == 1, "nothing has woken it"
    if found[0] is None or found[0].kind != KIND.ENDED:
        rig.take(KIND.ENDED)  # what was held before it came first


def test_it_sleeps_while_an_answer_is_owed_although_the_host_has_spoken() -> None:
    with running() as rig:
        rig.device.send_command("OS_Halt")
        await_event(rig, KIND.COMMAND)
        rig.device.send_command("ping")

        def spent() -> float:
            """In a second. What a host of virtual machines takes meanwhile may be counted, too."""
            before = time_on_a_processor()
            time.sleep(1)
            return time_on_a_processor() - before

        assert fastest(spent, 0.03) < 0.03
        rig.agent.answer(1, b"OK ")
        rig.agent.settle(1)
        await_true(lambda: len(rig.device.take_transcript()) > 0)


def test_told_to_stop_it_waits_for_a_freeze_in_the_kernel_whatever_that_takes() -> None:
    rig = Rig(filesystem_timeout=3600.0)
    rig.disk.hold("/srv")
    system = _host.FaultySystem(rig.disk)
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    rig.arm(system)
    rig.until(lambda: "freeze" in system.calls())
    rig.agent.request_stop()
    for _ in range(120):
        rig.turn(1.0)
    events = []
    while event := rig.agent.next_event(0):
        events.append(event.kind)
    assert KIND.STOPPED not in events
    assert rig.agent.backup_state == State.ABORTING
    rig.disk.let_go("/srv")
    rig.take(KIND.STOPPED)
    assert not rig.disk.frozen("/srv")


def test_the_status_is_frozen_while_a_freeze_of_a_backup_that_has_ended_is_in_the_kernel() -> None:
    rig = Rig(filesystem_timeout=1.0)
    await_true(lambda: not rig.agent.status().frozen)  # nor is anything of an earlier test
    rig.disk.hold("/srv")
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    rig.arm()
    assert rig.finish().error.startswith("FIFREEZE /srv: not frozen within 1 s")
    assert rig.agent.backup_state == State.IDLE
    assert rig.agent.status().frozen
    assert rig.agent.status().busy_since != 0
    rig.disk.let_go("/srv")
    await_true(lambda: not rig.agent.status().frozen)
    assert not rig.disk.frozen("/srv")


def test_nobody_sees_it_idle_before_the_host_has_heard_the_end() -> None:
    """The host takes its time with the reply to req.done."""
    rig = Rig(vsock=True, alone=True, patience=FAR)
    rig.until(lambda: rig.agent.status().transport == "vsock")
    rig.freeze()
    assert rig.command("vmbackup.snapshotDone") == b"OK "
    rig.take(KIND.ENDED)
    rig.service.misbehave(_host.VsockFault.SILENCE, port=0, times=1)
    rig.agent.finish()
    turn = threading.Thread(target=rig.agent.step)
    turn.start()
    await_told(rig, EVENT + b"req.done 0 ")
    assert rig.agent.backup_state == State.FINISHING
    rig.service.drop_connections()
    turn.join(PATIENCE)
    rig.until(lambda: rig.agent.backup_state == State.IDLE)


def test_a_turn_that_a_slow_host_holds_is_not_taken_for_a_slow_guest() -> None:
    """The host takes its time with the reply to an announcement."""
    rig = Rig(vsock=True, alone=True, patience=FAR)
    rig.until(lambda: rig.agent.status().transport == "vsock")
    rig.turn()
    told = threading.Event()

    def turn_until_told() -> None:
        while not told.is_set():
            rig.agent.step()

    rig.service.misbehave(_host.VsockFault.SILENCE, port=976, times=1)
    rig.device.send_command("Capabilities_Register")
    turns = threading.Thread(target=turn_until_told, daemon=True)
    turns.start()
    await_told(rig, b"log hello")
    told.set()
    rig.clock.advance(10.0)
    rig.service.drop_connections()
    turns.join(PATIENCE)
    assert not turns.is_alive()
    assert rig.command("ping") == b"OK "
    assert b"update.tools.health guest_slow" not in rig.requests()


def test_its_status_says_frozen_while_a_turn_is_still_under_way() -> None:
    """The host takes its time with the reply to the commit."""
    rig = Rig(vsock=True, alone=True, patience=FAR, filesystem_timeout=3600.0)
    rig.until(lambda: rig.agent.status().transport == "vsock")
    rig.disk.hold("/srv")
    assert rig.command("vmbackup.start 1") == b"OK "
    rig.take(KIND.START)
    rig.arm()
    rig.until(lambda: rig.agent.backup_state == State.FREEZING)
    rig.disk.let_go("/srv")
    assert rig.session is not None
    assert rig.session.wait_for(_core.Phase.FROZEN, PATIENCE)
    rig.service.misbehave(_host.VsockFault.SILENCE, port=0, times=1)
    turn = threading.Thread(target=rig.agent.step)
    turn.start()
    await_told(rig, EVENT + b"prov.snapshotCommit 0 ")
    status = rig.agent.status()
    assert status.backup == State.FROZEN
    assert status.busy_since != 0
    rig.service.drop_connections()
    turn.join(PATIENCE)
    rig.session.abort("the test is over")
