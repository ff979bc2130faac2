"""QEMU's vmport, a backdoor that nobody here wrote: it answers like VMware's and has no channel.

It answers ring 3 only with iopl(3), which takes CAP_SYS_RAWIO and a kernel that is not locked down.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.qemu import MEMORY, UUID

if TYPE_CHECKING:
    from support.qemu import Ran, VirtualMachine

pytestmark = pytest.mark.timeout(900)

PROBE = ("python", "-m", "vmtpy", "probe", "--json")
# Root without one capability, as in most containers: exec takes it away with the bounding set.
WITHOUT_RAWIO = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(24, 17, 0, 0, 0) == 0  # PR_CAPBSET_DROP, CAP_SYS_RAWIO
os.execvp(sys.argv[1], sys.argv[1:])
"""
# As a service's SystemCallFilter= does: the whole process is killed at iopl (172), all else passes.
FILTERED = """
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 172), (6, 0, 0, 0x80000000), (6, 0, 0, 0x7FFF0000)]
filters = b"".join(struct.pack("<HBBI", *one) for one in code)
buffer = ctypes.create_string_buffer(filters)
program = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(buffer))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, program, 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
os.execvp(sys.argv[1], sys.argv[1:])
"""
LOCKDOWN = "/sys/kernel/security/lockdown"


def probed(ran: Ran) -> dict[str, Any]:
    """What `vmtpy probe` has found; it is never VMware."""
    assert ran.code == 1, ran
    return dict(json.loads(ran.out))


def test_root_finds_the_vmport_and_what_qemu_knows(machine: VirtualMachine) -> None:
    found = probed(machine.run(*PROBE))
    assert found["case"] == "vmport"
    assert found["presence"] == "no channel"
    assert found["version"] == 6
    assert found["way"] == "port with iopl"
    assert found["hypervisor"] == "TCGTCGTCGTCG"
    # QEMU has neither a version of its hardware nor the time for us.
    known = {"version": None, "uuid": UUID, "memory_mib": MEMORY, "cpu_mhz": None}
    assert found["hardware"] == known
    assert found["time"] is None


@pytest.mark.parametrize("command", [("rpc", "info-get guestinfo.answer"), ("run",)])
def test_who_needs_a_channel_says_that_there_is_none(
    machine: VirtualMachine, command: tuple[str, ...]
) -> None:
    ran = machine.run("python", "-m", "vmtpy", *command)
    assert ran.code != 0
    assert "QEMU's vmport" in ran.err
    assert "no message channel" in ran.err
    assert "Traceback" not in ran.err


def test_another_user_is_not_let_at_it_and_reads_why(machine: VirtualMachine) -> None:
    found = probed(machine.run(*PROBE, user=1000))
    assert (found["presence"], found["case"]) == ("fault", "hypervisor")
    assert "CAP_SYS_RAWIO" in found["privilege"]
    assert found["hardware"] is None


def test_nor_is_root_without_the_capability(machine: VirtualMachine) -> None:
    found = probed(machine.run("python", "-c", WITHOUT_RAWIO, *PROBE))
    assert (found["presence"], found["case"]) == ("fault", "hypervisor")
    assert "CAP_SYS_RAWIO" in found["privilege"]


def test_nor_is_root_under_a_filter_of_system_calls(machine: VirtualMachine) -> None:
    """It kills the process that asks, which was made for nothing else."""
    found = probed(machine.run("python", "-c", FILTERED, *PROBE))
    assert (found["presence"], found["case"]) == ("fault", "hypervisor")
    assert found["privilege"] == "a seccomp filter forbids iopl"


def test_nor_is_root_of_a_kernel_that_is_locked_down(machine: VirtualMachine) -> None:
    # For the rest of this machine's life, in which nobody else asks for I/O ports.
    machine.check("sh", "-c", f"echo integrity > {LOCKDOWN}")
    found = probed(machine.run(*PROBE))
    assert (found["presence"], found["case"]) == ("fault", "hypervisor")
    assert "locked down (integrity)" in found["privilege"]
