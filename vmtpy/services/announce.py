"""What the guest says of itself at every open and after every reset, and takes back at its end.

The native loop sends it. Texts: open-vm-tools' services/vmtoolsd and OpenBSD's vmt(4).
"""

from __future__ import annotations

from vmtpy import __version__

UNMANAGED = 2147483647  # the version of tools that the administrator keeps up to date himself


def announce(version: int = UNMANAGED) -> list[str]:
    """The RPCI requests that announce the guest. A blank at the end belongs there."""
    return [
        f"log vmtpy {__version__}: guest agent started",
        "vmx.capability.unified_loop toolbox",
        "tools.capability.hgfs_server toolbox 1",
        "tools.capability.statechange ",
        "tools.capability.softpowerop_retry ",
        "tools.capability.features 36=1",  # NVMe disks may be quiesced, too
        f"tools.set.version {version}",
    ]


def withdraw() -> list[str]:
    """The RPCI requests that take leave of the host."""
    return [
        "tools.capability.hgfs_server toolbox 0",
        "log vmtpy: guest agent stopped",
    ]
