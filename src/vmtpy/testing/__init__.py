"""An emulated host in the process of the tests, for tests of programs that run in a VMware guest.

    from vmtpy.testing import EmulatedHost

    with EmulatedHost() as host, host.installed():
        host.guestinfo["answer"] = "42"
        assert vmtpy.guestinfo["answer"] == b"42"

The pytest plugin (vmtpy/pytest_plugin.py) makes fixtures of it. It needs no root, and it freezes
nothing real. Only EmulatedHost.run() uses ptrace.
"""

from vmtpy.host.script import BackupEvent, BackupOutcome, BackupResult
from vmtpy.host.verdict import Finding, Verdict
from vmtpy.testing.esxi import EsxiLife
from vmtpy.testing.guest import SimulatedDisk, SimulatedGuest
from vmtpy.testing.guestinfo import HostGuestInfo
from vmtpy.testing.host import EmulatedHost
from vmtpy.testing.messages import Kind, Message, Transport

__all__ = [
    "BackupEvent",
    "BackupOutcome",
    "BackupResult",
    "EmulatedHost",
    "EsxiLife",
    "Finding",
    "HostGuestInfo",
    "Kind",
    "Message",
    "SimulatedDisk",
    "SimulatedGuest",
    "Transport",
    "Verdict",
]
