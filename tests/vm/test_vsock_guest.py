"""The host on AF_VSOCK for real: the sockets are the kernel's, and vsock_loopback is the way.

`vmtpy emulate --vsock-loopback` listens on the ports of VMware's hypervisor and only rewrites whom
a program connects to. Nothing of the conversation goes through a trap.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.vm_backup import EMULATE, SNAPSHOT, busy_guest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.qemu import Root
    from support.vm_backup import BusyGuest

LOOPBACK = "--vsock-loopback"


@pytest.fixture(scope="module")
def guest(root: Root, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyGuest]:
    """One machine for all tests here, with writers on its disk."""
    image = tmp_path_factory.mktemp("guest") / "disk.qcow2"
    with busy_guest(root, image, disk, "synced", "buffered") as made:
        yield made


def ways(guest: BusyGuest) -> set[str]:
    """By which messages went since the host's start command."""
    lines = [line for line in guest.timeline() if "way" in line]
    (start,) = [n for n, line in enumerate(lines) if line.get("text") == "vmbackup.start 1"]
    return {line["way"] for line in lines[start:]}


def test_unmodified_open_vm_tools_is_backed_up_over_it(guest: BusyGuest) -> None:
    if shutil.which("vmtoolsd") is None:
        pytest.skip("needs the program vmtoolsd")
    tools = ("vmtoolsd", "-n", "vmsvc")
    host = guest.machine.start(*EMULATE, *SNAPSHOT, LOOPBACK, "--", *tools, output="/run/emulate")
    assert guest.machine.line("snapshot") == "commit"
    guest.release()
    assert guest.machine.wait(host) == 0
    assert guest.phases()["backup ended"]["outcome"] == "done"
    assert ways(guest) == {"vsock", "privileged vsock"}
    traps = guest.timeline()[-1]["traps"]
    assert set(traps) == {"GETVERSION"}, traps
