"""Freeze sessions on disks that are not there, with a clock that the test turns."""

from __future__ import annotations

import errno
import re
import select
import time

import pytest
from support.bench import RCU, Bench
from support.patience import PATIENCE, await_true

from vmtpy._core import AlreadyFrozen, Filesystem, FreezeOptions, FreezeSession, Outcome, Phase
from vmtpy._host import FaultySystem, SimulatedDisk
from vmtpy.errors import PlanError, VmtError


def test_a_session_freezes_holds_and_thaws() -> None:
    bench = Bench("/a", "/b")
    bench.reach(Phase.FROZEN)
    assert bench.frozen() == ["/a", "/b"]
    bench.session.release()
    record = bench.end()
    assert (record.outcome, record.error, record.code) == (Outcome.RELEASED, "", 0)
    assert bench.frozen() == []
    assert [filesystem.path for filesystem in record.filesystems] == ["/a", "/b"]
    assert all(filesystem.error == 0 and filesystem.note == "" for filesystem in record.filesystems)


def test_the_record_times_every_step() -> None:
    bench = Bench("/a")
    bench.reach(Phase.FROZEN)
    bench.clock.advance(3)
    bench.session.release()
    record = bench.end()
    assert record.started <= record.presynced <= record.first_freeze <= record.all_frozen
    assert record.release_asked == record.all_frozen + 3
    assert record.filesystems[0].frozen == 3
    assert record.limit == 30
    assert abs(record.started_unix_ns / 1e9 - time.time()) < 60


def test_levels_freeze_one_after_the_other_and_thaw_in_reverse() -> None:
    system = FaultySystem(disk := SimulatedDisk(["/outer", "/inner"]))
    disk.hold("/inner")
    bench = Bench(disk=disk, system=system, levels={"/inner": 0, "/outer": 1})
    bench.reach(Phase.FREEZING)
    time.sleep(0.05)
    assert bench.frozen() == []
    disk.let_go("/inner")
    bench.reach(Phase.FROZEN)
    assert bench.frozen() == ["/outer", "/inner"]
    system.fail(1, 5, for_good=True, call="thaw")
    bench.session.release()
    await_true(lambda: system.calls().count("thaw") == 1)
    time.sleep(0.05)
    assert system.calls().count("thaw") == 1  # the inner one waits for the outer one
    inner, outer = sorted(
        bench.session.record().filesystems, key=lambda filesystem: filesystem.path
    )
    assert (inner.level, outer.level) == (0, 1)
    assert (inner.call, outer.call) == ("", "FITHAW")
    system.fail(1 << 30, 5, for_good=False)
    assert bench.advance_to_end().outcome == Outcome.RELEASED
    assert bench.frozen() == []


def test_what_cannot_freeze_is_synced_at_its_level() -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a", "/boot/efi"]))
    bench = Bench(disk=disk, system=system, sync_only=("/boot/efi",))
    bench.reach(Phase.FROZEN)
    assert bench.frozen() == ["/a"]
    [marker] = bench.markers()
    assert "/boot/efi" not in disk.files()[marker]  # there is nothing of it to thaw
    bench.session.release()
    record = bench.end()
    assert record.outcome == Outcome.RELEASED
    assert (system.calls().count("freeze"), system.calls().count("sync")) == (1, 3)
    assert [filesystem.sync_only for filesystem in record.filesystems] == [False, True]


def test_what_cannot_freeze_and_fails_to_be_synced_beside_the_frozen_is_an_error() -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a", "/boot/efi"]))
    system.fail(3, errno.EIO, for_good=True, call="sync")  # after those of the pre-sync
    record = Bench(disk=disk, system=system, sync_only=("/boot/efi",)).end()
    assert (record.outcome, record.code) == (Outcome.FAILED, errno.EIO)
    assert record.error == "syncfs /boot/efi: Input/output error"
    assert not disk.frozen("/a")


@pytest.mark.parametrize("sync_only", [(), ("/a",)])
def test_nothing_to_freeze_is_an_error_at_the_start(sync_only: tuple[str, ...]) -> None:
    bench = Bench(*sync_only, sync_only=sync_only, start=False)
    with pytest.raises(PlanError, match="no filesystem to freeze"):
        bench.session.start()


def test_a_session_starts_once() -> None:
    bench = Bench("/a")
    with pytest.raises(VmtError, match="only once"):
        bench.session.start()


def test_the_limit_thaws() -> None:
    bench = Bench("/a", timeout=5)
    bench.reach(Phase.FROZEN)
    bench.clock.advance(4.9)
    assert bench.session.phase() == Phase.FROZEN
    bench.clock.advance(0.2)
    record = bench.end()
    assert (record.outcome, record.error) == (Outcome.EXPIRED, "the limit of 5 s has passed")
    assert bench.frozen() == []


def test_a_release_after_the_limit_does_not_count() -> None:
    bench = Bench("/a", timeout=5)
    bench.reach(Phase.FROZEN)
    bench.clock.advance(6)
    bench.session.release()
    assert bench.end().outcome == Outcome.EXPIRED


def test_the_first_of_release_and_abort_counts() -> None:
    bench = Bench("/a")
    bench.reach(Phase.FROZEN)
    bench.session.abort("the host said so")
    bench.session.release()
    record = bench.end()
    assert (record.outcome, record.error) == (Outcome.ABORTED, "the host said so")


def test_a_release_before_all_is_frozen_is_an_abort() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    disk.hold("/b")
    bench = Bench(disk=disk)
    bench.reach(Phase.FREEZING)
    bench.session.release()
    disk.let_go("/b")
    record = bench.end()
    assert record.outcome == Outcome.ABORTED
    assert record.error == "released before everything was frozen"
    assert bench.frozen() == []


def test_an_abort_while_one_is_stuck_in_the_kernel_thaws_the_others() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    disk.hold("/b")
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system)
    await_true(lambda: disk.frozen("/a") and system.calls().count("freeze") == 2)
    bench.session.abort("enough")
    await_true(lambda: not disk.frozen("/a"))
    record = bench.advance_to_end()
    assert record.outcome == Outcome.ABORTED
    assert record.filesystems[1].note == "still in FIFREEZE, thawed as soon as that returns"
    assert bench.markers() != []  # until it has returned
    bench.clock.advance(1)
    disk.let_go("/b")
    await_true(lambda: "thawed late" in bench.session.record().filesystems[1].note)
    await_true(lambda: bench.markers() == [])
    assert bench.frozen() == []


def test_a_filesystem_that_does_not_freeze_in_time_is_named() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    disk.hold("/b")
    bench = Bench(disk=disk, filesystem_timeout=2)
    await_true(lambda: disk.frozen("/a"))
    record = bench.advance_to_end()
    assert (record.outcome, record.path) == (Outcome.FAILED, "/b")
    said = re.fullmatch(
        r"FIFREEZE /b: not frozen within 2 s; its writers have waited for ([0-9.]+) s "
        r"and wait on until the kernel has let them go",
        record.error,
    )
    assert said is not None
    assert float(said[1]) >= 2
    assert bench.frozen() == []
    so_far = bench.session.record().filesystems[1].waited
    bench.clock.advance(1)
    assert bench.session.record().filesystems[1].waited == so_far + 1
    disk.let_go("/b")
    await_true(lambda: "thawed late" in bench.session.record().filesystems[1].note)
    bench.clock.advance(1)
    waited = [filesystem.waited for filesystem in bench.session.record().filesystems]
    assert waited[0] >= 2
    assert waited[1] == so_far + 1
    assert bench.frozen() == []


def test_what_freezes_after_the_session_was_dropped_is_thawed() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    disk.hold("/b")
    bench = Bench(disk=disk)
    await_true(lambda: disk.frozen("/a"))
    bench.advance_to_end()
    del bench.session
    disk.let_go("/b")
    await_true(lambda: bench.markers() == [])
    assert bench.frozen() == []


def test_the_limit_strikes_also_while_freezing() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    disk.hold("/b")
    bench = Bench(disk=disk, timeout=1, filesystem_timeout=5)
    await_true(lambda: disk.frozen("/a"))
    assert bench.advance_to_end().outcome == Outcome.EXPIRED
    disk.let_go("/b")
    await_true(lambda: bench.markers() == [])
    assert bench.frozen() == []


def test_what_has_frozen_after_the_limit_is_never_called_frozen() -> None:
    """As after a stop: the freeze has ended, the limit has passed, and nobody was woken for it."""
    system = FaultySystem(disk := SimulatedDisk(["/a"]))
    disk.hold("/a")
    bench = Bench(disk=disk, system=system, timeout=5, filesystem_timeout=60)
    await_true(lambda: system.calls().count("freeze") == 1)
    bench.clock.jump(6)
    disk.let_go("/a")
    record = bench.end()
    assert record.outcome == Outcome.EXPIRED
    assert record.all_frozen == 0
    assert bench.frozen() == []


def test_dropping_a_session_thaws() -> None:
    bench = Bench("/a")
    bench.reach(Phase.FROZEN)
    del bench.session
    assert bench.frozen() == []


def test_a_foreign_thaw_is_found_at_the_release() -> None:
    bench = Bench("/a", "/b")
    bench.reach(Phase.FROZEN)
    bench.disk.thaw_by_someone_else("/b")
    bench.session.release()
    record = bench.end()
    assert (record.outcome, record.path) == (Outcome.LOST, "/b")
    assert record.error == "FITHAW /b: it had been thawed by someone else"


def test_a_foreign_freeze_is_an_error_of_its_own_and_stays() -> None:
    first = Bench("/a")
    first.reach(Phase.FROZEN)
    second = Bench(disk=first.disk)
    record = second.end()
    assert (record.outcome, record.path) == (Outcome.FAILED, "/a")
    assert record.error == "FIFREEZE /a: already frozen by someone else"
    assert first.frozen() == ["/a"]


def test_a_foreign_freeze_can_be_accepted_and_is_left_alone() -> None:
    first = Bench("/a", "/b")
    first.reach(Phase.FROZEN)
    first.disk.thaw_by_someone_else("/b")
    second = Bench(disk=first.disk, already_frozen=AlreadyFrozen.ACCEPT)
    second.reach(Phase.FROZEN)
    second.session.release()
    record = second.end()
    assert record.outcome == Outcome.RELEASED
    assert record.filesystems[0].note == "frozen by someone else, left to them"
    assert record.warnings == ["/a: frozen by someone else, left to them"]
    assert first.frozen() == ["/a"]


def test_a_mount_that_has_vanished_is_named() -> None:
    disk = SimulatedDisk(["/a"])
    gone = Filesystem("/gone", mount_id=1, device="7:1", type="ext4")
    session = FreezeSession(disk, None, [*disk.filesystems(), gone], FreezeOptions(guardian=False))
    session.start()
    assert session.wait_for(Phase.ENDED, PATIENCE)
    record = session.record()
    assert (record.outcome, record.path) == (Outcome.FAILED, "/gone")
    assert record.error == "open /gone: No such file or directory"


def test_another_mount_in_its_place_is_noticed() -> None:
    disk = SimulatedDisk(["/a"])
    other = Filesystem("/a", mount_id=1, device="7:1", type="ext4")
    session = FreezeSession(disk, None, [other], FreezeOptions(guardian=False))
    session.start()
    assert session.wait_for(Phase.ENDED, PATIENCE)
    assert session.record().error == "/a: the planned mount is gone, or hidden by another one"
    assert not disk.frozen("/a")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("1000 1 7:1 / /a rw - ext4 /dev/loop1 rw", "ext4 /dev/loop1 (7:1)"),
        ("1000 1 0:1000 / /a rw - btrfs none rw", "btrfs none (0:1000)"),
        ("1000 1 0:1000 / /a rw - simulated /dev/other rw", "simulated /dev/other (0:1000)"),
        ("1001 1 0:1000 / /a rw - simulated none rw", ""),
        ("", ""),
    ],
    ids=["device", "type", "source", "id", "none"],
)
def test_another_filesystem_by_a_mount_of_the_same_id_is_named(line: str, what: str) -> None:
    bench = Bench("/a", start=False, disk=(disk := SimulatedDisk(["/a"])))
    disk.put_file("/proc/self/mountinfo", line + "\n")
    bench.session.start()
    record = bench.end()
    assert (record.outcome, record.path, record.code) == (Outcome.FAILED, "/a", errno.ESTALE)
    assert record.error == (
        f"/a: {what} has been mounted there since the plan was made, in place of"
        " simulated none (0:1000)"
        if what
        else "/a: the planned mount is gone"
    )
    assert record.first_freeze == 0


def test_without_mountinfo_nothing_is_frozen() -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a"]))
    system.fail(1, errno.EIO, for_good=False, call="read_file")
    record = Bench(disk=disk, system=system).end()
    assert (record.outcome, record.code) == (Outcome.FAILED, errno.EIO)
    assert record.error == "read /proc/self/mountinfo: Input/output error"


def test_without_a_guardian_nothing_real_is_frozen() -> None:
    disk = SimulatedDisk(["/a"])  # whose fork() fails
    session = FreezeSession(disk, None, disk.filesystems(), FreezeOptions(guardian=True))
    session.start()
    assert session.wait_for(Phase.ENDED, PATIENCE)
    record = session.record()
    assert (record.outcome, record.error) == (Outcome.FAILED, "fork: Function not implemented")
    assert record.first_freeze == 0


@pytest.mark.parametrize(
    ("durations", "rounds"),
    [([0.004], 1), ([0.1, 0.06], 2), ([0.1, 0.04, 0.004], 3), ([0.4, 0.19, 0.09], 3)],
)
def test_presync_goes_on_while_rounds_get_clearly_shorter(
    durations: list[float], rounds: int
) -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a"]))
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, system=system)
    for number, duration in enumerate(durations, 1):
        await_true(lambda number=number: system.calls().count("sync") == number)  # type: ignore[misc]
        bench.clock.advance(duration)
        disk.let_sync_go("/a")
    bench.reach(Phase.FROZEN)
    bench.session.release()
    [run] = bench.end().filesystems
    assert run.presync_rounds == rounds
    assert run.presync == pytest.approx(sum(durations))


def test_an_abort_does_not_wait_for_the_presync() -> None:
    disk = SimulatedDisk(["/a"])
    disk.hold_syncs("/a")
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system)
    await_true(lambda: "sync" in system.calls())
    bench.session.abort("enough")
    record = bench.end()
    assert (record.outcome, record.error) == (Outcome.ABORTED, "enough")
    disk.let_sync_go("/a")


def test_a_presync_that_takes_too_long_is_named() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    disk.hold_syncs("/b")
    bench = Bench(disk=disk, presync_timeout=60)
    record = bench.advance_to_end()
    assert record.outcome == Outcome.FAILED
    assert record.error == "syncfs /b: not done within 60 s"
    disk.let_sync_go("/b")


def test_the_marker_lives_as_long_as_the_freeze() -> None:
    bench = Bench("/a b\r", "/c")
    bench.reach(Phase.FROZEN)
    [name] = bench.markers()
    text = bench.disk.files()[name].splitlines()
    assert text[0] == "vmtpy freeze marker 1"
    assert "boot simulated" in text
    assert text[-3:] == [
        "filesystem 0:1000 /a\\040b\\015 simulated",
        "filesystem 0:1001 /c simulated",
        "end",
    ]
    bench.session.release()
    bench.end()
    assert bench.markers() == []


def test_without_a_marker_the_freeze_goes_on_with_a_warning() -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a"]))
    system.fail(1, 28, for_good=True, call="create_file")
    bench = Bench(disk=disk, system=system)
    bench.reach(Phase.FROZEN)
    bench.session.release()
    record = bench.end()
    assert record.outcome == Outcome.RELEASED
    [warning] = record.warnings
    assert (
        warning == "there is no marker for `vmtpy thaw`: write /run/vmtpy: No space left on device"
    )


def test_rcu_is_expedited_only_while_freezing() -> None:
    disk = SimulatedDisk(["/a"])
    disk.hold("/a")
    bench = Bench(disk=disk)
    bench.reach(Phase.FREEZING)
    assert disk.files()[RCU] == "1"
    disk.let_go("/a")
    bench.reach(Phase.FROZEN)
    await_true(lambda: disk.files()[RCU] == "0")
    bench.session.release()
    assert bench.end().rcu_expedited


@pytest.mark.parametrize(
    ("file", "text"), [(RCU, "1\n"), (RCU, "2\n"), ("/sys/kernel/rcu_normal", "1\n")]
)
def test_rcu_is_left_alone_where_it_is_set_or_overruled(file: str, text: str) -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a"]))
    disk.put_file(file, text)
    bench = Bench(disk=disk, system=system)
    bench.reach(Phase.FROZEN)
    bench.session.release()
    assert not bench.end().rcu_expedited
    assert "write_file" not in system.calls()


def test_rcu_is_left_alone_when_asked() -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a"]))
    bench = Bench(disk=disk, system=system, expedite_rcu=False)
    bench.reach(Phase.FROZEN)
    assert "write_file" not in system.calls()


def test_a_thaw_that_fails_is_tried_again() -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a"]))
    bench = Bench(disk=disk, system=system)
    bench.reach(Phase.FROZEN)
    system.fail(1, 5, for_good=False, call="thaw")
    bench.session.release()
    record = bench.advance_to_end()
    assert (record.outcome, record.error) == (Outcome.RELEASED, "")
    assert bench.frozen() == []


def test_a_thaw_that_keeps_failing_is_named_and_goes_on() -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a", "/b"]))
    bench = Bench(disk=disk, system=system)
    bench.reach(Phase.FROZEN)
    system.fail(1, 5, for_good=True, call="thaw")
    bench.session.release()
    record = bench.advance_to_end()
    assert record.outcome == Outcome.RELEASED
    assert (
        record.error
        == "FITHAW /a: Input/output error; it is still frozen, and vmtpy keeps retrying the thaw"
    )
    assert len(record.warnings) == 2
    assert [filesystem.note for filesystem in record.filesystems] == [
        "still frozen; vmtpy keeps retrying the thaw"
    ] * 2
    assert bench.markers() != []
    system.fail(1 << 30, 5, for_good=False)
    bench.advance_until(lambda: bench.frozen() == [])
    bench.advance_until(lambda: bench.markers() == [])


def test_every_change_of_phase_wakes_the_owner() -> None:
    bench = Bench("/a", start=False)
    poll = select.poll()
    poll.register(bench.session.event_fd(), select.POLLIN)
    assert poll.poll(0) == []
    bench.session.start()
    bench.reach(Phase.FROZEN)
    assert poll.poll(0) != []
    bench.session.clear_event()
    assert poll.poll(0) == []
    bench.session.release()
    bench.reach(Phase.ENDED)
    assert poll.poll(0) != []
