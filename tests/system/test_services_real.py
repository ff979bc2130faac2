"""The services of a real agent under the ptrace host: what the host is told, and what it can ask.

What a power operation does is a recorder here; see also tests/conftest.py, which keeps even the
default commands from doing anything.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.guest import running_guest
from support.loop import loop_mount
from support.namespace import INSIDE, MAC, inside, require_namespaces
from support.xdr import read_nics

from vmtpy import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.guest import Guest

BUSY = b"ERROR Quiesce operation in progress"
NICS = b"SetGuestInfo  10 "


def recorder(directory: Path) -> str:
    return (
        f"[power]\nhalt = ['sh', '-c', 'echo halt >> {directory}/deeds']\n"
        f"reboot = ['sh', '-c', 'echo reboot >> {directory}/deeds']\n"
    )


@contextmanager
def serving(directory: Path, config: str = "") -> Iterator[Guest]:
    """An agent that has told the host all about its guest."""
    with running_guest([], directory / "log", recorder(directory) + config) as guest:
        guest.hears(b"SetGuestDiskInfo ")
        yield guest


def time_questions(guest: Guest) -> int:
    return guest.device.traps().get("GETTIMEFULL_WITH_LAG", 0)


def deeds(directory: Path) -> list[str]:
    file = directory / "deeds"
    return file.read_text().split() if file.exists() else []


def test_it_announces_itself_and_its_guest_and_takes_leave(tmp_path: Path) -> None:
    with serving(tmp_path) as guest:
        said = guest.requests()
        assert said[1:11] == [
            b"vmx.capability.unified_loop toolbox",
            b"tools.capability.hgfs_server toolbox 1",
            b"tools.capability.statechange ",
            b"tools.capability.softpowerop_retry ",
            b"tools.capability.features 36=1",
            b"tools.set.version 2147483647",
            b"tools.set.versiontype 2147483647 4",
            b"info-set guestinfo.vmtools.description vmtpy " + __version__.encode(),
            b"info-set guestinfo.vmtools.versionString " + __version__.encode(),
            b"info-set guestinfo.vmtools.versionNumber 2147483647",
        ]
        assert said[11] == b"info-set guestinfo.vmtools.buildNumber 0"
        assert said[12].startswith(b"SetGuestInfo  7 ")
        assert said[13] == b"SetGuestInfo  1 " + os.uname().nodename.encode()
        guest.until(lambda: time_questions(guest) == 1)
        assert guest.end() == 0
        guest.read()
        assert guest.requests()[-3:] == [
            b"tools.capability.hgfs_server toolbox 0",
            b"tools.capability.features 36=0",
            b"log vmtpy: guest agent stopped",
        ]
        assert guest.device.open_channels() == 0


def test_the_version_can_be_configured_and_guest_information_turned_off(tmp_path: Path) -> None:
    config = "[tools]\nversion = 12352\n[guest_info]\nenabled = false\n"
    with running_guest([], tmp_path / "log", config) as guest:
        guest.hears(b"tools.set.version 12352")
        assert guest.command("Set_Option broadcastIP 1") == b"OK "
        assert guest.command("ping") == b"OK "
        told = guest.told(b"SetGuest")
        assert told
        assert all(request.startswith(b"SetGuestInfo  7 ") for request in told), "the uptime alone"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("Set_Option", b"ERROR Unknown or invalid option"),
        ("Set_Option broadcastIP", b"ERROR Unknown or invalid option"),
        ("Set_Option broadcastIP yes", b"OK "),
        ("Set_Option nonsense 1", b"OK "),
        ("Set_Option synctime 0", b"OK "),
        ("Set_Option synctime.period 60", b"OK "),
        ("Time_Synchronize", b"ERROR Time_Synchronize: expected 0 or 1"),
        ("Time_Synchronize 0", b"OK "),
        ("OS_Nonsense", b"ERROR Unknown Command"),
        ("Set_Option\0 x", b"ERROR Unknown Command"),
    ],
)
def test_options_bad_values_missing_values_unknown_commands(
    command: str, answer: bytes, served: Guest
) -> None:
    assert served.command(command) == answer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """One agent for several questions."""
    with serving(tmp_path_factory.mktemp("served")) as guest:
        yield guest


def test_a_halt_is_reported_answered_and_then_done(tmp_path: Path) -> None:
    with serving(tmp_path) as guest:
        assert guest.command("OS_Halt") == b"OK "
        guest.until(lambda: deeds(tmp_path) == ["halt"])
        report = guest.when(b"tools.os.statechange.status 1 1")
        reply = guest.when(b"OK ")
        assert report < reply
        assert guest.command("OS_Reboot") == b"OK "
        guest.until(lambda: deeds(tmp_path) == ["halt", "reboot"])


def test_by_default_systemctl_does_it(tmp_path: Path) -> None:
    calls = Path(os.environ["VMTPY_DISARMED_CALLS"])
    before = calls.read_text().splitlines() if calls.exists() else []
    with running_guest([], tmp_path / "log") as guest:
        guest.hears(b"tools.set.version")
        assert guest.command("OS_Reboot") == b"OK "
        wanted = [*before, "systemctl reboot"]
        guest.until(lambda: calls.exists() and calls.read_text().splitlines() == wanted)


def test_after_a_resume_everything_is_told_again(tmp_path: Path) -> None:
    with serving(tmp_path) as guest:
        assert guest.command("OS_Suspend") == b"OK "
        assert guest.told(b"tools.os.statechange.status") == [b"tools.os.statechange.status 1 5"]
        names = len(guest.told(b"SetGuestInfo  1 "))
        assert guest.command("OS_Resume") == b"OK "
        guest.hears(b"SetGuestInfo  1 ", names + 1)
        guest.hears(NICS, names + 1)
        guest.until(lambda: time_questions(guest) == 2)


def test_during_a_backup_deeds_are_refused_and_services_keep_still(tmp_path: Path) -> None:
    config = "[guest_info]\ninterval = 1\n"
    with (
        loop_mount("ext4") as mount,
        running_guest([mount], tmp_path / "log", recorder(tmp_path) + config) as guest,
    ):
        guest.hears(b"SetGuestDiskInfo ")
        guest.freeze()
        frozen = len(guest.entries)
        assert guest.command("OS_Halt") == BUSY
        assert guest.command("Time_Synchronize 1") == BUSY
        assert guest.command("Set_Option broadcastIP 1") == b"OK "
        told = len(guest.told(b"vmbackup.eventSet req.keepAlive"))
        guest.until(lambda: len(guest.told(b"vmbackup.eventSet req.keepAlive")) >= told + 3)
        since = [entry.request for entry in guest.entries[frozen:]]
        assert [line for line in since if line.startswith((b"SetGuest", b"info-set"))] == []
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        guest.hears(b"info-set guestinfo.ip ") if has_default_route() else None
        guest.hears(b"SetGuestInfo  7 ", len(guest.told(b"SetGuestInfo  7 ")) + 1)
        assert deeds(tmp_path) == []
        assert guest.command("OS_Halt") == b"OK "


def has_default_route() -> bool:
    lines = Path("/proc/net/route").read_text().splitlines()[1:]
    return any(line.split()[1] == "00000000" for line in lines)


def test_a_change_of_the_network_or_the_name_is_told_at_once(tmp_path: Path) -> None:
    require_namespaces()
    config = "[guest_info]\ninterval = 3600\n"
    with running_guest([], tmp_path / "log", config, INSIDE) as guest:
        guest.hears(b"SetGuestDiskInfo ")
        assert guest.hears(b"SetGuestInfo  1 ") == b"SetGuestInfo  1 guest"
        assert told_nics(guest) == [{"mac": MAC, "ips": ["192.0.2.2/24"]}]
        assert guest.command("Set_Option broadcastIP 1") == b"OK "
        assert guest.hears(b"info-set guestinfo.ip ") == b"info-set guestinfo.ip 192.0.2.2"

        inside(guest.pid, "ip addr add 198.51.100.7/32 dev eth0")
        both = [{"mac": MAC, "ips": ["192.0.2.2/24", "198.51.100.7/32"]}]
        guest.until(lambda: told_nics(guest) == both)
        inside(guest.pid, "ip addr flush dev eth0; ip addr add 192.0.2.9/24 dev eth0")
        inside(guest.pid, "ip route add default via 192.0.2.1")
        guest.until(lambda: guest.told(b"info-set")[-1] == b"info-set guestinfo.ip 192.0.2.9")
        inside(guest.pid, "echo renamed > /proc/sys/kernel/hostname")
        guest.until(lambda: guest.told(b"SetGuestInfo  1 ")[-1] == b"SetGuestInfo  1 renamed")

        inside(guest.pid, "ip link add docker0 type bridge; ip link set docker0 up")
        inside(
            guest.pid,
            "ip link add veth1 type veth peer name veth2; ip link set veth1 master docker0",
        )
        inside(guest.pid, "ip addr add 172.17.0.1/16 dev docker0; ip link set eth0 down")
        guest.until(lambda: routes(guest) == [])
        assert told_nics(guest) == [], "a bridge, its port and a veth pair without a default route"


def told_nics(guest: Guest) -> list[dict[str, object]]:
    return list(read_nics(guest.told(NICS)[-1].removeprefix(NICS))["nics"])


def routes(guest: Guest) -> list[object]:
    return list(read_nics(guest.told(NICS)[-1].removeprefix(NICS))["routes"])
