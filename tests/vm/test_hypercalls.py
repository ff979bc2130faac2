"""Both hypercalls on a processor that leaves them to nobody: QEMU's own faults on each (SIGILL)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.qemu import VirtualMachine

# CPUID cannot be made to fault there, so the way is told.
CLIENT = """
import sys
from vmtpy import _core, _host
found = _core.probe_machine(_core.Cpu(
    is_virtual=True, hypervisor="VMwareVMware", **{sys.argv[1]: True}), ports=False)
print(found.presence.name, found.way.name)
if found.way == _core.BackdoorWay.NONE:
    print(_host.faulting_hypercalls())
else:
    rpci = _core.Rpci(_core.make_backdoor(found.way, found.cpu))
    print(rpci.call(b"info-get guestinfo.key"))
    print(rpci.call(b"info-set guestinfo.key " + bytes(range(256)) * 100))
    print(rpci.call(b"info-get guestinfo.key")[1] == bytes(range(256)) * 100)
"""


@pytest.mark.parametrize("instruction", ["vmcall", "vmmcall"])
def test_requests_go_by_it_and_the_emulated_host_answers(
    machine: VirtualMachine, instruction: str
) -> None:
    options = ("--json", "--guestinfo", "key=value", "--hypercall-only", "--")
    ran = machine.run(
        "python", "-m", "vmtpy", "emulate", *options, "python", "-c", CLIENT, instruction
    )
    assert ran.code == 0, ran
    assert ran.out.splitlines() == [
        f"VMWARE {instruction.upper()}",
        "(True, b'value')",
        "(True, b'')",
        "True",
    ]
    traps = json.loads(ran.err.splitlines()[-1])["traps"]
    assert {name.split()[0] for name in traps} == {instruction}
    assert traps[f"{instruction} HB out"] == 3
    assert traps[f"{instruction} HB in"] == 3


@pytest.mark.parametrize("instruction", ["vmcall", "vmmcall"])
def test_without_a_host_it_faults_and_nobody_is_harmed(
    machine: VirtualMachine, instruction: str
) -> None:
    ran = machine.run("python", "-c", CLIENT, instruction)
    assert (ran.code, ran.out) == (0, "FAULT NONE\n3\n")
