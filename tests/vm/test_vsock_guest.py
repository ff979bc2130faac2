"""The host on AF_VSOCK for real: the sockets are the kernel's, and vsock_loopback is the way.

`vmtpy emulate --vsock-loopback` listens on the ports of VMware's hypervisor and only rewrites whom
a program connects to. Nothing of the conversation goes through a trap.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from support.vm_backup import EMULATE, PATIENT, SNAPSHOT, VMTPY, busy_guest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.qemu import Root, VirtualMachine
    from support.vm_backup import BusyGuest

pytestmark = pytest.mark.timeout(900)

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


def test_a_backup_runs_over_it(guest: BusyGuest) -> None:
    """While it connects, the backdoor may have been asked."""
    host = guest.freeze(PATIENT, LOOPBACK)
    status = json.loads(guest.machine.check(*VMTPY, "status", "--json"))
    guest.release()
    assert guest.machine.wait(host) == 0
    assert guest.phases()["backup ended"]["outcome"] == "done"
    assert ways(guest) == {"privileged vsock"}
    assert status["transport"] == "vsock"
    guest.acknowledged.wait_for_more()


def test_without_the_backdoor_too(guest: BusyGuest) -> None:
    # The one that is left is QEMU's vmport: only who is told so goes past it.
    host = guest.freeze(PATIENT + '[host]\ntransport = "vsock"\n', LOOPBACK, "--no-backdoor")
    guest.release()
    assert guest.machine.wait(host) == 0
    assert guest.phases()["backup ended"]["outcome"] == "done"
    assert guest.timeline()[-1]["traps"] == {}


AS_USER = """
import os, sys
os.setuid(1000)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_secure_rpc_is_for_those_who_may_have_a_port_below_1024(machine: VirtualMachine) -> None:
    emulate = (*VMTPY, "emulate", "--json", LOOPBACK, "--secure", "--")
    ask = (*VMTPY, "rpc", "info-set guestinfo.answer 42")
    ran = machine.run(*emulate, *ask)
    assert ran.code == 0, ran
    assert '"way": "privileged vsock"' in ran.err
    ran = machine.run(*emulate, "python", "-c", AS_USER, *ask)
    assert ran.code != 0
    assert "port below 1024" in ran.err


PRIVILEGED, UNPRIVILEGED, BACKDOOR = "privileged_vsock", "vsock", "backdoor"


@pytest.mark.parametrize(
    ("scenario", "ways"),
    [
        ("privileged", [PRIVILEGED, PRIVILEGED]),
        ("unprivileged", [UNPRIVILEGED, UNPRIVILEGED]),
        ("refused", [BACKDOOR, BACKDOOR]),
        ("reset", [BACKDOOR, BACKDOOR]),
        # The host has heard the second one, and its reply was lost.
        ("closed", [PRIVILEGED, PRIVILEGED, BACKDOOR, BACKDOOR]),
        ("cut off", [PRIVILEGED, PRIVILEGED, BACKDOOR, BACKDOOR]),
    ],
)
def test_each_request_is_answered_by_the_way_that_is_there(
    machine: VirtualMachine, scenario: str, ways: list[str]
) -> None:
    told = json.loads(machine.check("python", "/opt/guest/vsock_host.py", scenario))
    assert told["ways"] == ways
    assert (told["trouble"] == "") == (BACKDOOR not in ways)


def test_a_host_that_goes_and_comes_back_is_found_again(machine: VirtualMachine) -> None:
    told = json.loads(machine.check("python", "/opt/guest/vsock_host.py", "lost"))
    assert told["ways"][0] == PRIVILEGED
    assert set(told["ways"][1:-1]) == {BACKDOOR}
    assert told["ways"][-1] == PRIVILEGED
