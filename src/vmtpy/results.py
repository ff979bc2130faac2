"""What `vmtpy.plan()` and a freeze return: plain values that compare, pickle and never change.

They are made here, and only here, from the core's results. Field by field they have the same names
(tests/unit/python/test_results.py). The agent does not import this module, whose
`dataclasses` would cost it memory: it works with the core's results themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from vmtpy._core import Cause, Outcome

if TYPE_CHECKING:
    from vmtpy import _core

__all__ = ["Cause", "Filesystem", "FilesystemRun", "LeftOut", "Outcome", "Plan", "RunRecord"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A filesystem that would be frozen, one for each superblock. Part of a `vmtpy.Plan`.

    Attributes:
        path: the mount point to open.
        mount_id: of that mount, as in /proc/self/mountinfo.
        unique_id: of that mount, never used again (statx, Linux 6.8); 0 where there is none.
        device: "major:minor", as in /proc/self/mountinfo.
        type: "ext4".
        source: what was mounted, "/dev/sda1".
        level: level 0 is frozen first, and thawed last.
        sync_only: it cannot be frozen and is only synced, as vfat.
        also: its other mount points.
        stands_on: the `device` of each filesystem, of a later level, that holds this one's data.
        mapped: the device-mapper devices below, which must not be suspended while it is frozen.
        disks: the block devices below that stand on no other ones.
        bdis: names in /sys/class/bdi of the devices that hold its dirty pages.
        sinks: the devices that tell how much of it goes to the disks: numbers, or names of bdi.
    """

    path: str
    mount_id: int
    unique_id: int
    device: str
    type: str
    source: str
    level: int
    sync_only: bool
    also: tuple[str, ...]
    stands_on: tuple[str, ...]
    mapped: tuple[str, ...]
    disks: tuple[str, ...]
    bdis: tuple[str, ...]
    sinks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A filesystem that is not frozen. Part of a `vmtpy.Plan` and of a `vmtpy.RunRecord`.

    Attributes:
        path: its mount point.
        device: "major:minor".
        type: "nfs4".
        cause: the reason, for programs.
        reason: the reason in words.
        writable: whether it can lose writes in a snapshot: it is neither read-only, pseudo, in
            memory nor a view of filesystems that are judged themselves.
    """

    path: str
    device: str
    type: str
    cause: Cause
    reason: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be frozen on this machine, and what not. `vmtpy.plan()` returns it.

    Attributes:
        filesystems: in the order in which they are frozen: by level, then by path.
        left_out: the others, with the reason for each.
        unmatched: those of the volumes asked for on which no filesystem lies.
        notes: sentences on what does not hinder but should be known.
    """

    filesystems: tuple[Filesystem, ...]
    left_out: tuple[LeftOut, ...]
    unmatched: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilesystemRun:
    """What happened to one filesystem. Part of a `vmtpy.RunRecord`. Durations are seconds.

    Attributes:
        path: as in the plan.
        device: as in the plan.
        type: as in the plan.
        level: as in the plan.
        sync_only: as in the plan.
        presync: all rounds of syncfs together, while writers still ran.
        presync_rounds: how many rounds these were.
        freeze: in FIFREEZE.
        frozen: from the return of FIFREEZE to the return of FITHAW.
        thaw: in FITHAW.
        waited: how long a writer may have waited, from the beginning of FIFREEZE until the
            filesystem was free again; so far, while it is not.
        dirty_before: bytes that its devices had to write just before the pre-sync, None where that
            is not known.
        dirty_left: the same at the end of the pre-sync.
        disk_rate: bytes a second that they took; 0.0 where too little was written to tell.
        writer_rate: bytes a second that writers dirtied, at the end of the pre-sync.
        expected_hold: how long its freeze was to hold writers, by these; `freeze` is how long it
            did.
        paced: for how long its writers were slowed down before.
        error: errno of the call that failed, 0 if none did.
        call: the name of that call, "" if none failed.
        note: anything else, for people.
    """

    path: str
    device: str
    type: str
    level: int
    sync_only: bool
    presync: float
    presync_rounds: int
    freeze: float
    frozen: float
    thaw: float
    waited: float
    dirty_before: int | None
    dirty_left: int | None
    disk_rate: float
    writer_rate: float
    expected_hold: float
    paced: float
    error: int
    call: str
    note: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What was frozen, for how long, and how it ended.

    Times are seconds of time.monotonic(), 0.0 where it did not come to that.

    Attributes:
        outcome: RELEASED: thawed when asked to, everything was frozen until then. ABORTED: given up
            on request. FAILED: could not freeze. EXPIRED: the limit struck first. LOST: found
            thawed by someone else. NONE: it has not ended.
        error: what went wrong in words, "" if nothing did. Also set when the outcome is RELEASED
            and a filesystem could not be thawed.
        code: its errno, or 0.
        path: its filesystem, or "".
        started_unix_ns: nanoseconds since 1970 by the wall clock.
        started: the beginning.
        presynced: dirty pages have been written.
        first_freeze: the first FIFREEZE begins.
        all_frozen: the last FIFREEZE has returned.
        release_asked: the thaw was asked for.
        all_thawed: the last FITHAW has returned.
        limit: seconds from first_freeze after which everything is thawed.
        rcu_expedited: RCU grace periods were hurried while freezing.
        dirty_before: bytes that the machine had not yet written to its disks, all of them (Dirty
            and Writeback of /proc/meminfo), just before the pre-sync. None where it did not come to
            that or it is not known.
        dirty_left: the same just before the first freeze.
        dirty_source: where the figures of the filesystems are from: "debugfs", which counts by
            device; "meminfo", which counts for the machine; "" where nothing is known.
        warnings: what did not prevent the run but should be known.
        filesystems: one FilesystemRun for each.
        left_out: what is writable and was not to be frozen, so that the snapshot holds it in
            whatever state it was.
    """

    outcome: Outcome
    error: str
    code: int
    path: str
    started_unix_ns: int
    started: float
    presynced: float
    first_freeze: float
    all_frozen: float
    release_asked: float
    all_thawed: float
    limit: float
    rcu_expedited: bool
    dirty_before: int | None
    dirty_left: int | None
    dirty_source: str
    warnings: tuple[str, ...]
    filesystems: tuple[FilesystemRun, ...]
    left_out: tuple[LeftOut, ...]


def plan_of(native: _core.Plan) -> Plan:
    """The public plan with the facts of the core's."""
    return Plan(
        filesystems=tuple(_made(Filesystem, filesystem) for filesystem in native.filesystems),
        left_out=tuple(_made(LeftOut, left) for left in native.left_out),
        unmatched=tuple(native.unmatched),
        notes=tuple(native.notes),
    )


def record_of(native: _core.RunRecord) -> RunRecord:
    """The public record with the facts of the core's."""
    return _made(
        RunRecord,
        native,
        filesystems=tuple(_made(FilesystemRun, filesystem) for filesystem in native.filesystems),
        left_out=tuple(_made(LeftOut, left) for left in native.left_out),
    )


def _made(kind: type[T], native: object, **instead: object) -> T:
    """A `kind` with the values of the core's result of the same name, lists as tuples."""
    values: dict[str, Any] = dict(instead)
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in values:
            value = getattr(native, field.name)
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
