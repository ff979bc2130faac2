"""Before anything is frozen: what is dirty, how fast it goes, and who is slowed down for it."""

from __future__ import annotations

import errno
import json
import mmap
import re
import time
from typing import TYPE_CHECKING

import pytest
from support.bench import RCU, Bench, Storage
from support.patience import PATIENCE, await_true

from vmtpy._core import Converge, Outcome, Phase
from vmtpy._host import FaultySystem, SimulatedDisk
from vmtpy.record import as_dict

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
BDI = "/sys/class/bdi/simulated-0/"
FOUND = {"strict_limit": "0", "min_ratio_fine": "0", "max_ratio_fine": "1000000"}
LOOK = 0.05


def simulated(dirty: float, disk: float, writer: float) -> SimulatedDisk:
    simulated = SimulatedDisk(["/a"])
    simulated.put_storage("/a", dirty * MIB, disk * MIB, writer * MIB)
    return simulated


def bounds(disk: SimulatedDisk) -> dict[str, str]:
    return {name: disk.files()[BDI + name].strip() for name in FOUND}


def play(bench: Bench, until: Phase = Phase.FROZEN) -> None:
    play_until(bench, lambda: bench.session.phase().value >= until.value)


def play_until(bench: Bench, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        look(bench)


def look(bench: Bench) -> None:
    """Time passes for the disk and for the session, which has done what it does then."""
    bench.await_rest()
    bench.disk.pass_time(LOOK)
    bench.clock.advance(LOOK)
    bench.await_rest()


def test_a_disk_that_its_writers_outrun_is_frozen_when_little_is_left() -> None:
    disk = simulated(dirty=400, disk=40, writer=100)
    bench = Bench(disk=disk)
    play(bench)
    assert disk.dirty_at_freeze("/a") < 8 * MIB
    assert bounds(disk) == FOUND
    bench.session.release()
    record = bench.end()
    assert record.outcome == Outcome.RELEASED
    (run,) = record.filesystems
    assert run.dirty_before == pytest.approx(400 * MIB, rel=0.1)
    assert run.dirty_left is not None
    assert run.dirty_left <= 0.83 * 0.1 * run.disk_rate  # of the goal, for what is yet to come
    assert run.disk_rate == pytest.approx(40 * MIB, rel=0.3)
    assert run.writer_rate > 0
    assert run.expected_hold < 0.2
    assert 5 < run.paced < 60
    assert record.dirty_source == "debugfs"
    told = json.loads(json.dumps(as_dict(record)))
    assert told["filesystems"][0]["paced"] == run.paced
    assert told["dirty_source"] == "debugfs"


def test_writers_that_begin_while_those_of_another_disk_are_paced_are_paced_as_well() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    disk.put_storage("/a", 400 * MIB, 40 * MIB, 100 * MIB)
    disk.put_storage("/b", 0, 40 * MIB, 0)
    bench = Bench(disk=disk)
    play_until(bench, lambda: disk.files()[BDI + "strict_limit"].strip() == "1")
    for _ in range(20):
        look(bench)
    disk.put_storage("/b", 20 * MIB, 40 * MIB, 100 * MIB)
    play(bench)
    assert disk.dirty_at_freeze("/b") < 8 * MIB
    bench.session.release()
    record = bench.end()
    assert record.outcome == Outcome.RELEASED
    first, second = (run.paced for run in record.filesystems)
    assert 0 < second <= first - 19 * LOOK


def test_each_of_the_devices_below_has_a_bound_of_its_own() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    disk.put_storage("/a", 400 * MIB, 40 * MIB, 100 * MIB)
    disk.put_storage("/b", 100 * MIB, 40 * MIB, 100 * MIB)
    both = ("simulated-0", "simulated-1")
    bench = Bench(disk=disk, storage={"/a": Storage(bdis=both, sinks=both, disks=())})
    await_paced(bench)
    first, second = (int(disk.files()[f"/sys/class/bdi/{name}/max_bytes"]) for name in both)
    assert 100 * MIB < second < 300 * MIB < first
    bench.session.abort("enough")
    bench.end()


def test_writers_at_the_machine_s_own_limit_are_slowed_down_as_well() -> None:
    disk = simulated(dirty=200, disk=40, writer=100)
    disk.put_limit(210 * MIB)  # the first bound would be above it, which the kernel refuses
    bench = Bench(disk=disk)
    play(bench)
    assert disk.dirty_at_freeze("/a") < 8 * MIB
    assert bounds(disk) == FOUND
    bench.session.release()
    (run,) = bench.end().filesystems
    assert run.paced > 1


def test_a_machine_whose_own_limit_falls_meanwhile_has_its_writers_slowed_down_again() -> None:
    disk = simulated(dirty=200, disk=40, writer=100)
    bench = Bench(disk=disk)
    play_until(bench, lambda: bounds(disk)["strict_limit"] == "1")
    disk.put_limit(150 * MIB)
    play(bench)
    assert disk.dirty_at_freeze("/a") < 8 * MIB
    assert bounds(disk) == FOUND
    bench.session.release()
    assert bench.end().outcome == Outcome.RELEASED


def test_a_least_that_is_above_the_bound_does_not_keep_it_from_being_set() -> None:
    disk = simulated(dirty=100, disk=20, writer=100)
    found = FOUND | {"min_ratio_fine": "200000"}
    disk.put_file(BDI + "min_bytes", "1000000000\n")
    disk.put_file(BDI + "min_ratio_fine", "200000\n")
    bench = Bench(disk=disk)
    play(bench)
    assert disk.dirty_at_freeze("/a") < 8 * MIB
    assert bounds(disk) == found
    bench.session.release()
    assert bench.end().filesystems[0].paced > 1


def test_what_cannot_converge_is_refused_with_both_rates_and_nothing_frozen() -> None:
    disk = simulated(dirty=2000, disk=20, writer=100)
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system)
    play(bench, Phase.ENDED)
    record = bench.session.record()
    assert record.outcome == Outcome.FAILED
    assert record.path == "/a"
    assert "writers dirty " in record.error
    assert "the disk takes 20 MiB/s: freezing would hold them about " in record.error
    assert record.error.endswith("nothing was frozen")
    assert record.release_asked - record.started < 20  # long before the pre-sync's own limit
    assert "freeze" not in system.calls()
    assert bounds(disk) == FOUND


def test_without_a_bound_to_set_what_would_take_too_long_is_refused() -> None:
    disk = simulated(dirty=2000, disk=20, writer=100)
    disk.hold_syncs("/a")
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system, converge=Converge.OFF)
    sync_for(bench, system, 5.0)
    play(bench, Phase.ENDED)
    assert bench.session.record().outcome == Outcome.FAILED
    assert "nothing was frozen" in bench.session.record().error
    assert {"freeze", "write_file"} & set(system.calls()) == set()


def test_without_a_bound_to_set_what_ends_in_time_is_frozen() -> None:
    bench = Bench(disk=simulated(dirty=60, disk=40, writer=20), converge=Converge.OFF)
    play(bench)
    bench.session.release()
    assert bench.end().outcome == Outcome.RELEASED


def test_without_a_bound_to_set_what_others_have_to_write_keeps_nobody_from_freezing() -> None:
    """A filesystem that is not frozen, on the same disk, has the dirty pages."""
    system = FaultySystem(disk := simulated(dirty=2000, disk=40, writer=0))
    bench = Bench(disk=disk, system=system, converge=Converge.OFF)
    play(bench)
    assert "sync" in system.calls()
    bench.session.release()
    assert bench.end().outcome == Outcome.RELEASED


@pytest.mark.parametrize(("disk_of_b", "hold"), [("8:0", 1.2), ("8:16", 0.6)])
def test_filesystems_wait_for_each_other_on_one_disk_and_not_on_two(
    disk_of_b: str, hold: float
) -> None:
    disk = SimulatedDisk(["/a", "/b"])
    storage = {}
    for path, bdi, number in (("/a", "simulated-0", "8:0"), ("/b", "simulated-1", disk_of_b)):
        disk.put_storage(path, 60 * MIB, 40 * MIB, 0)
        storage[path] = Storage(bdis=(bdi,), sinks=(bdi,), disks=(number,))
    bench = Bench(disk=disk, storage=storage, converge=Converge.OFF)
    play(bench)
    bench.session.release()
    for run in bench.end().filesystems:
        assert run.expected_hold == pytest.approx(hold, rel=0.1)  # by the kernel's 100 MiB/s


def test_a_disk_that_keeps_up_is_frozen_without_pacing_anybody() -> None:
    disk = simulated(dirty=2, disk=1000, writer=10)
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system, expedite_rcu=False)
    bench.reach(Phase.FROZEN)
    assert "write_file" not in system.calls()
    bench.session.release()
    (run,) = bench.end().filesystems
    assert (run.paced, run.disk_rate) == (0, 0)  # nothing was written that tells a rate


def test_a_few_mebibytes_are_synced_before_anybody_is_paced() -> None:
    system = FaultySystem(disk := simulated(dirty=4, disk=1000, writer=0))
    bench = Bench(disk=disk, system=system, stall_goal=0.01, expedite_rcu=False)
    play(bench)
    calls = system.calls()
    assert calls.index("sync") < calls.index("write_file")
    bench.session.release()
    bench.end()


def test_where_writers_have_been_a_disk_that_stands_is_synced_only_after_two_seconds() -> None:
    system = FaultySystem(disk := simulated(dirty=400, disk=40, writer=100))
    bench = Bench(disk=disk, system=system)
    await_paced(bench)
    disk.put_storage("/a", 60 * MIB, 40 * MIB, 0)
    for _ in range(30):
        look(bench)
    assert "sync" not in system.calls()
    play_until(bench, lambda: "sync" in system.calls())
    bench.session.abort("enough")
    bench.end()


def test_figures_that_cannot_be_read_for_a_while_are_those_of_before() -> None:
    system = FaultySystem(disk := simulated(dirty=400, disk=40, writer=100))
    bench = Bench(disk=disk, system=system)
    await_paced(bench)
    disk.put_file("/sys/kernel/debug/bdi/simulated-0/stats", "")
    reads = system.calls().count("read_file")
    bench.advance_until(lambda: system.calls().count("read_file") > reads + 20, step=LOOK)
    bench.session.abort("enough")
    (run,) = bench.end().filesystems
    assert "sync" not in system.calls()
    assert run.dirty_left is not None
    assert run.dirty_left > 300 * MIB


def test_what_nobody_writes_is_synced_and_what_then_is_left_belongs_to_others() -> None:
    disk = simulated(dirty=400, disk=40, writer=0)
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system)
    play(bench)
    assert "sync" in system.calls()
    assert bounds(disk) == FOUND
    bench.session.release()
    record = bench.end()
    assert record.outcome == Outcome.RELEASED
    assert 0 < record.filesystems[0].paced < 1


def test_what_was_written_since_the_syncfs_is_synced_before_the_freeze() -> None:
    disk = simulated(dirty=400, disk=40, writer=0)
    disk.hold_syncs("/a")
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system, stall_goal=1.0)
    play_until(bench, lambda: "sync" in system.calls())
    for count in (2, 3):  # the second is hardly shorter, so that it is the last
        look(bench)
        bench.clock.advance(LOOK / count)
        disk.let_sync_go("/a")
        if count == 2:
            await_true(lambda: system.calls().count("sync") == 2)
    look(bench)
    disk.put_storage("/a", 600 * MIB, 40 * MIB, 0)
    play_until(bench, lambda: system.calls().count("sync") == 3)
    assert "freeze" not in system.calls()
    disk.let_sync_go("/a")
    disk.let_sync_go("/a")
    play(bench)
    bench.session.release()
    assert bench.end().outcome == Outcome.RELEASED


def test_a_disk_that_is_faster_than_its_writers_is_frozen_as_soon_as_it_can_be() -> None:
    disk = simulated(dirty=250, disk=100, writer=50)
    bench = Bench(disk=disk)
    play(bench)
    assert disk.dirty_at_freeze("/a") < 12 * MIB
    assert disk.longest_stop("/a") == 0
    bench.session.release()
    (run,) = bench.end().filesystems
    assert 2 < run.paced < 8  # 250 MiB, of which writers add half of what the disk takes


def test_writers_let_go_by_a_burst_of_the_disk_are_paced_again_when_it_is_over() -> None:
    disk = simulated(dirty=1000, disk=2500, writer=10)
    disk.hold_syncs("/a")
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system)
    await_paced(bench, looks=1)
    play_until(bench, lambda: "sync" in system.calls())
    assert bounds(disk) == FOUND
    disk.put_storage("/a", 400 * MIB, 40 * MIB, 100 * MIB)
    await_paced(bench)
    bench.session.abort("enough")
    disk.let_sync_go("/a")
    assert bench.end().outcome == Outcome.ABORTED
    assert bounds(disk) == FOUND


def test_the_rest_is_synced_while_writers_run_slowly() -> None:
    disk = simulated(dirty=400, disk=40, writer=100)
    disk.hold_syncs("/a")
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system)
    play_until(bench, lambda: "sync" in system.calls())
    assert bounds(disk)["strict_limit"] == "1"
    for _ in range(3):
        disk.let_sync_go("/a")
    play(bench)
    calls = system.calls()
    assert calls.index("write_file") < calls.index("sync") < calls.index("freeze")
    bench.session.release()
    assert bench.end().outcome == Outcome.RELEASED


def sync_for(bench: Bench, system: FaultySystem, *durations: float) -> None:
    for number, duration in enumerate(durations, 1):
        await_true(lambda number=number: system.calls().count("sync") == number)  # type: ignore[misc]
        bench.clock.advance(duration)
        bench.disk.let_sync_go("/a")


def test_what_a_syncfs_of_little_costs_is_expected_of_the_freeze() -> None:
    system = FaultySystem(disk := simulated(dirty=2, disk=100, writer=0))
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, system=system)
    sync_for(bench, system, 0.5, 0.4)
    bench.reach(Phase.FROZEN)
    bench.session.release()
    (run,) = bench.end().filesystems
    assert run.expected_hold == pytest.approx(0.4, abs=0.05)


def test_what_a_syncfs_of_much_takes_is_no_cost_of_the_freeze() -> None:
    system = FaultySystem(disk := simulated(dirty=60, disk=40, writer=0))
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, system=system, converge=Converge.OFF, filesystem_timeout=9.0)
    sync_for(bench, system, 4.0, 3.0)
    bench.reach(Phase.FROZEN)
    bench.session.release()
    (run,) = bench.end().filesystems
    assert run.expected_hold == pytest.approx(0.6, rel=0.1)  # by the kernel's 100 MiB/s


def test_a_disk_that_took_too_long_for_a_syncfs_of_little_is_asked_again() -> None:
    system = FaultySystem(disk := simulated(dirty=2, disk=100, writer=0))
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, system=system)
    sync_for(bench, system, 4.0, 3.0)
    bench.advance_until(lambda: system.calls().count("sync") == 3)
    assert "freeze" not in system.calls()
    disk.let_sync_go("/a")
    bench.reach(Phase.FROZEN)
    bench.session.release()
    assert bench.end().outcome == Outcome.RELEASED


def test_nothing_is_frozen_where_even_a_syncfs_of_little_takes_too_long() -> None:
    system = FaultySystem(disk := simulated(dirty=2, disk=100, writer=0))
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, system=system)
    ended = 0
    while bench.session.phase() != Phase.ENDED:
        begun = system.calls().count("sync")
        bench.clock.advance(3.0)
        if begun > ended:
            disk.let_sync_go("/a")
            ended = begun
        time.sleep(0.01)
    record = bench.session.record()
    assert record.outcome == Outcome.FAILED
    told = re.search(r"freezing would hold them about (\d+) s; nothing was frozen$", record.error)
    assert told, record.error
    assert int(told[1]) >= 3  # and more where the thread of a syncfs waited for a processor
    assert "freeze" not in system.calls()


def test_a_syncfs_that_does_not_end_is_named_although_another_disk_is_known_to_be_fast() -> None:
    disk = SimulatedDisk(["/a", "/b"])
    disk.put_storage("/a", 2 * MIB, 100 * MIB, 0)
    disk.put_storage("/b", 400 * MIB, 40 * MIB, 100 * MIB)
    disk.hold_syncs("/a")
    bench = Bench(disk=disk)
    play(bench, Phase.ENDED)
    record = bench.session.record()
    disk.let_sync_go("/a")
    assert (record.outcome, record.path) == (Outcome.FAILED, "/a")
    assert record.error == "syncfs /a: not done within 60 s"
    assert not any(run.freeze for run in record.filesystems)


def test_a_goal_above_the_time_for_a_freeze_does_not_keep_writers_from_being_paced() -> None:
    disk = simulated(dirty=400, disk=40, writer=100)
    bench = Bench(disk=disk, stall_goal=5.0, filesystem_timeout=2.0)
    play(bench)
    bench.session.release()
    (run,) = bench.end().filesystems
    assert run.paced > 0
    assert run.expected_hold <= 2.0


def test_a_switch_that_somebody_else_sets_while_writers_are_paced_stays_set() -> None:
    disk = simulated(dirty=400, disk=40, writer=100)
    bench = Bench(disk=disk)
    await_paced(bench)
    disk.put_file(RCU, "1\n")
    play(bench)
    bench.session.release()
    assert not bench.end().rcu_expedited
    assert disk.files()[RCU] == "1\n"


@pytest.mark.parametrize(
    ("file", "text"), [("strict_limit", "1"), ("min_ratio_fine", "?"), ("max_ratio_fine", "-1")]
)
def test_somebody_else_s_bound_is_left_alone(file: str, text: str) -> None:
    """So is one that cannot be put back, because nobody knows what it means."""
    disk = simulated(dirty=2000, disk=20, writer=100)
    disk.put_file(BDI + file, f"{text}\n")
    disk.hold_syncs("/a")
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system)
    sync_for(bench, system, 5.0)
    play(bench, Phase.ENDED)
    assert bench.session.record().outcome == Outcome.FAILED
    assert bounds(disk) == FOUND | {file: text}


def test_a_bound_that_cannot_be_set_is_as_if_there_were_none() -> None:
    disk = simulated(dirty=2000, disk=20, writer=100)
    system = FaultySystem(disk)
    system.fail(1, 1, for_good=False, call="write_file")
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, system=system)
    sync_for(bench, system, 5.0)
    play(bench, Phase.ENDED)
    assert "nothing was frozen" in bench.session.record().error
    assert bounds(disk) == FOUND


def test_an_abort_ends_the_pacing_at_once() -> None:
    disk = simulated(dirty=2000, disk=40, writer=100)
    bench = Bench(disk=disk)
    deadline = time.monotonic() + PATIENCE
    while bounds(disk)["strict_limit"] == "0":
        assert time.monotonic() < deadline
        time.sleep(0.001)
    bench.session.abort("enough")  # the clock stands still
    record = bench.end()
    assert (record.outcome, record.error) == (Outcome.ABORTED, "enough")
    assert bounds(disk) == FOUND


def test_the_marker_has_the_bounds_as_they_were_found_before_they_are_changed() -> None:
    disk = simulated(dirty=2000, disk=40, writer=100)
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system)
    deadline = time.monotonic() + PATIENCE
    while bounds(disk)["strict_limit"] == "0":
        assert time.monotonic() < deadline
        time.sleep(0.001)
    (marker,) = [text for name, text in disk.files().items() if "/freeze-" in name]
    for line in ("strict_limit 0", "min_ratio_fine 0", "max_ratio_fine 1000000"):
        assert f"bound {BDI}{line}\n" in marker
    calls = system.calls()
    assert calls.index("create_file") < calls.index("write_file")
    bench.session.abort("enough")
    bench.end()


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("call", ["read_file", "write_file", "create_file", "sync", "freeze"])
def test_no_bound_stays_whatever_fails(call: str, *, for_good: bool) -> None:
    if for_good and call == "write_file":
        return  # nothing can be put back without writing: the next test has it
    for nth in (1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 21, 34, 55, 89):
        disk = simulated(dirty=120, disk=100, writer=120)
        system = FaultySystem(disk)
        system.fail(nth, 5, for_good=for_good, call=call)
        bench = Bench(disk=disk, system=system)
        play(bench)
        bench.session.release()
        bench.end()
        assert bounds(disk) == FOUND
        assert not disk.frozen("/a")
        if not system.fired():
            break


def test_a_bound_that_cannot_be_put_back_is_named_and_tried_on() -> None:
    disk = simulated(dirty=400, disk=40, writer=100)
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system, expedite_rcu=False)
    deadline = time.monotonic() + PATIENCE
    while bounds(disk)["strict_limit"] == "0":
        assert time.monotonic() < deadline
        time.sleep(0.001)
    system.fail(1, 5, for_good=True, call="write_file")
    bench.session.abort("enough")
    record = bench.end()
    assert any(
        "dirty pages of simulated-0 could not be put back" in warning for warning in record.warnings
    )
    system.fail(1 << 30, 5, for_good=False)
    bench.advance_until(lambda: bounds(disk) == FOUND)


@pytest.mark.parametrize(
    ("error", "for_good"), [(errno.ENOENT, True), (errno.ENODEV, True), (errno.EIO, False)]
)
def test_a_bound_whose_device_is_gone_or_that_is_refused_once_is_no_trouble(
    error: int, *, for_good: bool
) -> None:
    disk = simulated(dirty=400, disk=40, writer=100)
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system, expedite_rcu=False)
    await_paced(bench)
    system.fail(1, error, for_good=for_good, call="write_file")
    bench.session.abort("enough")  # the clock stands still
    assert bench.end().warnings == []
    assert bench.markers() == []
    assert for_good or bounds(disk) == FOUND


def put_machine_s_figures(disk: SimulatedDisk, dirty: int, writing: int = 0) -> None:
    """What is known without debugfs: so many MiB are dirty, or being written, on all disks."""
    disk.put_file("/proc/sys/vm/dirty_bytes", "0\n")
    disk.put_file("/proc/sys/vm/dirty_ratio", "20\n")
    pages = f"Dirty: {dirty << 10} kB\nWriteback: {writing << 10} kB\n"
    disk.put_file("/proc/meminfo", f"MemTotal: 9 kB\n{pages}")


def test_what_other_disks_have_to_write_keeps_nobody_from_freezing_after_a_short_syncfs() -> None:
    disk = simulated(dirty=2, disk=100, writer=0)
    put_machine_s_figures(disk, 4 << 10)
    system = FaultySystem(disk)
    bench = Bench(disk=disk, system=system, converge=Converge.GLOBAL, expedite_rcu=False)
    bench.reach(Phase.FROZEN)
    assert "write_file" not in system.calls()
    bench.session.release()
    record = bench.end()
    assert record.dirty_source == "meminfo"
    assert record.filesystems[0].expected_hold > 100  # as far as the figures of the machine tell


def test_the_machine_s_own_bound_is_only_touched_where_that_is_asked_for() -> None:
    disk = simulated(dirty=400, disk=40, writer=100)
    put_machine_s_figures(disk, 400)
    limit = 450 * MIB  # less than a first bound has above what is dirty
    disk.put_file("/proc/vmstat", f"nr_x 1\nnr_dirty_threshold {limit // mmap.PAGESIZE}\n")
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, converge=Converge.GLOBAL)
    deadline = time.monotonic() + PATIENCE
    while (bound := disk.files()["/proc/sys/vm/dirty_bytes"]) == "0\n":
        assert time.monotonic() < deadline
        bench.clock.advance(LOOK)
        time.sleep(0.002)
    assert int(bound) == limit
    bench.session.abort("enough")
    assert bench.end().dirty_source == "meminfo"
    disk.let_sync_go("/a")
    assert disk.files()["/proc/sys/vm/dirty_ratio"] == "20"
    assert bounds(disk) == FOUND


def test_what_a_disk_has_written_counts_once_whatever_stands_on_it() -> None:
    """The one filesystem is an ext4, the other a btrfs in two layers, of which nothing is told."""
    disk = SimulatedDisk(["/a", "/b"])
    put_machine_s_figures(disk, 400, writing=40)
    sectors = 1000
    for number in ("8:0", "253:0"):
        disk.put_file(f"/sys/dev/block/{number}/stat", stat(sectors))
    disk.hold_syncs("/a")
    bench = Bench(
        disk=disk,
        storage={
            "/a": Storage(bdis=("8:0",), sinks=("8:1",), disks=("8:0",)),
            "/b": Storage(bdis=("btrfs-1", "253:0", "8:0"), sinks=("btrfs-1",), disks=("8:0",)),
        },
        converge=Converge.GLOBAL,
    )
    for _ in range(30):
        sectors += round(40 * MIB * LOOK / 512)
        for number in ("8:0", "253:0"):
            disk.put_file(f"/sys/dev/block/{number}/stat", stat(sectors))
        look(bench)
    bench.session.abort("enough")
    disk.let_sync_go("/a")
    for run in bench.end().filesystems:
        assert run.disk_rate == pytest.approx(40 * MIB, rel=0.1)


def test_without_debugfs_the_machine_s_bound_falls_by_what_is_written_back_as_well() -> None:
    """Writers whom the kernel slows down too late dirty as much as the disk takes."""
    disk = SimulatedDisk(["/a"])
    put_machine_s_figures(disk, 400, writing=40)
    disk.hold_syncs("/a")
    storage = Storage(bdis=("8:0",), sinks=("8:1",), disks=("8:0",))
    bench = Bench(disk=disk, storage={"/a": storage}, converge=Converge.GLOBAL)
    for number in range(1, 500):
        written = round(number * 40 * MIB * LOOK)
        disk.put_file("/sys/dev/block/8:1/stat", stat(written // 512))
        disk.put_file("/proc/vmstat", f"nr_x 1\nnr_written {written // mmap.PAGESIZE}\n")
        look(bench)
    assert 0 < int(disk.files()["/proc/sys/vm/dirty_bytes"]) < 400 * MIB
    bench.session.abort("enough")
    disk.let_sync_go("/a")
    assert bench.end().outcome == Outcome.ABORTED


def stat(sectors: int) -> str:
    """The file of that name of a block device that has written so many sectors."""
    return f"1 2 3 4 5 6 {sectors} 8 9 10 11\n"


def await_paced(bench: Bench, looks: int = 3) -> None:
    """Until the bound has been set, and moved a few times."""
    deadline = time.monotonic() + PATIENCE
    bound = ""
    while looks:
        assert time.monotonic() < deadline
        look(bench)
        files = bench.disk.files()
        if files[BDI + "strict_limit"].strip() == "1" and files[BDI + "max_bytes"] != bound:
            bound = files[BDI + "max_bytes"]
            looks -= 1


def test_whoever_aborts_waits_for_nothing_but_what_is_put_back() -> None:
    """The clock stands still: each wait for it would last for ever."""
    disk = simulated(dirty=2000, disk=40, writer=100)
    os = FaultySystem(disk)
    bench = Bench(disk=disk, system=os, expedite_rcu=False)
    await_paced(bench)
    before = len(os.calls())
    bench.session.abort("enough")
    record = bench.end()
    assert record.outcome == Outcome.ABORTED
    assert bounds(disk) == FOUND
    bench.advance_until(lambda: not bench.markers())
    # What was just being looked at is finished, at most with one more pair of bounds.
    after = [call for call in os.calls()[before:] if call != "read_file"]
    writes = after.count("write_file")
    assert len(FOUND) + 1 <= writes <= len(FOUND) + 1 + 2
    assert set(after) <= {"write_file", "remove_file", "close"}
    assert record.all_thawed - record.started == pytest.approx(
        record.release_asked - record.started
    )


@pytest.mark.parametrize(("timeout", "outcome"), [(20.0, Phase.FROZEN), (9.0, Phase.ENDED)])
def test_where_the_goal_is_missed_half_of_the_time_for_a_freeze_decides(
    timeout: float, outcome: Phase
) -> None:
    disk = simulated(dirty=200, disk=40, writer=100)
    bench = Bench(disk=disk, presync_timeout=3.0, filesystem_timeout=timeout)
    play(bench)
    assert bench.session.phase() == outcome
    bench.session.release()
    record = bench.end()
    if outcome == Phase.FROZEN:
        (warning,) = record.warnings
        assert warning.startswith("the pre-sync did not reach its goal: writers dirty ")
    else:
        assert record.error.endswith("nothing was frozen")
    (run,) = record.filesystems
    assert 4.5 < run.expected_hold < 9


def test_the_budget_ends_the_pacing_within_one_look() -> None:
    disk = simulated(dirty=2000, disk=40, writer=100)
    bench = Bench(disk=disk, presync_timeout=3.0, expedite_rcu=False)
    play(bench, Phase.ENDED)
    record = bench.session.record()
    assert record.outcome == Outcome.FAILED
    assert "nothing was frozen" in record.error
    assert record.release_asked - record.started <= 3.0 + LOOK + 1e-6
    assert bounds(disk) == FOUND


def test_writers_are_let_go_before_one_level_is_frozen_for_they_may_be_inside_a_write() -> None:
    disk = simulated(dirty=200, disk=40, writer=100)
    os = FaultySystem(disk)
    bench = Bench(disk=disk, system=os, expedite_rcu=False)
    play(bench)
    calls = os.calls()
    freeze = calls.index("freeze")
    assert "write_file" not in calls[freeze:]
    assert bounds(disk) == FOUND
    bench.session.release()
    bench.end()


def test_writers_of_a_later_level_are_paced_until_it_is_frozen_and_let_go_by_an_abort() -> None:
    """The first level's freeze stays in the kernel: an abort puts the bounds back all the same."""
    disk = SimulatedDisk(["/a", "/b"])
    disk.put_storage("/a", 200 * MIB, 40 * MIB, 100 * MIB)
    disk.hold("/a")
    bench = Bench(disk=disk, levels={"/b": 1}, expedite_rcu=False)
    play(bench, Phase.FREEZING)
    assert bounds(disk)["strict_limit"] == "1"
    bench.session.abort("enough")  # the clock stands still
    deadline = time.monotonic() + PATIENCE
    while bounds(disk) != FOUND:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert bench.session.phase() != Phase.ENDED  # FIFREEZE cannot be called back
    disk.let_go("/a")
    bench.advance_to_end()
    assert not disk.frozen("/a")
