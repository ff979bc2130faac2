"""Finds the real backdoor to the host, by the best way that answers. It serves transport.py.

Short commands use it, so it imports no other module while VMware answers.
"""

from __future__ import annotations

from vmtpy import _core
from vmtpy.errors import NotVMwareError

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from typing import Literal

    from vmtpy._probe import BackdoorWay

    Kind = Literal["auto", "port", "hypercall"]

WAYS: dict[_core.BackdoorWay, BackdoorWay] = {
    _core.BackdoorWay.NONE: "",
    _core.BackdoorWay.PORT: "port",
    _core.BackdoorWay.PRIVILEGED_PORT: "port with iopl",
    _core.BackdoorWay.VMCALL: "vmcall",
    _core.BackdoorWay.VMMCALL: "vmmcall",
}

PRODUCTS = {1: "Express", 2: "ESX", 3: "GSX", 4: "Workstation"}  # the backdoor's numbers


class StandIn:
    """A host in place of this machine's, as vmtpy.testing puts one there.

    Attributes:
        backdoor: its backdoor; None: it has none.
        dialer: connects to it over vsock.
    """

    __slots__ = ("backdoor", "dialer")

    def __init__(self, backdoor: _core.Backdoor | None, dialer: _core.Dialer) -> None:
        self.backdoor = backdoor
        self.dialer = dialer


stand_in: StandIn | None = None

_found: dict[str, _core.Probe] = {}  # the way that answered is the same for the whole process


def find_backdoor(kind: Kind = "auto") -> _core.Backdoor:
    """The real backdoor by the best way that answers, which is remembered.

    Args:
        kind: "port" or "hypercall" to try only these; "auto" tries the ports first.

    Raises:
        NotVMwareError: VMware does not answer; the error says why, and what to do.
    """
    if stand_in is not None:
        if stand_in.backdoor is None:
            raise NotVMwareError("the emulated host of this test has no backdoor")
        return stand_in.backdoor
    found = _found.get(kind)
    if found is None:
        found = _core.probe_machine(
            _core.read_cpu(), ports=kind != "hypercall", hypercalls=kind != "port"
        )
        if found.presence != _core.Presence.VMWARE:
            from vmtpy._probe import judge

            judged = judge(found)
            raise NotVMwareError(judged.reason, judged.remedy)
        _found[kind] = found
    backdoor = _core.make_backdoor(found.way, found.cpu)
    assert backdoor is not None  # the probe has used this way
    return backdoor


def backdoor_way(kind: Kind = "auto") -> BackdoorWay:
    """The way by which find_backdoor() has found the backdoor; "" if it has not."""
    if stand_in is not None:
        return "port" if stand_in.backdoor is not None else ""
    return WAYS[_found[kind].way] if kind in _found else ""
