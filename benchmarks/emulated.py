"""Runs a guest agent under the emulated host: starts and greets it, takes snapshots, ends it."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vmtpy._core import SteadyClock
from vmtpy._host import BackdoorKind, Device, MessageKind, TrapHost, VsockService
from vmtpy.host.listener import Listener
from vmtpy.host.script import GREETING, BackupRequest, greet, run_backup

START_UP = 30.0  # seconds for an agent to speak to its host
TIMEOUT = 150.0  # seconds for one snapshot


class GuestError(Exception):
    """An agent failed to do a request; the text has its output."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One quiesced snapshot. Moments are seconds of time.monotonic().

    Attributes:
        asked: the host gave the start command to the channel (or the freeze was begun).
        received: the guest took it.
        commit: the host heard that all is frozen.
        taken: the host said snapshotDone (or the thaw was begun).
        done: the host heard req.done (or the thaw had ended).
        own: what the agent's own record says: milliseconds and the like, by name.
    """

    asked: float
    received: float
    commit: float
    taken: float
    done: float
    own: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EmulatedGuest:
    """A running agent whose tools have announced themselves.

    Attributes:
        launched: time.monotonic() when its command was started.
        seen: and when it first polled for commands.
        service: the host's side of vsock, if it listens there.
    """

    device: Device
    host: TrapHost
    listener: Listener
    log: Path
    launched: float
    seen: float
    service: VsockService | None = None

    @property
    def pid(self) -> int:
        """The process id of the agent."""
        return self.host.process()

    def snapshot(self, take: Callable[[], None] | None = None) -> Snapshot:
        """One quiesced snapshot as ESXi has it; `take` runs between commit and snapshotDone.

        Raises:
            GuestError: the guest did not confirm it.
        """
        request = BackupRequest(snapshot=take, timeout=TIMEOUT)
        result = run_backup(self.device, self.listener, request)
        if not result.succeeded:
            raise GuestError(f"{result.outcome.value}: {result.error}\n{text_of(self.log)}")
        assert result.received is not None
        assert result.commit is not None
        assert result.done_sent is not None
        assert result.done is not None
        return Snapshot(result.start, result.received, result.commit, result.done_sent, result.done)

    def kill(self) -> None:
        """Sends SIGKILL and waits for the end."""
        self.host.signal(signal.SIGKILL)
        self.host.wait(time.monotonic() + 10)


_ADDRESS = f"@vmtpy-bench-{secrets.token_hex(8)}"


def address() -> str:
    """The address on which an emulated host of this process listens in place of AF_VSOCK."""
    return _ADDRESS


@contextmanager
def emulated(
    command: list[str],
    shared: Path,
    *,
    vsock: bool = False,
    backdoor: BackdoorKind = BackdoorKind.FULL,
) -> Iterator[EmulatedGuest]:
    """Starts an agent under the emulated host; yields when it has answered the host's greeting.

    Args:
        command: the agent.
        shared: where its log is kept.
        vsock: the host listens on vsock, too.
        backdoor: and answers these of the backdoor's instructions.

    Raises:
        GuestError: it does not speak to its host.
    """
    device, log = Device(SteadyClock()), shared / "agent.log"
    service = VsockService(device, address()) if vsock else None
    # The shell gives way to the agent at once; it is there to send the log elsewhere.
    shell = ["/bin/sh", "-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", str(log)]
    base = address() if vsock else None
    host = TrapHost(device, [*shell, *command], vsock=base, backdoor=backdoor)
    launched = time.monotonic()
    host.start()
    try:
        with Listener(device) as listener:
            follower = listener.follow()
            if not device.wait_for_tools(launched + START_UP):
                raise GuestError(f"{command[0]} does not speak to its host\n{text_of(log)}")
            seen = time.monotonic()
            guest = EmulatedGuest(device, host, listener, log, launched, seen, service)
            greet(device)
            for _ in GREETING:
                deadline = time.monotonic() + START_UP
                if not follower.wait_for(
                    lambda entry: entry.kind == MessageKind.TCLO_REPLY, deadline
                ):
                    raise GuestError(f"{command[0]} does not answer\n{text_of(log)}")
            listener.leave(follower)
            try:
                yield guest
            finally:
                end(host)
    finally:
        end(host)


def end(host: TrapHost) -> None:
    """Sends SIGTERM, and SIGKILL if the agent has not ended after 5 s."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if host.wait(time.monotonic()):
            return
        host.signal(number)
        host.wait(time.monotonic() + 5)


def text_of(log: Path) -> str:
    """The last lines of a log."""
    if not log.exists():
        return ""
    return os.linesep.join(log.read_text(errors="replace").splitlines()[-20:])
