"""Is VMware there? For users, and for whatever needs the backdoor to the host (rpci.py, agent.py).

The backdoor's own answer decides; CPUID only names the surroundings.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from vmtpy import _core
from vmtpy.errors import NotVMwareError

Presence = Literal["vmware", "no channel", "fault", "no answer", "undecided"]
Way = Literal["", "port", "port with iopl", "vmcall", "vmmcall"]

_PRESENCE: dict[_core.Presence, Presence] = {
    _core.Presence.VMWARE: "vmware",
    _core.Presence.NO_CHANNEL: "no channel",
    _core.Presence.FAULT: "fault",
    _core.Presence.NO_ANSWER: "no answer",
    _core.Presence.UNDECIDED: "undecided",
}
_WAYS: dict[_core.Way, Way] = {
    _core.Way.NONE: "",
    _core.Way.PORT: "port",
    _core.Way.PRIVILEGED_PORT: "port with iopl",
    _core.Way.VMCALL: "vmcall",
    _core.Way.VMMCALL: "vmmcall",
}
_PRODUCTS = {1: "Express", 2: "ESX", 3: "GSX", 4: "Workstation"}


class Probe(NamedTuple):
    """What answers at VMware's backdoor. True in a boolean context if that is VMware.

    Attributes:
        presence: "vmware"; "no channel": it answers, but has no message channel, as QEMU's vmport;
            "fault": the instruction faults; "no answer": it does not, and yet nobody answers;
            "undecided": it could not be tried.
        version: of the backdoor, 6 on every VMware since 2002; 0 if it is not there.
        product: "ESX", "Workstation", "GSX", "Express"; "" if unknown.
        hypervisor: what CPUID announces, "VMwareVMware", "KVMKVMKVM"; "" without a hypervisor.
        reason: one sentence on why this is not VMware, "" if it is.
        way: by which the backdoor answers: "port", "port with iopl", "vmcall", "vmmcall"; "" if
            it does not, or if it was the caller's own.
    """

    presence: Presence
    version: int
    product: str
    hypervisor: str
    reason: str
    way: Way = ""

    def __bool__(self) -> bool:
        return self.presence == "vmware"


def probe(backdoor: _core.Backdoor | None = None) -> Probe:
    """Looks whether VMware's backdoor answers. Never faults, never disturbs other threads.

    Args:
        backdoor: one to ask instead of the real ones; it must not fault.
    """
    if backdoor is None:
        return _judge(_core.probe_machine(ask_channel=True))
    return _judge(_core.probe(backdoor, _core.read_cpu()))


def _judge(found: _core.Probe) -> Probe:
    return Probe(
        _PRESENCE[found.presence],
        found.version,
        _PRODUCTS.get(found.product, ""),
        found.cpu.hypervisor,
        found.reason,
        _WAYS[found.way],
    )


_found: dict[str, _core.Probe] = {}  # what answered stays true for the whole process


def find_backdoor(kind: Literal["auto", "port", "hypercall"] = "auto") -> _core.Backdoor:
    """The real backdoor by the best way that answers, which is remembered.

    Args:
        kind: "port" or "hypercall" to look for no other; "auto": the ports first.

    Raises:
        NotVMwareError: VMware does not answer; its text says why.
    """
    found = _found.get(kind)
    if found is None:
        found = _core.probe_machine(ports=kind != "hypercall", hypercalls=kind != "port")
        if found.presence != _core.Presence.VMWARE:
            raise NotVMwareError(_judge(found).reason)
        _found[kind] = found
    backdoor = _core.make_backdoor(found.way, found.cpu)
    assert backdoor is not None  # as it has answered
    return backdoor
