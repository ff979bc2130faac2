"""What was not yet on the disks before the pre-sync and before the freeze is in the record."""

from __future__ import annotations

import json

import pytest
from support.bench import Bench
from support.patience import await_true

from vmtpy._core import Phase
from vmtpy._host import FaultySystem, SimulatedDisk
from vmtpy.record import as_dict

MEMINFO = "/proc/meminfo"
TEXT = (
    "MemTotal: 8000 kB\nDirty:       {dirty} kB\nWriteback:    {writeback} kB\nWritebackTmp: 9 kB\n"
)


def test_the_record_has_what_was_dirty_before_the_presync_and_what_was_left() -> None:
    system = FaultySystem(disk := SimulatedDisk(["/a"]))
    disk.put_file(MEMINFO, TEXT.format(dirty=4096, writeback=24))
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, system=system)
    await_true(lambda: "sync" in system.calls())
    disk.put_file(MEMINFO, TEXT.format(dirty=8, writeback=0))
    disk.let_sync_go("/a")
    bench.reach(Phase.FROZEN)
    disk.put_file(MEMINFO, TEXT.format(dirty=77, writeback=77))
    bench.session.release()
    record = bench.end()
    assert (record.dirty_before, record.dirty_left) == (4120 * 1024, 8 * 1024)
    told = json.loads(json.dumps(as_dict(record)))
    assert (told["dirty_before"], told["dirty_left"]) == (4120 * 1024, 8 * 1024)


@pytest.mark.parametrize("text", [None, "", "MemTotal: 8000 kB\nDirty: 1 kB\n"])
def test_what_is_not_known_is_none(text: str | None) -> None:
    disk = SimulatedDisk(["/a"])
    if text is not None:
        disk.put_file(MEMINFO, text)
    bench = Bench(disk=disk)
    bench.reach(Phase.FROZEN)
    bench.session.release()
    record = bench.end()
    assert (record.dirty_before, record.dirty_left) == (None, None)


def test_it_is_none_where_it_did_not_come_to_the_freeze() -> None:
    disk = SimulatedDisk(["/a"])
    disk.put_file(MEMINFO, TEXT.format(dirty=1, writeback=0))
    disk.hold_syncs("/a")
    bench = Bench(disk=disk, presync_timeout=1)
    record = bench.advance_to_end()
    disk.let_sync_go("/a")
    assert (record.dirty_before, record.dirty_left) == (1024, None)
