"""`vmtpy probe`: tells whether this is VMware, how the backdoor answers, and what the host reports.

It is for administrators and installers; the exit code is 0 on VMware. _probe.py judges the facts.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vmtpy import _core, hardware, surroundings
from vmtpy._probe import HYPERVISORS, Probe, judge
from vmtpy.parser import Parser

if TYPE_CHECKING:
    from vmtpy.hardware import Hardware, HostTime

DESCRIPTION = (
    "Tells whether this is a VMware virtual machine, how its backdoor answers, and what the host "
    "reports of the machine. It exits with 0 if VMware has a message channel, else with 1."
)
HOSTS = {
    "nested": "; CPUID announces {name}: VMware is below or beside another hypervisor",
    "hidden": "; CPUID does not announce VMware: the virtual machine hides its hypervisor",
}


def parser() -> Parser:
    made = Parser(prog="vmtpy probe", description=DESCRIPTION)
    made.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    native = _core.probe_machine(_core.read_cpu(), ask_channel=True)
    found = judge(native)
    backdoor = _core.make_backdoor(native.way, native.cpu)
    facts = hardware.read(backdoor) if backdoor else None
    time = hardware.host_time(backdoor) if backdoor else None
    if options.json:
        print(json.dumps(as_dict(found, facts, time), indent=2))
    else:
        print("\n".join(describe(found, facts, time)))
    return 0 if found else 1


def as_dict(found: Probe, facts: Hardware | None, time: HostTime | None) -> dict[str, Any]:
    """All facts, for JSON."""
    return {
        "vmware": bool(found),
        **asdict(found),
        "container": surroundings.container(),
        "hardware": asdict(facts) if facts else None,
        "time": asdict(time) if time else None,
    }


def describe(found: Probe, facts: Hardware | None, time: HostTime | None) -> list[str]:
    """All facts, in lines for people."""
    name = HYPERVISORS.get(found.hypervisor, found.hypervisor)
    if found:
        product = f"VMware {found.product}".rstrip()
        lines = [f"{product} answers by {found.way}" + HOSTS.get(found.case, "").format(name=name)]
    else:
        lines = [f"VMware cannot be reached: {found.reason}"]
        if found.way:
            lines.append(f"answers by: {found.way}")
    rows = {
        "what to do": found.remedy,
        "I/O privilege": found.privilege,
        "encrypted": f"{found.encrypted}: only the low-bandwidth port" if found.encrypted else "",
        "backdoor version": found.version or "",
        "hardware version": (facts and facts.version) or "",
        "UUID": (facts and facts.uuid) or "",
        "memory": f"{facts.memory_mib} MiB" if facts and facts.memory_mib else "",
        "CPU": f"{facts.cpu_mhz} MHz" if facts and facts.cpu_mhz else "",
        "host's time": f"{time.unix:.6f}" if time else "",
    }
    return lines + [f"{label}: {value}" for label, value in rows.items() if value]
