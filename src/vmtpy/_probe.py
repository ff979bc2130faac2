"""Tells whether VMware is there, and if not, why and what to do: vmtpy.probe() and `vmtpy probe`.

Whether the backdoor answers decides; CPUID only names the hypervisor. backdoor.py serves modules
that need the backdoor itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from vmtpy import _core
from vmtpy import backdoor as machine
from vmtpy._arguments import check_type
from vmtpy.backdoor import PRODUCTS, WAYS
from vmtpy.errors import NotVMwareError

if TYPE_CHECKING:
    from vmtpy.surroundings import Refusal

Presence = Literal["vmware", "no channel", "fault", "no answer", "undecided"]
BackdoorWay = Literal["", "port", "port with iopl", "vmcall", "vmmcall"]
Case = Literal[
    "vmware",
    "nested",
    "hidden",
    "no channel",
    "shut",
    "vmport",
    "hypervisor",
    "unnamed hypervisor",
    "bare metal",
    "no access",
]

_PRESENCE: dict[_core.Presence, Presence] = {
    _core.Presence.VMWARE: "vmware",
    _core.Presence.NO_CHANNEL: "no channel",
    _core.Presence.FAULT: "fault",
    _core.Presence.NO_ANSWER: "no answer",
    _core.Presence.UNDECIDED: "undecided",
}
_VMWARE = "VMwareVMware"

# CPUID's hypervisor signature → the name that people know
HYPERVISORS = {
    "VMwareVMware": "VMware",
    "KVMKVMKVM": "KVM",
    "Linux KVM Hv": "KVM",
    "TCGTCGTCGTCG": "QEMU",
    "Microsoft Hv": "Hyper-V",
    "XenVMMXenVMM": "Xen",
    "VBoxVBoxVBox": "VirtualBox",
    "bhyve bhyve ": "bhyve",
    " prl hyperv ": "Parallels",
    " lrpepyh  vr": "Parallels",
    "ACRNACRNACRN": "ACRN",
    "OpenBSDVMM58": "OpenBSD's vmm",
    "SRESRESRESRE": "LMHS",
    "EVMMEVMMEVMM": "Intel's KGT",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What answers at VMware's backdoor. It is true in a boolean context if VMware answers.

    Attributes:
        presence: "vmware"; "no channel": the backdoor answers, but has no message channel;
            "fault": its instruction faults; "no answer": the instruction does not fault, but
            nothing answers; "undecided": the instructions could not be tried.
        version: the backdoor's version, 6 on every VMware since 2002; 0 if nothing answers.
        product: "ESX", "Workstation", "GSX", "Express"; "" if unknown.
        hypervisor: CPUID's signature, "VMwareVMware", "KVMKVMKVM"; "" without a hypervisor.
        reason: one sentence on why VMware cannot be reached; "" if it can.
        way: the instruction by which the backdoor answers: "port", "port with iopl", "vmcall" or
            "vmmcall"; "" if nothing answers, or if the caller passed a backdoor.
        case: a name for these facts. VMware can be reached: "vmware"; "nested": CPUID announces
            another hypervisor; "hidden": CPUID announces no hypervisor, or an unnamed one. CPUID
            announces VMware, but: "no channel"; "shut": the backdoor does not answer. It is not
            VMware: "vmport" of QEMU; another "hypervisor"; an "unnamed hypervisor"; "bare metal".
            "no access": the instructions could not be tried.
        remedy: what to do about the reason; "" if nothing need or can be done.
        privilege: why the kernel refuses I/O privilege, if that was tried; else "".
        encrypted: "SEV" or "TDX" in a guest whose memory the host cannot read; else "".
    """

    presence: Presence
    version: int
    product: str
    hypervisor: str
    reason: str
    way: BackdoorWay = ""
    case: Case = "no access"
    remedy: str = ""
    privilege: str = ""
    encrypted: str = ""

    def __bool__(self) -> bool:
        return self.presence == "vmware"


def probe(backdoor: _core.Backdoor | None = None) -> Probe:
    """Tries whether VMware's backdoor answers.

    A child process tries the instructions, so that a fault ends only the child and other threads
    are not disturbed.

    Args:
        backdoor: the backdoor to ask in place of the real ones; it must not fault. Default: the
            real ones.

    Returns:
        A `Probe`, which is true if VMware answers and else names what is there.

    Raises:
        TypeError: `backdoor` is not a backdoor.
        SystemCallError: the child process cannot be started.
    """
    if backdoor is not None:
        check_type("backdoor", backdoor, _core.Backdoor, "a backdoor or None")
    cpu = _core.read_cpu()
    if backdoor is None and machine.stand_in is not None:
        return _probe_stand_in(machine.stand_in, cpu)
    if backdoor is None:
        return judge(_core.probe_machine(cpu, ask_channel=True))
    return _name(_core.probe(backdoor, cpu))


def _probe_stand_in(host: machine.StandIn, cpu: _core.Cpu) -> Probe:
    """As in a virtual machine of that host."""
    if host.backdoor is None:
        reason = "the emulated host of this test has no backdoor"
        return Probe("fault", 0, "", _VMWARE, reason, case="shut")
    named = _name(_core.probe(host.backdoor, cpu))
    return replace(named, hypervisor=_VMWARE, way="port", case="vmware")


def judge(found: _core.Probe, root: str = "/") -> Probe:
    """Adds names, reasons and remedies to the native probe's facts.

    Args:
        found: the facts.
        root: the directory with /proc and /sys.
    """
    judged = _name(found)
    return judged if judged else _explain(judged, found.privilege_error, root)


def _name(found: _core.Probe) -> Probe:
    presence = _PRESENCE[found.presence]
    return Probe(
        presence,
        found.version,
        PRODUCTS.get(found.product, ""),
        found.cpu.hypervisor,
        found.reason,
        WAYS[found.way],
        name_case(presence, found.cpu),
        encrypted=found.cpu.encrypted,
    )


def name_case(presence: Presence, cpu: _core.Cpu) -> Case:
    """The `case` of a Probe."""
    case: Case
    if presence == "undecided":
        case = "no access"
    elif cpu.hypervisor == _VMWARE:
        case = presence if presence in ("vmware", "no channel") else "shut"
    elif presence == "no channel":
        case = "vmport"
    elif presence == "vmware":
        case = "nested" if cpu.hypervisor in HYPERVISORS else "hidden"
    elif not cpu.is_virtual:
        case = "bare metal"
    else:
        case = "hypervisor" if cpu.hypervisor in HYPERVISORS else "unnamed hypervisor"
    return case


def _explain(judged: Probe, privilege_error: int, root: str) -> Probe:
    """Adds reason and remedy to a probe that did not find VMware."""
    from vmtpy import surroundings

    refusal = surroundings.io_privilege(privilege_error, root)
    reason, remedy = judged.reason, NotVMwareError.hint
    if judged.case == "vmport":
        reason = f"this is QEMU's vmport, which has no message channel: {reason}"
        remedy = (
            "use QEMU's own guest agent, since this is not VMware; `vmtpy freeze` also works here"
        )
    elif judged.case == "no channel":
        remedy = "end programs that keep message channels open: a virtual machine has 128 channels"
    elif judged.case == "shut":
        remedy = _remedy_of_shut(refusal)
    elif judged.case == "hypervisor":
        reason = f"this is {HYPERVISORS[judged.hypervisor]}, not VMware: {reason}"
    elif judged.case == "unnamed hypervisor":
        reason = f"this is a hypervisor without a name: {reason}"
    elif judged.case == "bare metal":
        reason = f"this is not a virtual machine: {reason}"
    elif judged.case == "no access":
        reason, remedy = _no_access(reason, root)
    return replace(
        judged, reason=reason, remedy=remedy, privilege=refusal.why if refusal is not None else ""
    )


def _remedy_of_shut(refusal: Refusal | None) -> str:
    settings = (
        "remove monitor_control.restrict_backdoor from the virtual machine's configuration, if it "
        "is there"
    )
    if refusal is None:
        return settings
    return f"{refusal.why}: {refusal.remedy}; or {settings}"


def _no_access(reason: str, root: str) -> tuple[str, str]:
    from vmtpy import surroundings

    kind = surroundings.container(root)
    where = [f"in a container ({kind})"] if kind else []
    if surroundings.filtered(root):
        where.append("under a seccomp filter")
    if where:
        reason = f"{reason}; this process is {' and '.join(where)}"
    return reason, "run it outside containers and sandboxes, where it may start processes"
