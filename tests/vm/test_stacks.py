"""Filesystems on LVM, LUKS, md and multipath, the root among them, in one virtual machine: their
plan, their backups under load, and what the copies are worth when they are assembled again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support import stacks
from support.patience import await_true
from support.roots import make_root, missing
from support.stacks import STACKS
from support.vm_backup import KINDS, PATIENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.qemu import Root
    from support.stacks import StackedGuest

pytestmark = pytest.mark.timeout(1800)

KERNEL = "6.12"
PATIENCE = 600.0
DIRTY = 24 << 20  # bytes: at least one of five disks at 3 MiB/s has more than it takes in a second


@pytest.fixture(scope="module")
def stacked_root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A kernel that can bound the dirty pages of a device, and the programs that make stacks."""
    if lacking := missing(KERNEL, stacks.PROGRAMS):
        pytest.skip(f"needs {lacking}")
    return make_root(
        KERNEL,
        tmp_path_factory.mktemp("root"),
        modules=stacks.MODULES,
        programs=stacks.PROGRAMS,
        trees=stacks.TREES,
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disks")


@pytest.fixture(scope="module")
def guest(stacked_root: Root, work: Path) -> Iterator[StackedGuest]:
    """One machine for all tests here."""
    with stacks.stacked_guest(stacked_root, work, "synced", "buffered") as made:
        yield made


def test_the_plan_tells_what_each_filesystem_stands_on(guest: StackedGuest) -> None:
    plan = guest.plan()
    numbers = guest.numbers()
    assert set(plan) == {stack.path for stack in STACKS}
    for stack in STACKS:
        planned = plan[stack.path]
        mapped = {numbers[name] for name in stack.below if numbers[name].startswith("253:")}
        assert set(planned["mapped"]) == mapped, stack
        assert set(planned["disks"]) == {numbers[name] for name in stack.disks}, stack
    # What stands on a file of another filesystem is frozen before that.
    assert {path: one["level"] for path, one in plan.items()} == {
        **dict.fromkeys(plan, 0),
        "/data/thin": 1,
    }
    assert plan["/data/image"]["stands_on"] == [plan["/data/thin"]["device"]]


def test_a_volume_that_stays_suspended_is_named_and_nothing_is_frozen(
    guest: StackedGuest,
) -> None:
    guest.machine.check("dmsetup", "suspend", "group-linear")
    try:
        guest.machine.wait(guest.start())
    finally:
        guest.machine.check("dmsetup", "resume", "group-linear")
    record = guest.record()
    number = guest.numbers()["group-linear"]
    said = f"/data/linear: group-linear ({number}) is suspended by device-mapper"
    assert record["error"].startswith(said), record
    assert record["first_freeze"] == 0
    guest.acknowledged.wait_for_more()


def test_what_slows_writers_down_bounds_each_device_below_and_is_taken_back(
    guest: StackedGuest,
) -> None:
    found = guest.bounds()
    watch = guest.machine.start("python", "/opt/guest/bounds.py", output="/run/bounds")
    directories = [stack.directory for stack in STACKS]
    load = guest.machine.start("python", "/opt/guest/dirty.py", *directories, output="/run/load")
    guest.throttle(3)
    try:
        await_true(lambda: guest.dirty() >= DIRTY, lambda: guest.machine.read("/proc/meminfo"))
        host = guest.start(PATIENT, "--snapshot-command", "sleep 0.1")
        guest.machine.wait(host, PATIENCE)
    finally:
        guest.throttle(0)
    for pid in (load, watch):
        guest.machine.ask("end_of_input", pid=pid)
        guest.machine.wait(pid)
    record = guest.record()
    print(json.dumps(record))
    if record["outcome"] != "released":  # an emulated machine may be too slow for the goal
        assert record["first_freeze"] == 0, record
    seen = set(json.loads(guest.machine.read("/run/bounds")))
    numbers = guest.numbers()
    paced = {run["path"] for run in record["filesystems"] if run["paced"] > 0}
    assert paced, record  # which ones depends on how fast the machine writes
    for stack in STACKS:
        if stack.path in paced:
            assert {numbers[name] for name in stack.below} <= seen, (stack, seen)
    if "/data/mirror" in paced:
        assert any(name.startswith("btrfs") for name in seen), seen
    assert guest.bounds() == found
    assert guest.markers() == []


def test_copies_made_while_a_volume_is_snapshot_are_clean_and_complete_when_assembled_again(
    stacked_root: Root, guest: StackedGuest, work: Path
) -> None:
    snapshots = ("python", "/opt/guest/snapshots.py", "group/linear")
    loop = guest.machine.start(*snapshots, output="/run/snapshots")
    host = guest.freeze()
    before = guest.acknowledged.now()
    stacks.take_snapshots(guest.machine, work)
    guest.release()
    assert guest.machine.wait(host) == 0, guest.machine.read("/run/emulate")
    assert guest.phases()["backup ended"]["outcome"] == "done", guest.phases()
    guest.machine.ask("end_of_input", pid=loop)
    assert guest.machine.wait(loop) == 0, guest.machine.read("/run/snapshots")
    assert int(guest.machine.read("/run/snapshots").split()[-1]) > 0
    guest.acknowledged.wait_for_more()
    with stacks.copies(stacked_root, work) as machine:
        for stack in STACKS:
            assert stacks.check(machine, stack) == "", stack
            found = stacks.records(machine, stack)
            for kind in KINDS:
                count = found.get(kind)
                assert isinstance(count, int), (stack, found)
                assert count >= before[f"{stack.directory}/{kind}"], (stack, found)
