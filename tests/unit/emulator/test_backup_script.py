"""The host's part in a quiesced snapshot, against guests that play theirs well or badly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.patience import PATIENCE

from vmtpy._core import Rpci, SteadyClock, Tclo
from vmtpy._host import Device, EmulatedBackdoor
from vmtpy.host.listener import Listener
from vmtpy.host.script import (
    BackupOutcome,
    BackupRequest,
    BackupResult,
    parse_event,
    run_backup,
)

Answer = Callable[["Guest", bytes], bytes]


class Guest:
    """Tools in a thread: `answer` is given each command and returns the reply."""

    def __init__(self, device: Device, answer: Answer) -> None:
        self.backdoor = EmulatedBackdoor(device)
        self.rpci = Rpci(self.backdoor)
        self.answer = answer
        self.after: list[bytes] = []  # events to send when the reply is on its way
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        tclo = Tclo(self.backdoor)
        while not self.stop.is_set():
            command = tclo.poll()
            if command is None:
                for event in self.after:
                    self.rpci.call(b"vmbackup.eventSet " + event)
                self.after.clear()
                self.stop.wait(0.001)
                continue
            tclo.answer(self.answer(self, command))

    def event(self, text: bytes) -> None:
        assert self.rpci.call(b"vmbackup.eventSet " + text)[0]


@contextmanager
def guest(answer: Answer) -> Iterator[tuple[Device, Listener]]:
    device = Device(SteadyClock())
    made = Guest(device, answer)
    with Listener(device) as listener:
        made.thread.start()
        assert device.wait_for_tools(time.monotonic() + PATIENCE)
        yield device, listener
        made.stop.set()
        made.thread.join(PATIENCE)


def backup(answer: Answer, request: BackupRequest | None = None) -> BackupResult:
    with guest(answer) as (device, listener):
        return run_backup(device, listener, request)


def good(self: Guest, command: bytes) -> bytes:
    if command.startswith(b"vmbackup.start"):
        self.after = [b"reset 0 ", b"prov.snapshotCommit 0 "]
    elif command == b"vmbackup.snapshotDone":
        self.event(b"req.done 0 ")
    elif command == b"vmbackup.abort":
        self.after = [b"req.aborted 4 ", b"req.done 0 "]
    return b"OK "


def test_a_good_backup_has_all_its_times_in_order() -> None:
    taken: list[float] = []
    result = backup(good, BackupRequest(snapshot=lambda: taken.append(time.monotonic())))
    assert result.outcome is BackupOutcome.DONE, result
    assert result.succeeded
    times = [
        result.start,
        result.received,
        result.reset,
        result.commit,
        taken[0],
        result.snapshot_end,
        result.done_sent,
        result.done,
    ]
    assert times == sorted(times)  # type: ignore[type-var]
    assert [event.name for event in result.events] == ["reset", "prov.snapshotCommit", "req.done"]


def test_the_volumes_follow_the_start() -> None:
    commands: list[bytes] = []

    def answer(self: Guest, command: bytes) -> bytes:
        commands.append(command)
        return good(self, command)

    backup(answer, BackupRequest(volumes="/srv /var"))
    assert commands[0] == b"vmbackup.start 1 /srv /var"


def test_a_refused_start_ends_the_backup_with_the_guests_words() -> None:
    result = backup(lambda _guest, _command: b"ERROR Quiesce operation already in progress.")
    assert result.outcome is BackupOutcome.REFUSED
    assert result.error == "ERROR Quiesce operation already in progress."


def test_an_error_of_the_guest_is_the_result() -> None:
    def answer(self: Guest, command: bytes) -> bytes:
        self.after = [b"reset 0 ", b"req.error 3 FIFREEZE /srv: EIO", b"req.done 0 "]
        return b"OK "

    result = backup(answer)
    assert (result.outcome, result.error) == (BackupOutcome.FAILED, "FIFREEZE /srv: EIO")
    assert result.events[1].code == 3


def test_a_snapshot_that_fails_has_the_host_abort() -> None:
    def snapshot() -> None:
        raise OSError("no space on the datastore")

    result = backup(good, BackupRequest(snapshot=snapshot))
    assert result.outcome is BackupOutcome.SNAPSHOT_FAILED
    assert result.error == "no space on the datastore"
    assert result.abort_sent is not None
    assert result.done_sent is None


def test_an_abort_of_the_host_is_no_failure_of_the_guest() -> None:
    def answer(self: Guest, command: bytes) -> bytes:
        if command.startswith(b"vmbackup.start"):
            self.after = [b"reset 0 "]
            return b"OK "
        return good(self, command)

    result = backup(answer, BackupRequest(abort_after=0.05))
    assert result.outcome is BackupOutcome.ABORTED
    assert result.abort_sent is not None
    assert result.abort_sent - result.start >= 0.05


def test_a_guest_that_thawed_by_itself_has_the_snapshot_rolled_back() -> None:
    """The limit strikes while the host takes its snapshot: the late snapshotDone gets an error."""
    thawed = threading.Event()

    def answer(self: Guest, command: bytes) -> bytes:
        if command.startswith(b"vmbackup.start"):
            self.after = [b"prov.snapshotCommit 0 ", b"req.aborted 4 limit", b"req.done 0 "]
            thawed.set()
            return b"OK "
        return b"ERROR Error: no quiesce operation in progress"

    result = backup(answer, BackupRequest(snapshot=lambda: thawed.wait(PATIENCE)))
    assert result.outcome is BackupOutcome.ROLLED_BACK
    assert result.done_reply == "ERROR Error: no quiesce operation in progress"
    assert result.error == "limit"


def test_a_host_that_forgets_snapshot_done_hears_of_the_guests_limit() -> None:
    def answer(self: Guest, command: bytes) -> bytes:
        self.after = [b"prov.snapshotCommit 0 ", b"req.aborted 4 limit", b"req.done 0 "]
        return b"OK "

    result = backup(answer, BackupRequest(never_done=True))
    assert (result.outcome, result.error) == (BackupOutcome.FAILED, "limit")
    assert result.done_sent is None


def test_a_guest_that_never_ends_runs_into_the_timeout() -> None:
    result = backup(lambda _guest, _command: b"OK ", BackupRequest(timeout=0.1))
    assert result.outcome is BackupOutcome.TIMEOUT


def test_the_end_of_the_guest_ends_the_backup() -> None:
    device = Device(SteadyClock())
    results: list[BackupResult] = []
    with Listener(device) as listener:
        thread = threading.Thread(target=lambda: results.append(run_backup(device, listener)))
        thread.start()
    thread.join(PATIENCE)
    assert results[0].outcome is BackupOutcome.LOST


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        (b"vmbackup.eventSet reset 0 ", ("reset", 0, "")),
        (b"vmbackup.eventSet req.error 3 a b", ("req.error", 3, "a b")),
        (b"vmbackup.eventSet odd", ("odd", -1, "")),
        (b"log vmbackup.eventSet reset 0", None),
    ],
)
def test_events_are_read_from_the_transcript(
    request_text: bytes, expected: tuple[str, int, str] | None
) -> None:
    device = Device(SteadyClock())
    Rpci(EmulatedBackdoor(device)).call(request_text)
    (entry,) = device.take_transcript()
    event = parse_event(entry)
    assert (event and (event.name, event.code, event.text)) == expected


def test_an_event_that_the_host_refused_is_none() -> None:
    device = Device(SteadyClock())
    device.answer_with("vmbackup.eventSet", "0 Unknown command")
    Rpci(EmulatedBackdoor(device)).call(b"vmbackup.eventSet reset 0 ")
    assert parse_event(device.take_transcript()[0]) is None
