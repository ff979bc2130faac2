"""The same life, led by our agent and by Debian's unmodified vmtoolsd, each alone on a host of its
own and in a network of its own. What differs is named here, with the reason; anything else fails.

No backup and no power operation: vmtoolsd would freeze and stop what belongs to the machine.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.guest import require_ptrace
from support.namespace import INSIDE, require_namespaces
from support.patience import PATIENCE
from support.statistics import read as read_statistics
from support.xdr import read_nics

from vmtpy import _core, _host

if TYPE_CHECKING:
    from pathlib import Path

VMTOOLSD = shutil.which("vmtoolsd")
COMMANDS = (
    "reset",
    "Capabilities_Register",
    "ping",
    "ping\0",
    "Set_Option broadcastIP 1",
    "Set_Option broadcastIP maybe",
    "Set_Option broadcastIP ",
    "Set_Option synctime 0",
    "Set_Option copypaste 1",
    "Set_Option",
    "Time_Synchronize 0",
    "Nonsense",
)
ONLY_OURS = {
    "SetGuestInfo 5": "vmtoolsd sends the names of the system only where the host refuses key 11",
    "SetGuestInfo 6": "likewise",
    "tools.set.version": "ours is kept by the administrator, not upgraded by the host",
}
ONLY_THEIRS = {
    "SetGuestInfo 4": "the number of its build",
    "tools.capability.guest_conf_directory": "where the host finds its configuration",
    "info-set guestinfo.appInfo": "running programs, of which we tell nobody",
}
STATISTICS = b"SetGuestInfo  8 "
LAST = b"SetGuestInfo  7 "  # the end of vmtoolsd's look at the guest


class Life:
    """What one agent has said."""

    def __init__(self, entries: list[_host.TranscriptEntry]) -> None:
        # vmtoolsd sends the NUL that ends its strings in C.
        self.requests = [
            entry.request
            for entry in entries
            if entry.kind == _host.MessageKind.RPCI and entry.request
        ]
        replies = [entry.request for entry in entries if entry.kind == _host.MessageKind.TCLO_REPLY]
        self.replies = dict(zip(COMMANDS, replies, strict=True))

    def names(self) -> set[str]:
        found = set()
        for request in self.requests:
            first, _, rest = request.rstrip(b"\0").decode("latin-1").partition(" ")
            more = first in ("SetGuestInfo", "info-set")
            found.add(f"{first} {rest.split()[0]}" if more else first)
        return found

    def value(self, beginning: str) -> bytes:
        """The last one that begins so, without the beginning and C's NUL."""
        found = [request for request in self.requests if request.startswith(beginning.encode())]
        value = found[-1].removeprefix(beginning.encode())
        binary = beginning in ("SetGuestInfo  8 ", "SetGuestInfo  10 ")
        return value if binary else value.rstrip(b"\0")


def lead(command: list[str], announced: bytes, informed: bytes) -> Life:
    device = _host.Device(_core.SteadyClock())
    host = _host.TrapHost(device, ["/bin/sh", "-c", f'exec {INSIDE} "$@"', "sh", *command])
    entries: list[_host.TranscriptEntry] = []

    def until(text: bytes, kind: _host.MessageKind, count: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while (
            sum(entry.kind == kind and entry.request.startswith(text) for entry in entries) < count
        ):
            assert time.monotonic() < deadline, f"{text!r} never came: {entries}"
            entries.extend(device.take_transcript(time.monotonic() + 0.05))

    host.start()
    try:
        assert device.wait_for_tools(time.monotonic() + PATIENCE)
        for number, one in enumerate(COMMANDS, 1):
            device.send_command(one)
            until(b"", _host.MessageKind.TCLO_REPLY, number)
        until(announced, _host.MessageKind.RPCI)
        until(b"SetGuestDiskInfo ", _host.MessageKind.RPCI)
        until(informed, _host.MessageKind.RPCI, 2)
        until(STATISTICS, _host.MessageKind.RPCI)
    finally:
        host.signal(15)
        if not host.wait(time.monotonic() + PATIENCE):
            host.signal(9)
            host.wait(time.monotonic() + PATIENCE)
    entries.extend(device.take_transcript())
    return Life(entries)


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Life, Life]:
    require_ptrace()
    require_namespaces()
    if VMTOOLSD is None:
        pytest.skip("capability missing: vmtoolsd (open-vm-tools)")
    directory: Path = tmp_path_factory.mktemp("lives")
    tools = directory / "tools.conf"
    tools.write_text("[guestinfo]\npoll-interval=1\nstats-interval=1\n")
    config = directory / "vmtpy.toml"
    config.write_text("[guest_info]\ninterval = 1\n")
    run = [sys.executable, "-m", "vmtpy", "run", "--config", str(config)]
    ours = lead(run, b"tools.set.version ", LAST)
    theirs = lead([VMTOOLSD, "-n", "vmsvc", "-c", str(tools)], b"tools.set.versiontype ", LAST)
    return ours, theirs


def test_they_tell_the_same_but_for_what_is_explained(lives: tuple[Life, Life]) -> None:
    ours, theirs = lives
    assert ours.names() - theirs.names() == set(ONLY_OURS)
    assert theirs.names() - ours.names() <= set(ONLY_THEIRS)


def test_they_answer_the_same(lives: tuple[Life, Life]) -> None:
    ours, theirs = lives
    assert ours.replies == theirs.replies
    assert ours.replies["Nonsense"] == b"ERROR Unknown Command"


def test_the_same_capabilities_but_nvme(lives: tuple[Life, Life]) -> None:
    ours, theirs = lives
    assert b"tools.capability.features 36=1" in ours.requests, "NVMe disks may be quiesced"
    told = {request.rstrip(b"\0") for request in theirs.requests}
    assert b"tools.capability.features 36=1" not in told, "it has not been told that"
    for life in lives:
        assert b"tools.capability.statechange " in life.requests
        assert b"tools.capability.softpowerop_retry " in life.requests
        assert life.value("tools.capability.hgfs_server toolbox ") == b"0", "withdrawn at the end"
        assert life.value("tools.capability.features ") == b"36=0", "likewise"


def test_the_same_name_address_and_disks(lives: tuple[Life, Life]) -> None:
    ours, theirs = lives
    assert ours.value("SetGuestInfo  1 ") == theirs.value("SetGuestInfo  1 ") == b"guest"
    assert ours.value("info-set guestinfo.ip ") == b"192.0.2.2"
    assert theirs.value("info-set guestinfo.ip ") == b"192.0.2.2"

    def nics(life: Life) -> bytes:
        """Up to the routes, to the byte: addresses with their status."""
        record = life.value("SetGuestInfo  10 ")
        assert len(read_nics(record)["nics"]) == 1
        return record[: 3 * 4 + (4 + 20) + 4 + (4 + 4 + 4) + 4 + (4 + 8) + 4 * 4]

    assert nics(ours) == nics(theirs)

    def root(life: Life) -> dict[str, str]:
        disks = json.loads(life.value("SetGuestDiskInfo "))["disks"]
        found = next(disk for disk in disks if disk["name"] == "Lw==")
        return {key: found[key] for key in ("size", "fstype")}

    assert root(ours) == root(theirs)


def test_the_same_resolver(lives: tuple[Life, Life]) -> None:
    """Of a resolv.conf with more than three servers vmtoolsd tells the first three, of one with
    none it tells the C library's 127.0.0.1.
    """
    ours, theirs = (read_nics(life.value("SetGuestInfo  10 "))["dns"] for life in lives)
    assert ours["host"] == theirs["host"] == b"guest"
    assert ours["domain"] == theirs["domain"]
    assert ours["suffixes"] == theirs["suffixes"]
    assert (ours["servers"] or ["127.0.0.1"])[:3] == theirs["servers"]


def test_the_same_statistics(lives: tuple[Life, Life]) -> None:
    (ours_fixed, ours), (theirs_fixed, theirs) = (
        read_statistics(life.value(STATISTICS.decode())) for life in lives
    )
    assert ours_fixed == theirs_fixed
    assert [(key, *one[:2]) for key, one in ours.items()] == [
        (key, *one[:2]) for key, one in theirs.items()
    ]
    for steady in (6, 10, 11, 12, 13, 60):  # memory, pages and huge pages of this machine
        assert ours[steady] == theirs[steady]


def test_the_same_default_route(lives: tuple[Life, Life]) -> None:
    """vmtoolsd tells all routes, we the default ones."""
    ours, theirs = (read_nics(life.value("SetGuestInfo  10 "))["routes"] for life in lives)
    (mine,) = ours
    same = [line for line in theirs if line["to"] == "0.0.0.0/0"]
    assert [(line["via"], line["nic"]) for line in same] == [(mine["via"], mine["nic"])]


def test_the_same_details_of_the_system(lives: tuple[Life, Life]) -> None:
    ours, theirs = (life.value("SetGuestInfo  11 ") for life in lives)
    assert struct.unpack_from("<I129s", ours) == struct.unpack_from("<I129s", theirs)
    assert ours[648:] == theirs[648:], "words after the fixed part"
    assert lives[0].value("SetGuestInfo  6 ") == ours[4:133].rstrip(b"\0")
