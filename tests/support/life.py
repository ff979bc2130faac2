"""A guest's whole life as lines of text, in which names replace what differs between machines.

host   reset            a command of the host
answer OK ATR toolbox   the guest's answer to the command
guest  log …            a request of the guest
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from support.xdr import read_nics

from vmtpy import __version__, _host

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = {
    _host.MessageKind.TCLO_COMMAND: "host  ",
    _host.MessageKind.TCLO_REPLY: "answer",
    _host.MessageKind.RPCI: "guest ",
}
# Of the machine, of its distribution, of the moment.
VARIABLE = {
    "SetGuestInfo  5 ": "<os-release's PRETTY_NAME>",
    "SetGuestInfo  6 ": "<vSphere's name for it>",
    "SetGuestInfo  7 ": "<hundredths of a second>",
    "SetGuestInfo  11 ": "<details of the operating system>",
    "SetGuestDiskInfo ": "<filesystems>",
    "info-set guestinfo.vmtpy.backup ": "<report>",
}
NICS = "SetGuestInfo  10 "


def lines(entries: Iterable[_host.TranscriptEntry]) -> list[str]:
    return [f"{KINDS[entry.kind]} {words(entry.request)}" for entry in entries if keep(entry)]


def keep(entry: _host.TranscriptEntry) -> bool:
    """Whether a line is kept: keep-alives and statistics depend on the clock and are dropped."""
    return not entry.request.startswith((b"vmbackup.eventSet req.keepAlive", b"SetGuestInfo  8 "))


def words(message: bytes) -> str:
    text = message.decode("latin-1")
    if text.startswith(NICS):
        found = read_nics(message.removeprefix(NICS.encode()))
        found.pop("dns")  # the machine's resolv.conf
        return NICS + json.dumps(found)
    for beginning, name in VARIABLE.items():
        if text.startswith(beginning):
            return beginning + name
    return re.sub(rf"\b{re.escape(__version__)}\b", "<version>", text)
