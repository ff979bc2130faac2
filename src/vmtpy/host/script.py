"""Plays the host's part in a quiesced snapshot: start, wait for the commit, take the snapshot,
done.

It works on an emulated Device, as ESXi does, and reports what the guest did and when.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmtpy._host import MessageKind

if TYPE_CHECKING:
    from vmtpy._host import Device, TranscriptEntry
    from vmtpy.host.listener import Follower, Listener
    from vmtpy.host.recording import RecordedMessage

START = b"vmbackup.start"
START_WITH_OPTIONS = b"vmbackup.startWithOpts"
SNAPSHOT_DONE = b"vmbackup.snapshotDone"
ABORT = b"vmbackup.abort"
# Seconds by which the answer to snapshotDone may come after req.done.
_LAST_REPLY = 5.0
_EVENT = b"vmbackup.eventSet "

# The commands that a host sends when tools first contact it, whereupon they announce themselves.
GREETING = (b"reset", b"Capabilities_Register")


class BackupOutcome(enum.Enum):
    """How a backup ended, as the host sees it."""

    DONE = "done"  # the snapshot is good
    REFUSED = "refused"  # the guest refused the start
    FAILED = "failed"  # the guest reported an error or gave up
    ABORTED = "aborted"  # on the host's request
    ROLLED_BACK = "rolled back"  # the guest had thawed before snapshotDone
    SNAPSHOT_FAILED = "snapshot failed"  # on the host's side
    TIMEOUT = "timeout"  # the guest did not send req.done in time
    LOST = "lost"  # the guest has ended


@dataclass(frozen=True, slots=True)
class BackupEvent:
    """One `vmbackup.eventSet` of the guest.

    Attributes:
        time: the time at which it arrived, on time.monotonic().
        name: the name, as "prov.snapshotCommit".
        code: 0 for success.
        text: the text after the code, for people.
    """

    time: float
    name: str
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """The host's request for a backup.

    Attributes:
        snapshot: called between the guest's commit and snapshotDone; it raises if it fails.
        volumes: paths or disk UUIDs that are appended to the start command; "" for none.
        options: the XDR body of vmbackup.startWithOpts, which replaces vmbackup.start; b"" for
            none.
        abort_after: the seconds after the start at which the host aborts; None for never.
        never_done: whether the host never sends snapshotDone.
        timeout: the seconds from the start to req.done.
    """

    snapshot: Callable[[], object] | None = None
    volumes: str = ""
    options: bytes = b""
    abort_after: float | None = None
    never_done: bool = False
    timeout: float = 900.0


@dataclass(slots=True)
class BackupResult:
    """The result of a backup. Times are seconds of time.monotonic(); None for a step not reached.

    Attributes:
        outcome: how the backup ended.
        error: the error message of the guest or of the host.
        start: the time at which the start command was sent.
        received: the time at which the guest received it.
        reset: the time of the guest's event that it begins.
        commit: the time of the guest's event that all is frozen.
        snapshot_end: the time at which the snapshot had been taken.
        done_sent: the time at which snapshotDone was sent.
        done_reply: the guest's answer to snapshotDone.
        done: the time of the guest's event that it has ended.
        abort_sent: the time at which abort was sent.
        events: all events of the guest.
    """

    # The first fields are those that a test's failed assertion still shows.
    outcome: BackupOutcome = BackupOutcome.TIMEOUT
    error: str = ""
    start: float = 0.0
    received: float | None = None
    reset: float | None = None
    commit: float | None = None
    snapshot_end: float | None = None
    done_sent: float | None = None
    done_reply: str | None = None
    done: float | None = None
    abort_sent: float | None = None
    events: list[BackupEvent] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Whether the snapshot is good."""
        return self.outcome is BackupOutcome.DONE


Notify = Callable[[str, float], None]


def parse_event(entry: TranscriptEntry | RecordedMessage) -> BackupEvent | None:
    """The backup event in a message; None for another message or one that the host refused."""
    if entry.kind != MessageKind.RPCI or not entry.request.startswith(_EVENT):
        return None
    if not entry.reply.startswith(b"1"):
        return None
    name, _, rest = entry.request[len(_EVENT) :].partition(b" ")
    code, _, text = rest.partition(b" ")
    return BackupEvent(
        time=entry.time,
        name=name.decode("utf-8", "backslashreplace"),
        code=int(code) if code.isdigit() else -1,
        text=text.decode("utf-8", "backslashreplace"),
    )


def greet(device: Device) -> None:
    """Makes tools announce themselves, as a host does when they first contact it."""
    for command in GREETING:
        device.send_command(command)


def run_backup(
    device: Device,
    listener: Listener,
    request: BackupRequest | None = None,
    notify: Notify | None = None,
) -> BackupResult:
    """Plays the host's part in one quiesced snapshot. Blocks until req.done or the timeout.

    Args:
        device: the emulated VMware, which a guest's tools should have contacted.
        listener: the running listener on that device.
        request: the request; None for a backup without options and without a snapshot.
        notify: called at the begin of each phase with its name and its time on time.monotonic().

    Returns:
        The result; a failed backup raises no exception.
    """
    backup = _Backup(device, request or BackupRequest(), notify or (lambda _name, _time: None))
    follower = listener.follow()
    try:
        return backup.run(follower)
    finally:
        listener.leave(follower)


class _Backup:
    def __init__(self, device: Device, request: BackupRequest, notify: Notify) -> None:
        self.device = device
        self.request = request
        self.notify = notify
        self.result = BackupResult()
        self.command = b""  # the last one that the guest took: the next reply belongs to it
        self.ending = False  # snapshotDone or abort is on its way
        self.lock = threading.Lock()

    def run(self, follower: Follower) -> BackupResult:
        volumes = f" {self.request.volumes}" if self.request.volumes else ""
        command = START + b" 1" + volumes.encode()
        if self.request.options:
            command = START_WITH_OPTIONS + b" " + self.request.options
        self.result.start = self.send(command, "start")
        abort = None
        if self.request.abort_after is not None:
            abort = threading.Timer(self.request.abort_after, self.abort)
            abort.daemon = True
            abort.start()
        try:
            self.follow(follower, self.result.start + self.request.timeout)
        finally:
            if abort:
                abort.cancel()
        return self.result

    def follow(self, follower: Follower, deadline: float) -> None:
        while not self.over():
            if self.result.done is not None:
                deadline = min(deadline, self.result.done + _LAST_REPLY)
            entry = follower.next(deadline)
            if entry is None:
                break
            if entry.kind == MessageKind.TCLO_COMMAND:
                self.command = entry.request
                if self.command.startswith(START):
                    self.result.received = entry.time
            elif entry.kind == MessageKind.TCLO_REPLY:
                self.reply(entry.request.decode("utf-8", "backslashreplace"))
            elif event := parse_event(entry):
                self.event(event)
        self.conclude(follower.ended)

    def over(self) -> bool:
        """True after req.done, when snapshotDone, if it was sent, has been answered as well."""
        if self.result.outcome is BackupOutcome.REFUSED:
            return True
        answered = self.result.done_sent is None or self.result.done_reply is not None
        return self.result.done is not None and answered

    def conclude(self, guest_ended: bool) -> None:
        result = self.result
        if not self.over():
            outcome = BackupOutcome.LOST if guest_ended else BackupOutcome.TIMEOUT
            self.fail(outcome, "the guest has ended" if guest_ended else "no req.done in time")
        elif result.done_reply and not result.done_reply.startswith("OK"):
            # The guest was no longer frozen when the snapshot had been taken.
            self.fail(BackupOutcome.ROLLED_BACK, result.done_reply)
            result.outcome = BackupOutcome.ROLLED_BACK
            self.notify("rolled back", time.monotonic())
        elif result.abort_sent is not None:
            self.fail(BackupOutcome.ABORTED, "aborted by the host")
        elif result.done_sent is None:
            self.fail(BackupOutcome.FAILED, "req.done before snapshotDone")
        elif not result.error:
            result.outcome = BackupOutcome.DONE

    def reply(self, reply: str) -> None:
        command, self.command = self.command, b""
        if command.startswith(SNAPSHOT_DONE):
            self.result.done_reply = reply
        elif command.startswith(START) and not reply.startswith("OK"):
            self.fail(BackupOutcome.REFUSED, reply)

    def event(self, event: BackupEvent) -> None:
        self.result.events.append(event)
        if event.name == "reset":
            self.result.reset = event.time
            self.notify("guest begins", event.time)
        elif event.name in ("req.error", "req.aborted"):
            by_us = event.name == "req.aborted" and self.result.abort_sent is not None
            self.fail(BackupOutcome.ABORTED if by_us else BackupOutcome.FAILED, event.text)
            self.notify("guest gives up", event.time)
        elif event.name == "prov.snapshotCommit":
            self.result.commit = event.time
            self.notify("frozen", event.time)
            self.take_snapshot()
        elif event.name == "req.done":
            self.result.done = event.time
            self.notify("done", event.time)

    def take_snapshot(self) -> None:
        try:
            if self.request.snapshot:
                self.request.snapshot()
        except Exception as error:  # whatever it is: the guest must not stay frozen
            self.fail(BackupOutcome.SNAPSHOT_FAILED, str(error))
            self.abort()
            return
        self.result.snapshot_end = time.monotonic()
        self.notify("snapshot taken", self.result.snapshot_end)
        if self.request.never_done:
            return
        with self.lock:
            if not self.ending:
                self.ending = True
                self.result.done_sent = self.send(SNAPSHOT_DONE, "snapshotDone")

    def abort(self) -> None:
        with self.lock:
            if not self.ending:
                self.ending = True
                self.result.abort_sent = self.send(ABORT, "abort")

    def send(self, command: bytes, phase: str) -> float:
        now = time.monotonic()
        self.device.send_command(command)
        self.notify(phase, now)
        return now

    def fail(self, outcome: BackupOutcome, error: str) -> None:
        """The first failure counts."""
        if not self.result.error:
            self.result.outcome = outcome
            self.result.error = error or outcome.value
