"""Is VMware there? For users, and for whatever needs the host's ports (rpci.py, agent.py).

The backdoor's own answer decides; CPUID is only quoted in the reason.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from vmtpy import _core
from vmtpy.errors import NotVMwareError

Presence = Literal["vmware", "fault", "no answer", "undecided"]

_PRESENCE: dict[_core.Presence, Presence] = {
    _core.Presence.VMWARE: "vmware",
    _core.Presence.FAULT: "fault",
    _core.Presence.NO_ANSWER: "no answer",
    _core.Presence.UNDECIDED: "undecided",
}
_PRODUCTS = {1: "Express", 2: "ESX", 3: "GSX", 4: "Workstation"}


class Probe(NamedTuple):
    """What answers at VMware's backdoor. True in a boolean context if that is VMware.

    Attributes:
        presence: "vmware"; "fault": the port instruction faults; "no answer": it does not, and yet
            nobody answers; "undecided": it could not be tried.
        version: of the backdoor, 6 on every VMware since 2002; 0 if it is not there.
        product: "ESX", "Workstation", "GSX", "Express"; "" if unknown.
        hypervisor: what CPUID announces, "VMwareVMware", "KVMKVMKVM"; "" without a hypervisor.
        reason: one sentence on why this is not VMware, "" if it is.
    """

    presence: Presence
    version: int
    product: str
    hypervisor: str
    reason: str

    def __bool__(self) -> bool:
        return self.presence == "vmware"


def probe(backdoor: _core.Backdoor | None = None) -> Probe:
    """Looks whether VMware's backdoor answers. Never faults, never disturbs other threads.

    Args:
        backdoor: one to ask instead of the real ports; it must not fault.
    """
    found = _core.probe_ports() if backdoor is None else _core.probe(backdoor)
    return Probe(
        _PRESENCE[found.presence],
        found.version,
        _PRODUCTS.get(found.product, ""),
        found.hypervisor,
        found.reason,
    )


_ports_answered = False


def host_ports() -> _core.Backdoor:
    """The real ports, once they have been found to answer (which is remembered).

    Raises:
        NotVMwareError: they do not; its text says why.
    """
    global _ports_answered  # noqa: PLW0603 (a positive answer stays true for the whole process)
    if not _ports_answered:
        found = probe()
        if not found:
            raise NotVMwareError(found.reason)
        _ports_answered = True
    return _core.PortBackdoor()
