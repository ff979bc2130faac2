"""`vmtpy-toolbox-cmd stat`: prints the host's time and ESXi's statistics of this guest."""

from __future__ import annotations

import sys
from typing import NamedTuple

from vmtpy import guestlib
from vmtpy.errors import VmtError
from vmtpy.toolbox.codes import EX_TEMPFAIL, UsageError


class Statistic(NamedTuple):
    """A statistic that is a number: its identifier, its unit, and its name in error messages."""

    identifier: int
    unit: str
    name: str


STATISTICS = {
    "balloon": Statistic(guestlib.MEMORY_BALLOONED, "MB", "ballooned memory"),
    "swap": Statistic(guestlib.MEMORY_SWAPPED, "MB", "swapped memory"),
    "memlimit": Statistic(guestlib.MEMORY_LIMIT, "MB", "memory limit"),
    "memres": Statistic(guestlib.MEMORY_RESERVATION, "MB", "memory reservation"),
    "cpures": Statistic(guestlib.CPU_RESERVATION, "MHz", "CPU minimum"),
    "cpulimit": Statistic(guestlib.CPU_LIMIT, "MHz", "CPU limit"),
}
NOT_AVAILABLE = "This value is not available on this host"
UNSUPPORTED = "Host does not support this request."


def main(words: list[str], quiet: bool) -> int:
    """Prints one statistic. Returns 0, or 75 if the host does not have it."""
    try:
        print(answer(words), end="")
    except VmtError as error:
        if not quiet:
            print(error, file=sys.stderr)
        return EX_TEMPFAIL
    return 0


def answer(words: list[str]) -> str:
    """The text to print.

    Raises:
        VmtError: the host does not have the value; the text is the message.
    """
    name = words[0]
    if name == "hosttime":
        return f"{host_time()}\n"
    if name == "speed":
        return f"{speed()} MHz\n"
    if name == "raw":
        return raw(*(*words[1:4], "", "", "")[:3])
    if name == "sessionid":
        return f"0x{read().session:x}\n"
    if name not in STATISTICS:
        raise UsageError(f"Unknown subcommand '{name}'")
    wanted = STATISTICS[name]
    found = read()
    value = found.values.get(wanted.identifier)
    if value is None:
        reason = NOT_AVAILABLE if wanted.identifier <= found.known else UNSUPPORTED
        raise VmtError(f"Failed to get {wanted.name}: {reason}")
    return f"{value!s} {wanted.unit}\n"


def read() -> guestlib.Statistics:
    from vmtpy.rpci import Rpci

    try:
        with Rpci() as rpci:
            return guestlib.read(rpci)
    except VmtError as error:
        raise VmtError(f"UpdateInfo failed: {error}") from error


def raw(encoding: str, statistic: str, parameter: str) -> str:
    import os

    from vmtpy.rpci import Rpci

    request = os.fsencode(f"guestlib.stat.get {encoding} {statistic} {parameter}")
    try:
        with Rpci() as rpci:
            return rpci.call(request, last=True).decode("utf-8", "replace").partition("\0")[0]
    except VmtError as error:
        raise VmtError(f"Failed to get stat: {NOT_AVAILABLE}") from error


def speed() -> int:
    from vmtpy import hardware

    mhz = hardware.read().cpu_mhz
    if not mhz or mhz >= 1 << 31:
        raise VmtError("Unable to get processor speed.")
    return mhz


def host_time() -> str:
    """The host's time in this guest's time zone and language."""
    import locale
    import time
    from contextlib import suppress

    from vmtpy import hardware

    now = hardware.host_time()
    if now is None:
        raise VmtError("Unable to get host time.")
    with suppress(locale.Error):
        locale.setlocale(locale.LC_TIME, "")
    return time.strftime("%d %b %Y %H:%M:%S", time.localtime(int(now.unix)))
