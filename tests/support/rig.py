"""An agent's native loop that a test turns by hand, with an in-process host, a simulated disk and a
manual clock. The test plays the Python side.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from support.names import unique_base
from support.patience import FAR, PATIENCE

from vmtpy import _core, _host

if TYPE_CHECKING:
    from collections.abc import Callable

EVENT = b"vmbackup.eventSet "
KIND = _core.AgentEvent.Kind
State = _core.BackupState
QUICK = 0.2  # real seconds for a reply over vsock, where the host keeps silent


class Rig:
    """An agent, its host and its disk; the Python side of the agent is played by the test.

    Args:
        paths: of the disk's filesystems.
        vsock: the host listens on vsock, too, and the agent may connect to it.
        alone: there is no backdoor.
        tools: what a host hears that asks for the state of the tools.
        patience: real seconds that the loop waits for a reply over vsock, and
        patience_busy: during a backup where the backdoor serves; a busy host is not to be left.
        session: options of the freeze session.
    """

    def __init__(
        self,
        paths: tuple[str, ...] = ("/srv",),
        *,
        vsock: bool = False,
        alone: bool = False,
        tools: _core.ToolsState | None = None,
        patience: float = PATIENCE,
        patience_busy: float = PATIENCE,
        **session: float,
    ) -> None:
        self.clock = _host.ManualClock()
        self.device = _host.Device(self.clock)
        self.backdoor = _host.RecordingBackdoor(_host.EmulatedBackdoor(self.device))
        self.disk = _host.SimulatedDisk(list(paths))
        # A session whose threads wait for a processor, while until() turns the clock, has time.
        self.session_options = {"filesystem_timeout": FAR, **session}
        self.session: _core.FreezeSession | None = None
        self.seen: list[_host.TranscriptEntry] = []
        options = _core.AgentOptions(
            poll_min=0.01,
            poll_max=0.5,
            poll_busy=0.002,
            announce=["log hello"],
            withdraw=[],
            patience=patience,
            patience_busy=patience_busy,
            tools=tools or _core.ToolsState(),
        )
        if not vsock:
            self.agent = _core.Agent(self.backdoor, self.clock, options)
            return
        base = unique_base("rig")
        self.service = _host.VsockService(self.device, base)
        self.dialer = _host.UnixDialer(base)
        self.transports = _core.Transports(
            _core.AbsentBackdoor() if alone else self.backdoor,
            self.dialer,
            self.clock,
            connect=PATIENCE,
        )
        self.agent = _core.Agent(self.transports, self.clock, options)

    def turn(self, seconds: float = 0.0) -> None:
        """Lets time pass, then runs one turn of the loop."""
        if seconds:
            self.clock.advance(seconds)
        self.agent.step()
        self.seen += self.device.take_transcript()

    def until(self, condition: Callable[[], bool], seconds: float = 0.002) -> None:
        """Turns until `condition`; the session's threads get real time to run."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"never came: {self.events()} {self.replies()}"
            self.turn(seconds)
            time.sleep(0.0005)

    def command(self, text: str | bytes) -> bytes:
        """Sends a command and returns the guest's answer."""
        before = len(self.replies())
        self.device.send_command(text)
        self.until(lambda: len(self.replies()) > before)
        return self.replies()[-1]

    def events(self) -> list[bytes]:
        """The guest's backup events, without keep-alives."""
        told = [request[len(EVENT) :] for request in self.requests() if request.startswith(EVENT)]
        return [request for request in told if not request.startswith(b"req.keepAlive")]

    def requests(self) -> list[bytes]:
        """All requests of the guest."""
        return [entry.request for entry in self.seen if entry.kind == _host.MessageKind.RPCI]

    def replies(self) -> list[bytes]:
        return [entry.request for entry in self.seen if entry.kind == _host.MessageKind.TCLO_REPLY]

    def take(self, kind: _core.AgentEvent.Kind) -> _core.AgentEvent:
        """The next event of this kind for Python; log lines are passed over."""
        found: list[_core.AgentEvent] = []

        def look() -> bool:
            while not found and (event := self.agent.next_event(0)):
                if event.kind == kind:
                    found.append(event)
            return bool(found)

        self.until(look)
        return found[0]

    def arm(self, system: _core.System | None = None) -> None:
        """Gives the agent a session; `system` stands between it and the disk."""
        self.session = _core.FreezeSession(
            system or self.disk,
            self.clock,
            self.disk.filesystems(),
            _core.FreezeOptions(guardian=False, expedite_rcu=False, **self.session_options),
        )
        self.agent.arm(self.session)

    def freeze(self) -> None:
        """Runs a backup up to the commit."""
        assert self.command("vmbackup.start 1") == b"OK "
        self.take(KIND.START)
        self.arm()
        self.until(lambda: self.agent.backup_state == State.FROZEN)
        self.turn()
        assert self.events()[-1] == b"prov.snapshotCommit 0 "
        assert self.disk.frozen("/srv")

    def finish(self) -> _core.RunRecord:
        """Plays Python's part at the end of a backup."""
        record = self.take(KIND.ENDED).record
        self.agent.finish()
        self.until(lambda: self.agent.backup_state == State.IDLE)
        self.turn()
        assert self.events()[-1] == b"req.done 0 "
        assert not self.disk.frozen("/srv")
        return record
