"""`vmtpy run` in the hands of a host on vsock: whole snapshots, and vsock lost in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.guest import running_guest
from support.loop import loop_mount, require_loop
from support.patience import FAR
from support.writer import Writer, check_log

from vmtpy._host import MessageKind, Transport
from vmtpy.demo import disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.guest import Guest
    from support.loop import LoopMount

RPCI, TCLO = 976, 975
COMPLETE = [
    b"reset 0 ",
    b"prov.snapshotCommit 0 ",
    b"req.genericManifest 0 /run/vmtpy/quiesce_manifest.xml",
    b"req.done 0 ",
]


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as mount:
        yield mount


def transports(guest: Guest, kind: MessageKind) -> set[Transport]:
    return {entry.transport for entry in guest.entries if entry.kind == kind}


@pytest.mark.parametrize("backdoor", [True, False], ids=["beside the backdoor", "without it"])
def test_a_copy_taken_over_vsock_is_clean_and_complete(backdoor: bool, tmp_path: Path) -> None:
    require_loop("ext4")
    copied = tmp_path / "copy.img"
    with (
        loop_mount("ext4") as mount,
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", vsock=True, backdoor=backdoor) as guest,
    ):
        until_on_vsock(guest)
        writer.wait_for(50)
        guest.freeze()
        acknowledged = writer.acknowledged
        disk.copy(mount.image, copied)
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        writer.wait_for_more()
        assert guest.events() == COMPLETE
        told = [entry for entry in guest.entries if entry.request.startswith(b"vmbackup.")]
        assert {entry.transport for entry in told} == {Transport.PRIVILEGED_VSOCK}
        assert guest.end() == 0
    verdict = disk.check(copied, "ext4", orphans=False)
    assert verdict.clean, verdict.output
    with disk.read_only(copied, "ext4") as path:
        assert check_log(path / "log") >= acknowledged >= 50


def test_with_vsock_lost_while_frozen_the_backdoor_ends_the_backup_well(
    mount: LoopMount, tmp_path: Path
) -> None:
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", vsock=True) as guest,
    ):
        until_on_vsock(guest)
        guest.freeze()
        guest.vsock.stop_listening()
        guest.vsock.drop_connections()
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        writer.wait_for_more()
        assert guest.events() == COMPLETE
        last = [entry for entry in guest.entries if entry.kind == MessageKind.TCLO_REPLY][-1]
        assert last.transport == Transport.BACKDOOR
        assert guest.end() == 0


def test_with_every_way_lost_while_frozen_it_thaws(mount: LoopMount, tmp_path: Path) -> None:
    config = f"[quiesce]\ntimeout = {FAR}\n"
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", config, vsock=True, backdoor=False) as guest,
    ):
        until_on_vsock(guest)
        guest.freeze()
        guest.vsock.stop_listening()
        guest.vsock.drop_connections()
        writer.wait_for_more()
        guest.vsock.listen_again()
        reply = guest.command("vmbackup.snapshotDone")
        assert reply.startswith(b"ERROR "), reply
        assert guest.end() == 0


def test_with_vsock_lost_for_a_moment_only_it_comes_back(mount: LoopMount, tmp_path: Path) -> None:
    with (
        Writer(mount.path / "log") as writer,
        running_guest([mount], tmp_path / "log", vsock=True, backdoor=False) as guest,
    ):
        until_on_vsock(guest)
        guest.vsock.drop_connections()
        guest.until(guest.device.tclo_seen)
        guest.freeze()
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        writer.wait_for_more()
        assert guest.end() == 0


def until_on_vsock(guest: Guest) -> None:
    """It may have begun over the backdoor."""
    guest.until(lambda: guest.vsock.connections() >= 1)
    guest.device.send_command("ping")
    guest.until(lambda: Transport.PRIVILEGED_VSOCK in transports(guest, MessageKind.TCLO_REPLY))
