"""QEMU's vmport, a backdoor that nobody here wrote: it answers like VMware's and has no channel.

It answers ring 3 only with iopl(3), which takes CAP_SYS_RAWIO and a kernel that is not locked down.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.qemu import MEMORY, UUID, virtual_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.qemu import Root, VirtualMachine

PROBE = """
import json, vmtpy
print(json.dumps(vmtpy.probe()._asdict()))
"""
FACTS = """
import json
from vmtpy import _core
backdoor = _core.make_backdoor(_core.Way.PRIVILEGED_PORT, _core.read_cpu())
found, now = _core.read_hardware(backdoor), _core.read_host_time(backdoor)
print(json.dumps([found.hardware_version, found.uuid, found.memory_mib, found.cpu_mhz, now and now.unix_us]))
"""
# Root without one capability, as in most containers: exec takes it away with the bounding set.
WITHOUT_RAWIO = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(24, 17, 0, 0, 0) == 0  # PR_CAPBSET_DROP, CAP_SYS_RAWIO
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="module")
def machine(root: Root) -> Iterator[VirtualMachine]:
    with virtual_machine(root) as made:
        yield made


def test_x(machine):
    print(machine.python(PROBE))
    print(machine.python(FACTS))
    print(machine.run("python", "-c", WITHOUT_RAWIO, "python", "-c", PROBE))
    print(machine.python(PROBE, user=1000))
    machine.check("sh", "-c", "echo integrity > /sys/kernel/security/lockdown")
    print(machine.python(PROBE))
