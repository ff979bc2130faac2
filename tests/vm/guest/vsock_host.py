"""Conversations with an emulated host on the kernel's own AF_VSOCK: `vsock_host.py SCENARIO`.

Host and guest are in one process; the guest's backdoor is emulated, its vsock is the kernel's
loopback. Prints as JSON by which way each request has come, and what the guest says of vsock.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy._host import Device, EmulatedBackdoor, MessageKind, VsockFault, VsockService

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = 1  # VMADDR_CID_LOCAL
RPCI_PORT = 976


class Talk:
    def __init__(self, *, listens: bool = True) -> None:
        clock = _core.SteadyClock()
        self.device = Device(clock)
        self.service = VsockService(self.device)
        if not listens:
            self.service.stop_listening()
        self.transports = _core.Transports(
            EmulatedBackdoor(self.device), _core.VsockDialer(LOOPBACK), clock
        )
        self.rpci = _core.Rpci(self.transports)

    def ask(self, times: int = 1) -> None:
        for _ in range(times):
            ok, data = self.rpci.call(b"log x")
            assert ok, data

    def ask_until(self, condition: Callable[[], object]) -> None:
        """Connecting takes its time, and the backdoor serves meanwhile."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, self.trouble()
            self.ask()
            time.sleep(0.05)

    def begin(self, *, over_vsock: bool) -> None:
        """Asks until vsock is known to serve or to fail; what is told begins then."""
        self.ask_until(lambda: self.rpci.over_vsock if over_vsock else self.trouble())
        self.device.take_transcript()

    def trouble(self) -> str:
        return self.transports.trouble(_core.Protocol.RPCI)

    def tell(self) -> None:
        entries = self.device.take_transcript()
        ways = [entry.transport.name.lower() for entry in entries if entry.kind == MessageKind.RPCI]
        print(json.dumps({"ways": ways, "trouble": self.trouble()}))


def privileged() -> Talk:
    talk = Talk()
    talk.begin(over_vsock=True)
    talk.ask(2)
    return talk


def unprivileged() -> Talk:
    talk = Talk()
    os.setuid(1000)
    talk.begin(over_vsock=True)
    talk.ask(2)
    return talk


def refused() -> Talk:
    talk = Talk(listens=False)
    talk.begin(over_vsock=False)
    talk.ask(2)
    return talk


def reset() -> Talk:
    talk = Talk()
    talk.service.misbehave(VsockFault.RESET, port=RPCI_PORT, times=0)
    talk.begin(over_vsock=False)
    talk.ask(2)
    return talk


def broken(fault: VsockFault) -> Talk:
    """The first goes well, the second is broken off, the third is asked at once after that."""
    talk = Talk()
    talk.begin(over_vsock=True)
    talk.ask()
    talk.service.misbehave(fault, port=RPCI_PORT)
    talk.ask(2)
    return talk


def lost() -> Talk:
    """The host goes away in the middle of a life, and comes back."""
    talk = Talk()
    talk.begin(over_vsock=True)
    talk.ask()
    talk.service.stop_listening()
    talk.service.drop_connections()
    talk.ask()
    talk.service.listen_again()
    talk.ask_until(lambda: talk.rpci.over_vsock)
    return talk


SCENARIOS = {
    "privileged": privileged,
    "unprivileged": unprivileged,
    "refused": refused,
    "reset": reset,
    "closed": lambda: broken(VsockFault.CLOSE),
    "cut off": lambda: broken(VsockFault.HALF),
    "lost": lost,
}


if __name__ == "__main__":
    SCENARIOS[sys.argv[1]]().tell()
