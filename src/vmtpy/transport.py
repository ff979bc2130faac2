"""The ways to the host that a conversation is given: the backdoor that answers, vsock, or both.

The decision between them is the core's (wire/transports.h); here is what there is to decide about.
"""

from __future__ import annotations

from vmtpy import _core
from vmtpy import backdoor as machine
from vmtpy.backdoor import backdoor_way, find_backdoor
from vmtpy.errors import ChannelError, NotVMwareError

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from typing import Literal

    Transport = Literal["auto", "vsock", "port", "hypercall"]

TRANSPORTS = ("auto", "vsock", "port", "hypercall")

# Who sees nothing but this on "Permission denied" would look for the fault in the wrong place.
DENIED = b"Permission denied"
REMEDY = (
    "the host has secure GuestRPC: only a vsock connection from a port below 1024 may ask this; "
    "run it as root, on a host and a kernel with vsock"
)


class Ways:
    """The ways to the host.

    Attributes:
        backdoor: for facts about host and time, which it alone has; where there is none, one that
            knows nothing.
        transports: for conversations.
    """

    __slots__ = ("backdoor", "transports")

    def __init__(self, backdoor: _core.MeteredBackdoor, transports: _core.Transports) -> None:
        self.backdoor: _core.MeteredBackdoor = backdoor
        self.transports: _core.Transports = transports


def find_ways(
    transport: str = "auto",
    *,
    spare: bool = False,
    backdoor: _core.Backdoor | None = None,
    dialer: _core.Dialer | None = None,
    clock: _core.Clock | None = None,
) -> Ways:
    """The ways to the host that are to be used.

    Args:
        transport: a `Transport`; "auto": vsock where the host listens, else the backdoor.
        spare: "auto" means the backdoor, and vsock only where that cannot serve: what a program
            that asks a few questions needs.
        backdoor: one to use instead of this machine's; without a `dialer` it is used alone.
        dialer: one to connect over vsock with, instead of AF_VSOCK.
        clock: for what is remembered of failures.

    Raises:
        NotVMwareError: VMware does not answer; its text says why.
        TypeError, ValueError: an argument is of another type, or not among the transports.
    """
    if transport not in TRANSPORTS:
        raise ValueError(f"transport must be one of {', '.join(TRANSPORTS)}, not {transport!r}")
    if not isinstance(backdoor, _core.Backdoor | None):
        raise TypeError(f"backdoor must be a backdoor or None, not {type(backdoor).__name__}")
    if not isinstance(dialer, _core.Dialer | None):
        raise TypeError(f"dialer must be a dialer or None, not {type(dialer).__name__}")
    if machine.stand_in is not None and backdoor is None and dialer is None:
        dialer = machine.stand_in.dialer
    preferences = _core.Preference
    preference = {
        "auto": preferences.SPARE if spare else preferences.AUTO,
        "vsock": preferences.VSOCK,
    }.get(transport, preferences.BACKDOOR)
    name = "backdoor"
    if backdoor is not None:
        if dialer is None:
            preference = preferences.BACKDOOR
    elif transport in ("port", "hypercall"):
        kind: Literal["port", "hypercall"] = "port" if transport == "port" else "hypercall"
        backdoor, name = find_backdoor(kind), backdoor_way(kind)
    else:
        try:
            backdoor, name = find_backdoor(), backdoor_way() or name
        except NotVMwareError:
            # Elsewhere somebody else may listen on vsock, or leave every attempt in the air.
            announced = _core.read_cpu().hypervisor == "VMwareVMware"
            if preference != preferences.VSOCK and not announced and dialer is None:
                raise
            backdoor = _core.AbsentBackdoor()
    metered = _core.MeteredBackdoor(backdoor)
    transports = _core.Transports(
        metered,
        dialer or _core.VsockDialer(),
        clock or _core.SteadyClock(),
        preference=preference,
        backdoor_name=name,
    )
    return Ways(metered, transports)


def vsock_answers() -> bool:
    """Whether the host listens on vsock; waits for it."""
    channel = _core.VsockChannel(find_ways("vsock").transports, _core.Protocol.RPCI)
    try:
        channel.open()
    except ChannelError:
        return False
    channel.close()
    return True
