"""`vmtpy-toolbox-cmd timesync`: the host's option to synchronize this guest's clock."""

from __future__ import annotations

import sys

from vmtpy import _core
from vmtpy.errors import VmtError
from vmtpy.rpci import Rpci
from vmtpy.toolbox.codes import EX_UNAVAILABLE, UsageError
from vmtpy.transport import find_ways


def main(words: list[str], quiet: bool) -> int:
    """Reads or sets the option. Returns 0; 69 if it is disabled; 1 if the host refuses."""
    if words[0] not in ("enable", "disable", "status"):
        raise UsageError(f"Unknown subcommand '{words[0]}'")
    enabled = _core.read_time_option(find_ways(spare=True).backdoor)
    code = 0
    if words[0] == "status":
        code = 0 if enabled else EX_UNAVAILABLE
    elif enabled != (words[0] == "enable"):
        enabled = words[0] == "enable"
        try:
            with Rpci() as rpci:
                rpci.call(b"vmx.set_option synctime %d %d" % (not enabled, enabled), last=True)
        except VmtError as error:
            if not quiet:
                reason = getattr(error, "reason", str(error).encode())
                print(f"Error: {reason.decode('utf-8', 'replace')}", file=sys.stderr)
            return 1
    if not quiet:
        print("Enabled" if enabled else "Disabled")
    return code
