"""The requests by which the guest announces itself to the host, and withdraws at its end.

The native loop sends them each time it opens the channel and after each reset. Inventory programs
read `guestinfo.vmtools`. The texts are those of open-vm-tools' services/vmtoolsd and OpenBSD's
vmt(4).
"""

from __future__ import annotations

import os

from vmtpy import __version__, _core
from vmtpy.services import os_info

UNMANAGED = 2147483647  # the version of tools that the administrator keeps up to date
OPEN_VM_TOOLS = 4  # the type of tools that come from a distribution, not from the host


def announce(version: int = UNMANAGED) -> list[str]:
    """The RPCI requests that announce the guest. A space at the end belongs to the request."""
    return [
        f"log vmtpy {__version__}: guest agent started",
        "vmx.capability.unified_loop toolbox",
        "tools.capability.hgfs_server toolbox 1",
        "tools.capability.statechange ",
        "tools.capability.softpowerop_retry ",
        "tools.capability.features 36=1",  # NVMe disks can also be quiesced
        f"tools.set.version {version}",
        f"tools.set.versiontype {version} {OPEN_VM_TOOLS}",  # newer hosts use this one
        f"info-set guestinfo.vmtools.description vmtpy {__version__}",
        f"info-set guestinfo.vmtools.versionString {__version__}",
        f"info-set guestinfo.vmtools.versionNumber {version}",
        "info-set guestinfo.vmtools.buildNumber 0",  # vmtpy has no build numbers
    ]


def tools_state(guest_info: bool = True) -> _core.ToolsState:
    """The answer to a host that asks for the state of the tools.

    Args:
        guest_info: whether the answer includes the names of the operating system and of the guest.
    """
    about = {"product": b"vmtpy", "version": __version__.encode()}
    if guest_info:
        system = os_info.read()
        about["os_name"] = system.full_name.encode(errors="replace")
        about["os_short_name"] = system.name.encode(errors="replace")
        about["host_name"] = os.fsencode(os.uname().nodename)
    return _core.ToolsState(**about)


def withdraw() -> list[str]:
    """The RPCI requests that withdraw the announcement when the agent ends."""
    return [
        "tools.capability.hgfs_server toolbox 0",
        "tools.capability.features 36=0",
        "log vmtpy: guest agent stopped",
    ]
