"""The agent under a test's host: backups, hooks, faults of its disk, and the verdict."""

from __future__ import annotations

import errno
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE

import vmtpy
from vmtpy.testing import BackupOutcome, EmulatedHost, SimulatedGuest

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_snapshot_is_taken_of_a_frozen_disk(
    vmware_host: EmulatedHost, vmware_guest: SimulatedGuest
) -> None:
    frozen: list[bool] = []
    result = vmware_host.backup(lambda: frozen.append(vmware_guest.disk.frozen("/srv")))
    assert result.succeeded
    assert frozen == [True]
    assert not vmware_guest.disk.frozen("/srv")
    (record,) = vmware_guest.records
    assert record.outcome is vmtpy.Outcome.RELEASED
    assert [event.name for event in vmware_host.events][-1] == "req.done"


def test_hooks_are_entered_and_left_around_it(
    vmware_host: EmulatedHost, vmware_guest: SimulatedGuest
) -> None:
    seen: list[str] = []

    @vmware_guest.hook
    @contextmanager
    def database() -> Iterator[None]:
        seen.append("locked")
        yield
        seen.append("unlocked")

    assert vmware_host.backup(lambda: seen.append("snapshot")).succeeded
    vmware_host.wait_until(lambda: len(seen) == 3)
    assert seen == ["locked", "snapshot", "unlocked"]


def test_a_freeze_that_fails_is_told_to_the_host(
    vmware_host: EmulatedHost, vmware_guest: SimulatedGuest
) -> None:
    vmware_guest.disk.refuse_freeze("/srv", errno.EIO)
    result = vmware_host.backup()
    assert result.outcome is BackupOutcome.FAILED
    assert result.error == "FIFREEZE /srv: Input/output error"
    shown = f"BackupResult(outcome=<BackupOutcome.FAILED: 'failed'>, error={result.error!r}, "
    assert repr(result).startswith(shown), "a failed assertion of pytest shows little more"
    assert vmware_guest.warnings == [f"not quiesced (failed): {result.error}"]
    vmware_guest.disk.refuse_freeze("/srv", 0)
    assert vmware_host.backup().succeeded


def test_a_host_that_gives_up_and_one_that_forgets_are_played(
    vmware_host: EmulatedHost, vmware_guest: SimulatedGuest
) -> None:
    hold = threading.Event()
    result = vmware_host.backup(lambda: hold.wait(0.2), abort_after=0.0)
    assert result.outcome is BackupOutcome.ABORTED
    result = vmware_host.backup(lambda: vmware_guest.disk.thaw_by_someone_else("/srv"))
    assert result.outcome is BackupOutcome.ROLLED_BACK


def test_a_command_is_answered_and_a_reset_announces_the_guest_anew(
    vmware_host: EmulatedHost, vmware_guest: SimulatedGuest
) -> None:
    vmware_host.wait_for_tools()
    assert vmware_host.command("reset") == b"OK ATR toolbox"
    assert vmware_host.command("nonsense").startswith(b"ERROR ")
    version = b"tools.set.version "
    vmware_host.greet()
    vmware_host.wait_until(
        lambda: any(request.startswith(version) for request in vmware_host.requests)
    )
    before = len(vmware_host.requests)
    vmware_host.reset()
    assert vmware_host.command("ping").startswith(b"OK")
    vmware_host.wait_until(lambda: len(vmware_host.requests) > before)


def test_esxi_judges_it() -> None:
    with EmulatedHost(vsock=True) as host, SimulatedGuest(host, paths=["/", "/srv"]) as guest:
        life = host.esxi(ping=0.2, stun=0.01)
        with life, pytest.raises(RuntimeError, match="has ended"):
            _ = life.verdict
        with host.esxi(ping=0.2, stun=0.01) as life:
            assert life.backup(lambda: guest.disk.frozen("/")).succeeded
        assert life.verdict.tools.good
        assert life.verdict.snapshots[0].good, life.verdict
        assert not life.verdict.guest_info.good, "this guest keeps its facts for itself"


def test_what_ends_the_agent_is_raised_where_it_is_stopped() -> None:
    with EmulatedHost() as host:
        guest = SimulatedGuest(host)

        def fail() -> None:
            raise ValueError("no event today")

        guest.agent._next_event = fail  # type: ignore[assignment]
        with pytest.raises(ValueError, match="no event today"), guest:
            pass


def test_writers_of_a_held_disk_are_let_go_at_the_limit() -> None:
    config = vmtpy.Config(
        hooks=vmtpy.config.HooksConfig(directory=""),
        guest_info=vmtpy.config.GuestInfoConfig(enabled=False),
        quiesce=vmtpy.config.QuiesceConfig(filesystem_timeout=0.1),
    )
    with EmulatedHost() as host, SimulatedGuest(host, config) as guest:
        guest.disk.hold("/srv")
        result = host.backup(timeout=PATIENCE)
        guest.disk.let_go("/srv")
        assert "/srv: not frozen within 0.1 s" in result.error
        host.wait_until(lambda: not guest.disk.frozen("/srv"))
        assert guest.disk.write("/srv") >= 0
        assert guest.disk.written("/srv") == 1


def test_a_path_that_is_none_of_the_disk_is_named() -> None:
    with EmulatedHost() as host:
        guest = SimulatedGuest(host, paths=["/a", "/b"])
        with pytest.raises(
            ValueError, match="'/srv' is not a mount point of this disk, which has /a, /b"
        ):
            guest.disk.frozen("/srv")
        with pytest.raises(ValueError, match="one mount point or more"):
            SimulatedGuest(host, paths=[])
