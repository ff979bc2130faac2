"""Finds the ways to the host for a conversation: the backdoor that answers, vsock, or both.

It serves the agent and vmtpy.Rpci. The core chooses between the ways (csrc/wire/transports.h).
"""

from __future__ import annotations

import os

from vmtpy import _core
from vmtpy import backdoor as machine
from vmtpy.backdoor import backdoor_way, find_backdoor
from vmtpy.errors import ChannelError, NotVMwareError, SystemCallError

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from typing import Literal

    Transport = Literal["auto", "vsock", "port", "hypercall"]

# The environment variable by which `vmtpy record` has a program say what it says to the host.
RECORDER = "VMTPY_RECORDER"

TRANSPORTS = ("auto", "vsock", "port", "hypercall")

# The host's words alone do not tell that secure GuestRPC is the reason, so a remedy is added.
DENIED = b"Permission denied"
REMEDY = (
    "the host has secure GuestRPC and accepts this request only over vsock from a port below 1024: "
    "run it as root, on a host and a kernel with vsock"
)


class Ways:
    """The ways to the host.

    Attributes:
        backdoor: the backdoor, which alone gives facts about the host and its time; without a
            backdoor an object that knows none.
        transports: the transports for conversations.
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
    """The ways to the host to use.

    Args:
        transport: a `Transport`; "auto" is vsock if the host listens on it, else the backdoor.
        spare: with "auto", use the backdoor, and vsock only if the backdoor cannot serve. That is
            cheaper for a program that sends few requests. Default: False.
        backdoor: the backdoor to use in place of this machine's. With a `backdoor` and no `dialer`,
            vsock is not used.
        dialer: opens vsock connections in place of AF_VSOCK.
        clock: measures how long a failure is remembered. Default: the steady clock.

    Raises:
        NotVMwareError: VMware does not answer; the text says why.
        TypeError, ValueError: an argument has another type, or is not one of the transports.
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
            # Outside VMware another program may listen on vsock, or an attempt may never be
            # answered.
            announced = _core.read_cpu().hypervisor == "VMwareVMware"
            if preference != preferences.VSOCK and not announced and dialer is None:
                raise
            backdoor = _core.AbsentBackdoor()
    metered = _core.MeteredBackdoor(backdoor)
    recorder = os.environ.get(RECORDER)
    if recorder:
        try:  # contextlib would cost short commands 1 ms
            metered.record_to(recorder)
        except SystemCallError:  # the recorder has ended before this program
            recorder = None
    transports = _core.Transports(
        metered,
        dialer or _core.VsockDialer(),
        clock or _core.SteadyClock(),
        preference=preference,
        backdoor_name=name,
    )
    return Ways(metered, transports)


def vsock_answers() -> bool:
    """Whether the host listens on vsock. Waits for the attempt to connect."""
    channel = _core.VsockChannel(find_ways("vsock").transports, _core.Protocol.RPCI)
    try:
        channel.open()
    except ChannelError:
        return False
    channel.close()
    return True
