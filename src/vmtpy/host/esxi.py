"""An ESXi host as it was seen to treat a guest, from the tools' first message to the verdict.

On an emulated Device and its Listener it does what real hosts do: it sends a burst of options, and
a ping that ends with a NUL every 15 s; it stuns the machine at each snapshot, and fetches the
manifest over HGFS.
"""

from __future__ import annotations

import dataclasses
import struct
import threading
import time
from typing import TYPE_CHECKING, Protocol

from vmtpy.host.hgfs import HgfsError, commands_to, fetch
from vmtpy.host.script import BackupRequest, run_backup
from vmtpy.host.verdict import ANSWER, Judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy._host import Device
    from vmtpy.host.listener import Listener
    from vmtpy.host.script import BackupResult, Notify
    from vmtpy.host.verdict import Verdict

PING = b"ping\0"
# Seconds for which the host waits for a message in flight before it stuns the machine. A guest asks
# for commands at least ten times a second.
_IN_FLIGHT = 0.12
_MANIFEST = "req.genericManifest"


def _vix_state_request() -> bytes:
    """The request GET_TOOLS_STATE, which a host sends when tools have registered."""
    header, get_tools_state, flags = 51, 62, 0x45
    packet = struct.pack(
        "<IHIIIIBIIIQII",
        *(0xD00D0001, 5, header, header, 0, 0, flags, get_tools_state, 0, 0, 0, 0, 0),
    )
    return b'Vix_1_Relayed_Command "vmtpy"\0' + packet


# The commands that a host sends when tools have opened their channel, in this order.
BURST = (
    b"reset",
    b"Set_Option synctime.period 0",
    b"Set_Option time.synchronize.tools.enable 1",
    b"Set_Option time.synchronize.tools.startup.backward 0",
    b"Set_Option toolScripts.afterPowerOn 1",
    b"Set_Option toolScripts.afterResume 1",
    b"Set_Option toolScripts.beforePowerOff 1",
    b"Set_Option toolScripts.beforeSuspend 1",
    b"Capabilities_Register",
    b"Set_Option broadcastIP 1",
    b"Time_Synchronize 0",
    _vix_state_request(),
)


class Machine(Protocol):
    """A machine that can be stunned: a Device, whose guest is in this process, or a TrapHost."""

    def stun(self, deadline: float) -> bool:
        """Stops the machine when a message is in flight, or at the deadline."""
        ...

    def resume(self) -> None:
        """Lets the machine continue; a message that was in flight begins again with CHECKPOINT."""


@dataclasses.dataclass(frozen=True, slots=True)
class Periods:
    """The periods of a host in seconds; the defaults are those of real hosts.

    Attributes:
        ping: the time between two pings; the first is sent with the burst.
        answer: the time that the guest may take for an answer.
        stun: the time for which the machine is stopped for a snapshot.
    """

    ping: float = 15.0
    answer: float = ANSWER
    stun: float = 0.4


class Esxi:
    """One host's treatment of one guest. Its methods may be called from any thread.

    Args:
        device: the emulated VMware.
        listener: the listener of that device, which must run when begin() is called.
        machine: the machine that is stunned at a snapshot.
        periods: the host's periods.
    """

    def __init__(
        self, device: Device, listener: Listener, machine: Machine, periods: Periods | None = None
    ) -> None:
        self._device = device
        self._listener = listener
        self._machine = machine
        self._periods = periods or Periods()
        self._judge = Judge(self._periods.answer)
        self._lock = threading.Lock()  # guards the judge and the order of commands
        self._follower = listener.follow()
        self._thread = threading.Thread(target=self._run, name="esxi", daemon=True)
        self._begun = False

    def begin(self) -> None:
        """Sends the burst, and pings from now on. It is called when the tools have made contact."""
        for command in BURST:
            self.send(command)
        self._begun = True
        self._thread.start()

    def send(self, command: bytes) -> None:
        """Sends a command, without waiting for its answer."""
        with self._lock:
            self._judge.sent(command, time.monotonic())
            self._device.send_command(command)

    def backup(
        self, request: BackupRequest | None = None, notify: Notify | None = None
    ) -> BackupResult:
        """Takes one quiesced snapshot: stuns the machine for it, then fetches the manifest.

        Args:
            request: as for run_backup(). Its snapshot begins while the machine is stunned; if it
                takes longer than the stun, it continues while the machine runs.
            notify: as for run_backup().
        """
        request = request or BackupRequest()
        taken = dataclasses.replace(request, snapshot=lambda: self._stunned(request.snapshot))
        result = run_backup(self._device, self._listener, taken, notify)
        manifest, error = None, ""
        if result.succeeded:
            try:
                manifest = self._manifest(result)
            except HgfsError as failure:
                error = str(failure)
        with self._lock:
            self._judge.snapshot(result, manifest, error)
        return result

    def end(self) -> None:
        """The host leaves the guest alone while the listener goes on."""
        self._listener.end(self._follower)

    def verdict(self) -> Verdict:
        """What vSphere would show. To be called after end(), or when the listener has ended."""
        if self._begun:
            self._thread.join()
        with self._lock:
            while entry := self._follower.next():
                self._judge.entry(entry)
            return self._judge.verdict(time.monotonic())

    def _run(self) -> None:
        due = time.monotonic()
        while not self._follower.ended:
            if time.monotonic() >= due:
                self.send(PING)
                due += self._periods.ping
            if entry := self._follower.next(due):
                with self._lock:
                    self._judge.entry(entry)

    def _stunned(self, snapshot: Callable[[], object] | None) -> None:
        # The guest receives or answers this ping when the stun begins: it is a message in flight.
        self.send(PING)
        self._machine.stun(time.monotonic() + _IN_FLIGHT)
        end = threading.Timer(self._periods.stun, self._machine.resume)
        end.start()
        try:
            if snapshot:
                snapshot()
        finally:
            end.join()

    def _manifest(self, result: BackupResult) -> bytes:
        paths = [event.text for event in result.events if event.name == _MANIFEST]
        if not paths:
            raise HgfsError(f"the guest did not send {_MANIFEST}")
        with self._lock:
            if not self._judge.serves_files():
                raise HgfsError("the guest did not announce tools.capability.hgfs_server")
        exchange = commands_to(self._device, self._listener, self._periods.answer)
        return fetch(exchange, paths[-1])
