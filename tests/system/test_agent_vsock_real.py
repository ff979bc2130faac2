"""The agent as a whole with a host on vsock: real system calls, a real filesystem. The host is the
test; its vsock is an AF_UNIX socket behind the program's AF_VSOCK calls.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.guest import Guest, running_guest
from support.loop import loop_mount
from support.writer import Writer

from vmtpy._host import MessageKind, Transport, VsockFault
from vmtpy.status_socket import ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.loop import LoopMount

RPCI_PORT, TCLO_PORT = 976, 975


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as mount:
        yield mount


def config(tmp_path: Path, more: str = "") -> str:
    return f'[status]\nsocket = "{tmp_path}/status"\n[guest_info]\ninterval = 1\n{more}'


def status(tmp_path: Path) -> dict[str, object]:
    return ask(f"{tmp_path}/status")


def until_on_vsock(guest: Guest, tmp_path: Path) -> None:
    guest.until(lambda: status(tmp_path)["transport"] == "vsock")


def await_backdoor_left(guest: Guest) -> None:
    """What had been begun there before vsock was connected has ended."""
    guest.until(lambda: guest.device.open_channels() == 0)


def traps_to_talk(guest: Guest) -> int:
    """Those of requests and commands. Facts of the hardware are asked for whenever Python does."""
    traps = guest.device.traps()
    return sum(traps[name] for name in traps if not name.startswith("GET"))


def replies_by(guest: Guest) -> list[Transport]:
    return [entry.transport for entry in guest.entries if entry.kind == MessageKind.TCLO_REPLY]


def backup(guest: Guest) -> None:
    guest.freeze()
    assert guest.command("vmbackup.snapshotDone") == b"OK "
    guest.done()


def test_a_backup_over_vsock_takes_no_trap(mount: LoopMount, tmp_path: Path) -> None:
    with running_guest([mount], tmp_path / "log", config(tmp_path), vsock=True) as guest:
        until_on_vsock(guest, tmp_path)
        guest.command("ping")
        await_backdoor_left(guest)
        before = traps_to_talk(guest)
        backup(guest)
        assert traps_to_talk(guest) == before
        assert set(replies_by(guest)) == {Transport.PRIVILEGED_VSOCK}
        assert "the host is reached by vsock" in (tmp_path / "log").read_text()
        shown = subprocess.run(
            [sys.executable, "-m", "vmtpy", "status", "--socket", f"{tmp_path}/status"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        assert "vsock (the host listens there), connected" in shown


def test_idle_it_pings_once_a_second_and_takes_no_trap(mount: LoopMount, tmp_path: Path) -> None:
    with running_guest([mount], tmp_path / "log", config(tmp_path), vsock=True) as guest:
        until_on_vsock(guest, tmp_path)
        guest.command("ping")
        await_backdoor_left(guest)
        began = time.monotonic()
        talked, pings = traps_to_talk(guest), guest.vsock.counts()["pings"]
        guest.until(lambda: guest.vsock.counts()["pings"] >= pings + 5)
        assert time.monotonic() - began >= 3  # the first two may come at once
        assert traps_to_talk(guest) == talked


def test_vsock_that_dies_while_frozen_is_replaced_by_the_backdoor(
    mount: LoopMount, tmp_path: Path
) -> None:
    with running_guest([mount], tmp_path / "log", config(tmp_path), vsock=True) as guest:
        until_on_vsock(guest, tmp_path)
        guest.freeze()
        guest.vsock.stop_listening()
        guest.vsock.drop_connections()
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        assert replies_by(guest)[-1] == Transport.BACKDOOR
        reason = str(status(tmp_path)["transport_reason"])
        assert "vsock" in reason
        guest.vsock.listen_again()
        until_on_vsock(guest, tmp_path)
        guest.entries.clear()
        backup(guest)
        assert guest.end() == 0


def test_a_host_that_falls_silent_on_vsock_while_frozen_costs_no_backup(
    mount: LoopMount, tmp_path: Path
) -> None:
    with running_guest([mount], tmp_path / "log", config(tmp_path), vsock=True) as guest:
        until_on_vsock(guest, tmp_path)
        guest.freeze()
        guest.vsock.misbehave(VsockFault.SILENCE, port=RPCI_PORT, times=0)
        time.sleep(2.5)  # keep-alives
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()


def test_without_a_backdoor_it_lives_on_vsock(mount: LoopMount, tmp_path: Path) -> None:
    with running_guest(
        [mount], tmp_path / "log", config(tmp_path), vsock=True, backdoor=False
    ) as guest:
        until_on_vsock(guest, tmp_path)
        backup(guest)
        found = status(tmp_path)
        host = found["host"]
        assert isinstance(host, dict)
        assert (host["hardware_version"], host["uuid"]) == (None, None)
        assert guest.end() == 0


def test_told_to_keep_to_the_port_it_does(mount: LoopMount, tmp_path: Path) -> None:
    more = '[host]\ntransport = "port"\n'
    with running_guest([mount], tmp_path / "log", config(tmp_path, more), vsock=True) as guest:
        backup(guest)
        found = status(tmp_path)
        assert (found["transport"], found["transport_reason"]) == ("port", "as configured")
        assert guest.vsock.counts()["connections"] == 0


def test_killed_while_frozen_on_vsock_it_leaves_nothing_frozen(
    mount: LoopMount, tmp_path: Path
) -> None:
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", config(tmp_path), vsock=True) as guest,
    ):
        until_on_vsock(guest, tmp_path)
        guest.freeze()
        os.kill(guest.pid, signal.SIGKILL)
        writer.wait_for_more()
        assert not mount.thaw()
