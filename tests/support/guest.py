"""A real agent on a real mount under the ptrace host; the test plays the host."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.loop import require_root
from support.names import unique_base
from support.patience import PATIENCE

from vmtpy import _core, _host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.loop import LoopMount

EVENT = b"vmbackup.eventSet "


class Guest:
    """`vmtpy run` with some mounts, and its messages so far."""

    def __init__(
        self,
        mounts: list[LoopMount],
        log: Path,
        config: str = "",
        inside: str = "",
        *more: str,
        vsock: bool = False,
        backdoor: bool = True,
        hypercall: bool = False,
    ) -> None:
        command = [sys.executable, "-m", "vmtpy", "run", *more]
        for mount in mounts:
            mount.check_ours()
            command += ["--include", str(mount.path)]
        if config:
            file = log.with_suffix(".toml")
            file.write_text(config)
            command += ["--config", str(file)]
        self.log = log
        self.device = _host.Device(_core.SteadyClock())
        base = unique_base("guest") if vsock else None
        self.service = None if base is None else _host.VsockService(self.device, base)
        script = f'log=$1; shift; exec {inside} "$@" 2>"$log"'
        shell = ["/bin/sh", "-c", script, "sh", str(log)]
        whole = [*shell, *command]
        kinds = _host.BackdoorKind
        kind = kinds.HYPERCALL if hypercall else kinds.FULL if backdoor else kinds.NONE
        self.host = _host.TrapHost(self.device, whole, backdoor=kind, vsock=base)
        self.entries: list[_host.TranscriptEntry] = []

    @property
    def vsock(self) -> _host.VsockService:
        """The host's side of vsock; None without vsock."""
        assert self.service
        return self.service

    @property
    def pid(self) -> int:
        return self.host.process()

    def read(self) -> None:
        """Reads the messages that the host has received meanwhile."""
        self.entries += self.device.take_transcript(time.monotonic() + 0.002)

    def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Waits until the condition on the guest's messages is true."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"{self.events()} {self.replies()} {self.text()}"
            self.read()

    def text(self) -> str:
        """The agent's log."""
        return self.log.read_text() if self.log.exists() else ""

    def events(self) -> list[bytes]:
        """The guest's backup events, without keep-alives."""
        told = [
            entry.request[len(EVENT) :]
            for entry in self.entries
            if entry.kind == _host.MessageKind.RPCI and entry.request.startswith(EVENT)
        ]
        return [request for request in told if not request.startswith(b"req.keepAlive")]

    def when(self, text: bytes) -> float:
        """The time of the guest's first event or request that begins with the text."""
        for entry in self.entries:
            if entry.request.startswith((EVENT + text, text)):
                return entry.time
        raise AssertionError(f"the guest never said {text!r}")

    def requests(self) -> list[bytes]:
        """All requests of the guest."""
        return [entry.request for entry in self.entries if entry.kind == _host.MessageKind.RPCI]

    def hears(self, beginning: bytes, times: int = 1) -> bytes:
        """Waits for a request that begins with the text, and returns the last such request."""
        self.until(lambda: len(self.told(beginning)) >= times)
        return self.told(beginning)[-1]

    def told(self, beginning: bytes) -> list[bytes]:
        return [request for request in self.requests() if request.startswith(beginning)]

    def replies(self) -> list[bytes]:
        """The guest's answers to the host's commands."""
        return [
            entry.request for entry in self.entries if entry.kind == _host.MessageKind.TCLO_REPLY
        ]

    def command(self, text: str | bytes) -> bytes:
        """Sends a command and returns the guest's answer."""
        before = len(self.replies())
        self.device.send_command(text)
        self.until(lambda: len(self.replies()) > before)
        return self.replies()[before]

    def freeze(self) -> None:
        """Runs a backup up to the commit."""
        assert self.command("vmbackup.start 1") == b"OK "
        self.until(lambda: any(event.startswith(b"prov.snapshotCommit") for event in self.events()))

    def done(self) -> None:
        """Waits for req.done, with which every backup ends."""
        self.until(lambda: self.events()[-1:] == [b"req.done 0 "])

    def end(self) -> int:
        """Sends SIGTERM and returns the wait status."""
        self.host.signal(signal.SIGTERM)
        assert self.host.wait(time.monotonic() + PATIENCE), "the agent does not end"
        return self.host.wait_status()


@contextmanager
def running_guest(
    mounts: list[LoopMount],
    log: Path,
    config: str = "",
    inside: str = "",
    *more: str,
    vsock: bool = False,
    backdoor: bool = True,
    hypercall: bool = False,
) -> Iterator[Guest]:
    """An agent that has announced itself; ended at the end.

    Args:
        mounts: it is kept to.
        log: its stderr.
        config: TOML.
        inside: a shell's words before its command.
        more: arguments of `vmtpy run`.
        vsock: the host listens there.
        backdoor: it answers there,
        hypercall: by hypercall alone.
    """
    require_root()  # the agent's markers and its socket are root's
    require_ptrace()
    ways = {"vsock": vsock, "backdoor": backdoor, "hypercall": hypercall}
    guest = Guest(mounts, log, config, inside, *more, **ways)
    guest.host.start()
    try:
        guest.until(guest.device.tclo_seen)
        yield guest
    finally:
        if not guest.host.wait(time.monotonic()):
            guest.host.signal(signal.SIGCONT)
            guest.host.signal(signal.SIGTERM)
            if not guest.host.wait(time.monotonic() + PATIENCE):
                guest.host.signal(signal.SIGKILL)
                guest.host.wait(time.monotonic() + PATIENCE)


def require_ptrace() -> None:
    """Skips the test if programs cannot be traced."""
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if scope.exists() and scope.read_text().strip() == "3":
        pytest.skip("needs ptrace (kernel.yama.ptrace_scope is 3)")
    host = _host.TrapHost(_host.Device(_core.SteadyClock()), ["/bin/true"])
    try:
        host.start()
    except OSError as error:
        pytest.skip(f"needs ptrace ({os.strerror(error.errno or 0)})")
    host.wait(time.monotonic() + PATIENCE)
