"""What the host is told of this guest, and when, by an in-process host."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from support.emulated import EmulatedHost
from support.xdr import read_nics

from vmtpy.errors import PlanError
from vmtpy.services import disks, nics
from vmtpy.services.disks import Disk
from vmtpy.services.guest_info import GuestInfo
from vmtpy.services.netlink import Address, Link, Route
from vmtpy.services.nics import Network
from vmtpy.services.rpc import Rpc

if TYPE_CHECKING:
    from collections.abc import Callable

UPTIME = b"SetGuestInfo  7 "


class Rig:
    """Guest information about a made-up network and made-up disks."""

    def __init__(self) -> None:
        self.host = EmulatedHost()
        self.lines: list[str] = []
        self.info = GuestInfo(15.0, Rpc(self.host.backdoor, self.lines.append), self.lines.append)
        self.network = network("192.0.2.2")
        self.disks = [Disk("/", "ext4", 10, 100)]

    def update(self, now: float | None = None) -> list[bytes]:
        """What is due at a moment (by default a look, at once); what the host was told."""
        if now is None:
            self.info.configure(15.0)
        self.info.update(now or 0.0)
        return [entry.request for entry in self.host.device.take_transcript()]


def network(address: str) -> Network:
    octets = bytes(map(int, address.split(".")))
    return Network(
        (Link(2, "eth0", flags=1, mac=bytes(range(6))),),
        (Address(2, octets, 24),),
        (Route(2, 2, bytes((192, 0, 2, 1))),),
    )


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    made = Rig()
    monkeypatch.setattr(nics, "read", lambda: made.network)
    monkeypatch.setattr(disks, "read", lambda: made.disks)
    return made


def kinds(requests: list[bytes]) -> list[str]:
    return [
        " ".join(request.decode("latin-1").split()[: 2 if b"  " in request[:14] else 1])
        for request in requests
    ]


LOOK = [f"SetGuestInfo {key}" for key in (1, 5, 6, 11, 7, 10)] + ["SetGuestDiskInfo"]
ALL = [*LOOK, "SetGuestInfo 8"]


def test_the_first_look_tells_everything(rig: Rig) -> None:
    told = rig.update()
    assert kinds(told) == ALL
    assert told[0] == b"SetGuestInfo  1 " + os.uname().nodename.encode()
    assert read_nics(told[5].removeprefix(b"SetGuestInfo  10 "))["nics"][0]["ips"] == [
        "192.0.2.2/24"
    ]
    assert json.loads(told[6].removeprefix(b"SetGuestDiskInfo "))["disks"][0]["size"] == "100"


def test_after_that_only_what_has_changed_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.update()
    assert rig.update() == []
    rig.network = network("192.0.2.3")
    rig.disks = [Disk("/", "ext4", 9, 100)]
    changed = [request for request in rig.update() if not request.startswith(UPTIME)]
    assert kinds(changed) == ["SetGuestInfo 10", "SetGuestDiskInfo"]
    renamed = os.uname_result(("Linux", "new", "6.1", "#1", "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: renamed)
    assert b"SetGuestInfo  1 new" in rig.update()


def test_the_uptime_is_in_hundredths_of_a_second(rig: Rig) -> None:
    seconds = float(Path("/proc/uptime").read_text().split()[0])
    told = next(request for request in rig.update() if request.startswith(UPTIME))
    assert int(told.removeprefix(UPTIME)) == pytest.approx(seconds * 100, abs=200)


def test_the_uptime_is_told_in_every_second_interval(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    hundredths = iter(range(100, 10000, 100))
    monkeypatch.setattr("time.clock_gettime", lambda _clock: next(hundredths) / 100)
    told = [
        now
        for now in range(0, 120, 15)
        if any(request.startswith(UPTIME) for request in rig.update(float(now)))
    ]
    assert told == [0, 30, 60, 90]


def test_how_full_the_disks_are_is_told_in_every_second_interval(rig: Rig) -> None:
    told = []
    for now in range(0, 120, 15):
        rig.disks = [Disk("/", "ext4", now, 100)]
        if "SetGuestDiskInfo" in kinds(rig.update(float(now))):
            told.append(now)
    assert told == [0, 30, 60, 90]


def test_statistics_are_told_every_20_s_and_no_more(rig: Rig) -> None:
    told = [
        now
        for now in range(0, 65)
        if any(request.startswith(b"SetGuestInfo  8 ") for request in rig.update(float(now)))
    ]
    assert told == [0, 20, 40, 60]


def test_a_host_that_wants_no_statistics_is_not_told_them_before_a_reset(rig: Rig) -> None:
    rig.host.device.answer_with("SetGuestInfo  8 ", "0 no", 0)
    assert kinds(rig.update(0.0)) == ALL
    assert "SetGuestInfo 8" not in kinds(rig.update(20.0))
    rig.info.forget()
    assert "SetGuestInfo 8" in kinds(rig.update(40.0))


def test_an_idle_guest_tells_its_host_less_than_every_other_second(rig: Rig) -> None:
    """Four traps a second in all: 3.33 of them are two for each poll, 0.6 s apart."""
    rig.update(0.0)
    before = rig.host.traps()
    for second in range(1, 301):
        rig.disks = [Disk("/", "ext4", second, 100)]  # somebody writes all the time
        rig.update(float(second))
    assert (rig.host.traps() - before) / 300 <= 0.6


def test_a_host_that_has_forgotten_is_told_everything_again(rig: Rig) -> None:
    rig.update(100.0)
    assert rig.info.due == 115.0
    rig.info.forget()
    assert rig.info.due == 0.0
    assert kinds(rig.update(101.0)) == LOOK, "statistics have their own time"


def test_a_change_is_looked_at_soon_but_not_in_the_middle_of_a_burst(rig: Rig) -> None:
    rig.update(100.0)
    rig.info.changed(101.0)
    rig.info.changed(101.05)
    assert rig.info.due == pytest.approx(101.1)


def test_changes_without_a_pause_are_looked_at_once_a_second(rig: Rig) -> None:
    """On a router they never end, and each look costs processor time."""
    rig.update(100.0)
    looks, now = 0, 100.0
    while now < 110.0:
        rig.info.changed(now)
        now += 0.05
        looks += rig.info.due <= now
        rig.info.update(now)
    assert 9 <= looks <= 10


def test_a_host_without_key_10_gets_key_9_with_64_addresses(rig: Rig) -> None:
    many = tuple(Address(2, bytes((10, 0, n, 1)), 24) for n in range(100))
    rig.network = Network(rig.network.links, many, ())
    rig.host.device.answer_with("SetGuestInfo  10 ", "0 Unknown", 0)
    told = rig.update()
    nine = next(request for request in told if request.startswith(b"SetGuestInfo  9 "))
    assert len(read_nics(nine.removeprefix(b"SetGuestInfo  9 "))["nics"][0]["ips"]) == 64
    assert rig.lines == ["the host refused SetGuestInfo 10: Unknown"]
    rig.network = network("192.0.2.9")
    assert kinds([request for request in rig.update() if not request.startswith(UPTIME)]) == [
        "SetGuestInfo 9"
    ]


def test_a_host_without_disk_info_gets_key_3(rig: Rig) -> None:
    rig.host.device.answer_with("SetGuestDiskInfo ", "0 Unknown", 0)
    old = next(request for request in rig.update() if request.startswith(b"SetGuestInfo  3 "))
    assert old.removeprefix(b"SetGuestInfo  3 ") == disks.encode_old(rig.disks)
    assert all(request.startswith(UPTIME) for request in rig.update())


def test_what_is_refused_is_not_repeated_before_a_reset(rig: Rig) -> None:
    rig.host.device.answer_with("SetGuestInfo  6 ", "0 no", 0)
    rig.update()
    assert "SetGuestInfo 6" not in kinds(rig.update())
    rig.info.forget()
    assert "SetGuestInfo 6" in kinds(rig.update())


def test_a_host_that_is_away_is_told_when_it_is_back(rig: Rig) -> None:
    rig.host.device.misbehave(0, times=8, status=0)  # OPEN, with cookie and without, and again
    assert rig.update(100.0) == []
    assert rig.info.due == 115.0
    assert kinds(rig.update(115.0)) == LOOK
    assert kinds(rig.update(120.0)) == ["SetGuestInfo 8"]
    assert rig.lines == []


def test_one_look_that_fails_does_not_lose_the_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Network:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(nics, "read", broken)
    told = kinds(rig.update())
    assert "SetGuestInfo 10" not in told
    assert "SetGuestDiskInfo" in told
    rig.update()
    assert len(rig.lines) == 1


def test_a_refusal_is_one_short_line_of_the_log(rig: Rig) -> None:
    rig.host.device.answer_with(
        "SetGuestInfo  6 ", "0 no\nvmtpy: all is well\x1b[2J" + "x" * 9999, 0
    )
    rig.update()
    assert len(rig.lines) == 1
    assert rig.lines[0].isprintable()
    assert len(rig.lines[0]) < 500


def test_disks_that_cannot_be_planned_are_complained_of_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[Disk]:
        raise PlanError("/vm stands on itself")

    monkeypatch.setattr(disks, "read", broken)
    assert "SetGuestInfo 8" in kinds(rig.update())
    rig.update()
    assert rig.lines == ["the guest information could not be read: /vm stands on itself"]


def test_guestinfo_ip_is_kept_only_while_the_host_wants_it(rig: Rig) -> None:
    def told(look: Callable[[], list[bytes]]) -> list[bytes]:
        return [request for request in look() if request.startswith(b"info-set")]

    assert told(rig.update) == []
    rig.info.broadcast(on=True)
    assert told(rig.update) == [b"info-set guestinfo.ip 192.0.2.2"]
    assert told(rig.update) == []
    rig.network = network("192.0.2.3")
    assert told(rig.update) == [b"info-set guestinfo.ip 192.0.2.3"]
    rig.info.broadcast(on=True)
    assert told(rig.update) == [b"info-set guestinfo.ip 192.0.2.3"], "asked again, told again"
    rig.info.broadcast(on=False)
    rig.network = network("192.0.2.4")
    assert told(rig.update) == []
    assert rig.host.device.guestinfo("ip") == b"192.0.2.3"


def test_a_network_too_large_for_one_message_is_told_in_part(rig: Rig) -> None:
    links = tuple(Link(n, f"eth{n}", flags=1, mac=bytes((2, 0, 0, 0, 0, n))) for n in range(1, 17))
    many = tuple(
        Address(link.interface, bytes((10, link.interface, n, 1)), 24)
        for link in links
        for n in range(200)
    )
    rig.network = Network(links, many, ())
    told = rig.update()
    assert "SetGuestInfo 10" not in kinds(told)
    nine = next(request for request in told if request.startswith(b"SetGuestInfo  9 "))
    assert len(read_nics(nine.removeprefix(b"SetGuestInfo  9 "))["nics"]) == 16
    assert len(rig.lines) == 1
    assert rig.lines[0].startswith("SetGuestInfo 10: ")


def test_a_host_name_that_is_no_utf8_is_told_as_it_is(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes any bytes for one."""
    real = os.uname()
    named = SimpleNamespace(
        nodename=os.fsdecode(b"h\xffst"),
        sysname=real.sysname,
        release=real.release,
        version=real.version,
        machine=real.machine,
    )
    monkeypatch.setattr(os, "uname", lambda: named)
    assert rig.update()[0] == b"SetGuestInfo  1 h\xffst"
