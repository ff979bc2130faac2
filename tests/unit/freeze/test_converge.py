"""The bound on dirty pages is brought down by what the disk takes, and never on top of its writers.

A disk of so many MiB/s, writers of so many more: simulated in steps of a millisecond, looked at
every 50 of them, as the conductor does. Writers are paced as Linux paces them: from three quarters
of the bound on they get a share of what the kernel takes for the disk's speed, and nothing at it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from vmtpy._host import Convergence

MIB = 1 << 20
STEP = 0.001
LOOK = 0.05
GOAL = 0.1


@dataclass
class Storage:
    """Bytes and bytes a second.

    Attributes:
        burst: what the disk gives back at once.
        estimate: of what the disk takes, the idea that the kernel has of it, which lags behind.
        direct: so many times what is written back the disk writes in all.
        layers: of images in files, each of which counts what is written back.
    """

    disk: float
    writer: float
    dirty: float
    burst: float = 0.0
    estimate: float = 1.2
    direct: int = 1
    layers: int = 1
    written: float = 0.0
    now: float = 1.0
    stopped: float = 0.0
    longest_stop: float = 0.0
    accepted: float = 0.0
    _under_way: float = 0.0
    bounds: list[float] = field(default_factory=list)

    def step(self, bound: float) -> None:
        self.now += STEP
        if self.dirty > 0:
            self._under_way += self.disk * STEP
        if self._under_way >= self.burst or self._under_way >= self.dirty:
            done = min(self._under_way, self.dirty)
            self.dirty -= done
            self.written += done
            self._under_way = 0.0
        self.stopped = self.stopped + STEP if self.dirty >= bound and self.writer else 0.0
        self.longest_stop = max(self.longest_stop, self.stopped)
        rate = self.writer
        if self.dirty > 0.75 * bound:
            share = 1 - ((self.dirty - 0.75 * bound) / (0.25 * bound)) ** 3
            rate = min(rate, self.estimate * self.disk * max(0.0, share))
        given = min(rate * STEP, max(0.0, bound - self.dirty))
        self.dirty += given
        self.accepted += given


def observe(convergence: Convergence, storage: Storage) -> None:
    convergence.observe(
        storage.now,
        dirty=[int(storage.dirty)],
        written=storage.direct * int(storage.written),
        writing=int(storage.dirty),
        written_back=storage.layers * int(storage.written),
    )


def look(convergence: Convergence, storage: Storage, seconds: float = LOOK) -> None:
    for _ in range(round(seconds / STEP)):
        storage.step(convergence.bounds[0] if convergence.bounds else 1e18)
    observe(convergence, storage)


def begun(storage: Storage, budget: float = 60.0, watched: float = 0.5) -> Convergence:
    convergence = Convergence(GOAL, storage.now + budget)
    observe(convergence, storage)
    for _ in range(round(watched / LOOK)):
        look(convergence, storage)
    convergence.begin()
    return convergence


def converge(convergence: Convergence, storage: Storage, most: float = 60.0) -> float:
    """Until it is reached or given up; the seconds that it took."""
    began = storage.now
    while not convergence.reached and not convergence.hopeless and storage.now - began < most:
        look(convergence, storage)
    return storage.now - began


@pytest.mark.parametrize("burst", [0.0, 0.25, 0.5], ids="bursts of {} s".format)
@pytest.mark.parametrize(("disk", "writer"), [(100, 50), (100, 90), (40, 100), (40, 400), (5, 20)])
def test_it_reaches_the_goal_and_stops_no_writer(disk: int, writer: int, burst: float) -> None:
    storage = Storage(disk * MIB, writer * MIB, disk * 10 * MIB, burst=burst * disk * MIB)
    convergence = begun(storage)
    converge(convergence, storage)
    assert convergence.reached
    assert storage.dirty <= 1.11 * GOAL * convergence.disk_rate
    assert convergence.disk_rate == pytest.approx(disk * MIB, rel=0.35)
    assert storage.longest_stop < 0.25


@pytest.mark.parametrize(("disk", "writer"), [(40, 100), (4, 8)])
def test_writers_that_the_kernel_does_not_slow_down_in_time_stop_at_the_bound(
    disk: int, writer: int
) -> None:
    storage = Storage(disk * MIB, writer * MIB, disk * 10 * MIB, estimate=20)
    convergence = begun(storage)
    converge(convergence, storage)
    assert convergence.reached
    assert storage.longest_stop < 0.25


def test_what_a_disk_writes_past_the_page_cache_stops_no_writer() -> None:
    """A database with direct I/O takes four fifths of the disk."""
    storage = Storage(20 * MIB, 40 * MIB, 400 * MIB, direct=5)
    convergence = begun(storage)
    for _ in range(190):
        look(convergence, storage)
    assert convergence.disk_rate == pytest.approx(100 * MIB, rel=0.1)
    assert storage.longest_stop < 0.25


def test_what_is_written_back_in_each_of_three_layers_counts_once() -> None:
    storage = Storage(40 * MIB, 100 * MIB, 400 * MIB, layers=3)
    convergence = begun(storage)
    for _ in range(190):
        look(convergence, storage)
    assert storage.longest_stop < 0.25


def test_writers_that_are_paced_again_are_paced_as_if_for_the_first_time() -> None:
    storage = Storage(400 * MIB, 380 * MIB, 40 * MIB)
    convergence = begun(storage)
    for _ in range(60):  # nobody is paced meanwhile
        for _ in range(round(LOOK / STEP)):
            storage.step(1e18)
        observe(convergence, storage)
    storage.disk, storage.dirty = 20 * MIB, 200 * MIB
    look(convergence, storage)
    convergence.begin()
    for _ in range(40):
        look(convergence, storage)
        assert convergence.bounds[0] >= storage.dirty
    assert storage.longest_stop < 0.25


def test_a_device_that_has_nothing_to_write_at_first_is_left_room_to_begin() -> None:
    convergence = Convergence(GOAL, 100.0)
    dirty = [400 * MIB, 0]
    convergence.observe(1.0, dirty=dirty, written=0, writing=0)
    convergence.begin()
    for number in range(1, 40):
        written = number * 2 * MIB
        dirty[0] += MIB
        convergence.observe(1 + number * LOOK, dirty=dirty, written=written, writing=100 * MIB)
    assert convergence.disk_rate == pytest.approx(40 * MIB)
    # Of 40 MiB/s for 0.1 s, of which a little is left for the journal, a quarter is for this one.
    assert convergence.bounds[1] >= 0.6 * GOAL * 40 * MIB / 4


def test_a_bound_keeps_its_distance_while_the_disk_is_faster_than_its_writers() -> None:
    storage = Storage(100 * MIB, 40 * MIB, 400 * MIB)
    convergence = begun(storage)
    began = storage.now
    while not convergence.reached:
        look(convergence, storage)
        assert convergence.bounds[0] >= 1.25 * storage.dirty
    # 60 MiB/s are more than the writers add; a bound that falls by half of the disk takes 8 s.
    assert storage.now - began < 7.5


def test_the_bound_paces_nobody_while_much_is_being_written_and_never_runs_away() -> None:
    convergence = Convergence(GOAL, 100.0)
    dirty, now = 400 * MIB, 1.0
    convergence.observe(now, dirty=[dirty], written=0, writing=0)
    convergence.begin()
    for _ in range(4):
        now += LOOK
        convergence.observe(now, dirty=[dirty], written=0, writing=dirty // 4)
    assert convergence.bounds[0] == pytest.approx(1.5 * dirty)
    for _ in range(4):
        now, dirty = now + LOOK, dirty * 5 // 4
        convergence.observe(now, dirty=[dirty], written=0, writing=dirty // 4)
        assert convergence.bounds[0] <= max(1.5 * 400 * MIB, 1.07 * dirty)


def test_a_bound_comes_nearer_if_the_kernel_does_not_begin_to_write() -> None:
    convergence = Convergence(GOAL, 100.0)
    for number in range(12):
        convergence.observe(1 + number * LOOK, dirty=[400 * MIB], written=0, writing=0)
        if number == 5:
            convergence.begin()
            assert convergence.bounds[0] == pytest.approx(1.3 * 400 * MIB)
    assert convergence.bounds[0] == pytest.approx(1.06 * 400 * MIB)


def test_a_bound_that_falls_comes_nearer_if_the_disk_then_waits_for_its_writers() -> None:
    storage = Storage(40 * MIB, 100 * MIB, 400 * MIB)
    convergence = begun(storage)
    look(convergence, storage, 2.0)
    for _ in range(20):
        bound = convergence.bounds[0]
        look(convergence, storage)
        assert convergence.bounds[0] <= bound  # writers outrun the disk
    dirty = [int(storage.dirty)]
    for number in range(1, 6):
        now = storage.now + number * LOOK
        convergence.observe(now, dirty=dirty, written=int(storage.written), writing=0)
    assert convergence.bounds[0] <= 1.061 * dirty[0]


def test_of_a_very_slow_disk_no_less_than_a_quarter_of_a_mebibyte_is_asked() -> None:
    """In the time of a goal it takes less than the kernel lets the smallest writer have."""
    storage = Storage(MIB, 2 * MIB, 10 * MIB)
    convergence = begun(storage)
    converge(convergence, storage)
    assert convergence.reached
    assert 2 * GOAL * MIB < storage.dirty < 300 << 10


def test_no_bound_is_smaller_than_a_writer_can_live_with() -> None:
    convergence = Convergence(GOAL, 100.0)
    dirty = [10 * MIB, *[0] * 9]
    for number in range(400):
        convergence.observe(number * LOOK, dirty=dirty, written=number << 14, writing=dirty[0])
        if number == 10:
            convergence.begin()
            assert min(convergence.bounds) >= 128 << 10
    assert min(convergence.bounds) >= 128 << 10


@pytest.mark.parametrize(("disk", "writer"), [(100, 90), (40, 100)])
def test_writers_keep_half_of_the_disk_meanwhile(disk: int, writer: int) -> None:
    storage = Storage(disk * MIB, writer * MIB, disk * 10 * MIB)
    convergence = begun(storage)
    storage.accepted = 0.0
    took = converge(convergence, storage)
    assert storage.accepted / took >= 0.45 * disk * MIB


def test_what_cannot_be_written_in_time_is_hopeless_and_said_so_early() -> None:
    storage = Storage(10 * MIB, 100 * MIB, 2000 * MIB)
    convergence = begun(storage)
    took = converge(convergence, storage)
    assert convergence.hopeless
    assert not convergence.reached
    assert 9.9 < took < 15  # a disk may have a bad moment
    assert convergence.disk_rate == pytest.approx(10 * MIB, rel=0.1)


def test_what_just_fits_into_the_budget_is_brought_down_faster() -> None:
    storage = Storage(40 * MIB, 100 * MIB, 1400 * MIB)
    convergence = begun(storage)
    took = converge(convergence, storage)
    assert convergence.reached
    assert took < 60


def test_a_writer_that_goes_away_ends_it_sooner_and_one_that_comes_back_is_paced() -> None:
    alone = Storage(40 * MIB, 100 * MIB, 400 * MIB)
    longest = converge(begun(alone), alone)
    storage = Storage(40 * MIB, 100 * MIB, 400 * MIB)
    convergence = begun(storage)
    look(convergence, storage, 2.0)
    storage.writer = 0.0
    look(convergence, storage, 2.0)
    storage.writer = 300 * MIB
    for _ in range(40):
        look(convergence, storage)
    assert storage.longest_stop < 0.25
    storage.writer = 0.0
    assert converge(convergence, storage) + 6.0 < longest
    assert convergence.reached


@pytest.mark.parametrize("dirty", [64 << 10, 4 * MIB])
def test_a_disk_with_little_to_write_tells_nothing_of_its_speed(dirty: int) -> None:
    """A log that is synced each time takes as long as each sync, whatever the disk could take."""
    convergence = Convergence(GOAL, 100.0)
    for step in range(100):
        convergence.observe(step * LOOK, dirty=[dirty], written=step << 18, writing=dirty)
    assert not convergence.measured
    assert convergence.expected_hold < 0.2


def test_a_disk_that_nobody_asks_to_write_tells_nothing_of_its_speed() -> None:
    convergence = Convergence(GOAL, 100.0)
    for step in range(20):
        convergence.observe(step * LOOK, dirty=[400 * MIB], written=step * 2 * MIB, writing=MIB)
    for step in range(20, 100):
        convergence.observe(step * LOOK, dirty=[400 * MIB], written=40 * MIB, writing=0)
    assert convergence.disk_rate == pytest.approx(40 * MIB, rel=0.1)


@pytest.mark.parametrize(("estimate", "hold"), [(100, 5.0), (1, 20.0), (0, 20.0)])
def test_the_kernel_s_own_estimate_stands_in_for_a_measurement(estimate: int, hold: float) -> None:
    """It is too low for a disk that has been idle, so that 25 MiB/s are thought the least."""
    convergence = Convergence(GOAL, 100.0)
    rate = float(estimate * MIB)
    convergence.observe(1.0, dirty=[500 * MIB], written=0, writing=0, kernel_rate=rate)
    assert convergence.expected_hold == pytest.approx(hold)


def test_devices_share_the_goal_by_what_is_dirty_of_them() -> None:
    convergence = Convergence(GOAL, 100.0)
    dirty, written, now = [300 * MIB, 100 * MIB], 0, 1.0
    for _ in range(20):
        convergence.observe(now, dirty=dirty, written=written, writing=sum(dirty))
        now, written = now + LOOK, written + 2 * MIB
    convergence.begin()
    first = convergence.bounds
    assert first[0] > 300 * MIB
    assert first[1] > 100 * MIB
    for _ in range(20):
        convergence.observe(now, dirty=dirty, written=written, writing=sum(dirty))
        now, written = now + LOOK, written + 2 * MIB
    lost = [one - other for one, other in zip(first, convergence.bounds, strict=True)]
    assert lost[0] == pytest.approx(3 * lost[1], rel=0.1)
    # What is dirty is never reached by the bound.
    for _ in range(200):
        convergence.observe(now, dirty=dirty, written=written, writing=sum(dirty))
        now, written = now + LOOK, written + 2 * MIB
    assert all(one > other for one, other in zip(convergence.bounds, dirty, strict=True))
