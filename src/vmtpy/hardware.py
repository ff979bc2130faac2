"""Reads facts of the virtual machine and the host's time, without a message channel.

    vmtpy.hardware.read().memory_mib
    vmtpy.hardware.host_time().unix

Both raise `vmtpy.NotVMwareError` if no VMware host answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmtpy import _core
from vmtpy.transport import find_ways


@dataclass(frozen=True, slots=True)
class Hardware:
    """The facts of the virtual machine. A fact is None if the host does not know it; over vsock all
    are None.

    Attributes:
        version: the version of the virtual hardware, 19 for "vmx-19".
        uuid: the UUID of the BIOS, "564d1234-…".
        memory_mib: the size of the memory in MiB.
        cpu_mhz: the clock rate of a processor in MHz.
    """

    version: int | None
    uuid: str | None
    memory_mib: int | None
    cpu_mhz: int | None


@dataclass(frozen=True, slots=True)
class HostTime:
    """The host's clock.

    Attributes:
        unix: the seconds since 1970, with a resolution of 1 µs.
        max_lag: the seconds by which a guest's clock may be behind before it should be corrected.
        lag: the seconds by which the host delays this guest's timer interrupts; 0 if unknown.
    """

    unix: float
    max_lag: float
    lag: float


def read(backdoor: _core.Backdoor | None = None) -> Hardware:
    """The facts of this virtual machine, as a `Hardware`.

    Args:
        backdoor: the backdoor to ask in place of this machine's.

    Raises:
        NotVMwareError: VMware does not answer; the text says why.
        TypeError: `backdoor` is not a backdoor.
    """
    found = _core.read_hardware(find_ways(backdoor=backdoor).backdoor)
    return Hardware(found.hardware_version, found.uuid, found.memory_mib, found.cpu_mhz)


def host_time(backdoor: _core.Backdoor | None = None) -> HostTime | None:
    """The host's time now, as a `HostTime`; None if the host does not know it.

    Args:
        backdoor: the backdoor to ask in place of this machine's.

    Raises:
        NotVMwareError: VMware does not answer; the text says why.
        TypeError: `backdoor` is not a backdoor.
    """
    now = _core.read_host_time(find_ways(backdoor=backdoor).backdoor)
    if now is None:
        return None
    return HostTime(now.unix_us / 1e6, now.max_lag_us / 1e6, now.lag_us / 1e6)
