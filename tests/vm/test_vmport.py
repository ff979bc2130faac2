"""QEMU's vmport, a backdoor that nobody here wrote: it answers like VMware's and has no channel.

It answers ring 3 only with iopl(3), which takes CAP_SYS_RAWIO and a kernel that is not locked down.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.qemu import MEMORY, UUID

if TYPE_CHECKING:
    from support.qemu import Ran, VirtualMachine

PROBE = """
import json, vmtpy
print(json.dumps(vmtpy.probe()._asdict()))
"""
FACTS = """
import json
from vmtpy import _core
backdoor = _core.make_backdoor(_core.Way.PRIVILEGED_PORT, _core.read_cpu())
found = _core.read_hardware(backdoor)
print(json.dumps([found.uuid, found.memory_mib, found.hardware_version, found.cpu_mhz]))
print(_core.read_host_time(backdoor))
"""
# Root without one capability, as in most containers: exec takes it away with the bounding set.
WITHOUT_RAWIO = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(24, 17, 0, 0, 0) == 0  # PR_CAPBSET_DROP, CAP_SYS_RAWIO
os.execvp(sys.argv[1], sys.argv[1:])
"""
LOCKDOWN = "/sys/kernel/security/lockdown"


def probed(ran: Ran) -> dict[str, object]:
    assert ran.code == 0, ran
    return dict(json.loads(ran.out))


def test_root_finds_a_backdoor_without_a_message_channel(machine: VirtualMachine) -> None:
    found = probed(machine.python(PROBE))
    assert found["presence"] == "no channel"
    assert found["version"] == 6
    assert found["way"] == "port with iopl"
    assert "TCGTCGTCGTCG" in str(found["reason"])


def test_it_tells_what_qemu_knows(machine: VirtualMachine) -> None:
    facts, time = machine.python(FACTS).out.splitlines()
    assert json.loads(facts) == [UUID, MEMORY, None, None]
    assert time == "None"


def test_an_rpc_says_why_there_is_no_channel(machine: VirtualMachine) -> None:
    ran = machine.run("python", "-m", "vmtpy", "rpc", "info-get guestinfo.answer")
    assert ran.code != 0
    assert "opens no message channel" in ran.err
    assert "Traceback" not in ran.err


def test_the_agent_does_not_run_without_a_channel(machine: VirtualMachine) -> None:
    ran = machine.run("python", "-m", "vmtpy", "run")
    assert ran.code == 1
    assert "opens no message channel" in ran.err


def test_another_user_may_not_ask(machine: VirtualMachine) -> None:
    assert probed(machine.python(PROBE, user=1000))["presence"] == "fault"


def test_nor_may_root_without_the_capability(machine: VirtualMachine) -> None:
    ran = machine.run("python", "-c", WITHOUT_RAWIO, "python", "-c", PROBE)
    assert probed(ran)["presence"] == "fault"


def test_nor_may_root_under_lockdown(machine: VirtualMachine) -> None:
    # For the rest of this machine's life, in which nobody else asks for I/O ports.
    machine.check("sh", "-c", f"echo integrity > {LOCKDOWN}")
    assert probed(machine.python(PROBE))["presence"] == "fault"
