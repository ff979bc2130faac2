"""The results of `vmtpy.plan()` and of a freeze: immutable values that can be compared and pickled.

This module makes them from the core's results, whose fields have the same names
(tests/unit/python/test_results.py). The agent works with the core's results and does not import
this module, because `dataclasses` costs memory.
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
    """A filesystem that would be frozen; each superblock has one. It is part of a `vmtpy.Plan`.

    Attributes:
        path: the mount point that vmtpy opens.
        mount_id: the id of that mount in /proc/self/mountinfo.
        unique_id: an id of that mount that the kernel never reuses (statx, Linux 6.8); 0 on older
            kernels.
        device: "major:minor" in /proc/self/mountinfo.
        type: the type, as "ext4".
        source: the mounted device, as "/dev/sda1".
        level: filesystems of level 0 are frozen first and thawed last.
        sync_only: whether the filesystem cannot be frozen and is only synced, as vfat.
        also: its other mount points.
        stands_on: the `device` of each filesystem, of a later level, that contains its data.
        mapped: the device-mapper devices below, which must not be suspended during the freeze.
        disks: the block devices below that stand on no other device.
        bdis: the names in /sys/class/bdi of the devices that count its dirty pages.
        sinks: the devices that count its writes to the disks, by number or by name of bdi.
        behind_server: whether the way to `path` leads through a network or FUSE filesystem, whose
            server may not answer.
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
    behind_server: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A filesystem that is not frozen. It is part of a `vmtpy.Plan` and of a `vmtpy.RunRecord`.

    Attributes:
        path: the mount point.
        device: "major:minor".
        type: the type, as "nfs4".
        cause: the reason, for programs.
        reason: the reason, for people.
        writable: whether a snapshot can lose its writes. It is false for filesystems that are
            read-only, pseudo or in memory, and for views of filesystems that the plan has anyway.
    """

    path: str
    device: str
    type: str
    cause: Cause
    reason: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The filesystems of this machine that would be frozen, and the others.

    Attributes:
        filesystems: the filesystems that would be frozen, by level, then by path.
        left_out: the other filesystems, with the reason for each.
        unmatched: the requested volumes on which no filesystem lies.
        notes: sentences about facts that do not prevent a freeze.
    """

    filesystems: tuple[Filesystem, ...]
    left_out: tuple[LeftOut, ...]
    unmatched: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilesystemRun:
    """The facts of one filesystem in a freeze. It is part of a `vmtpy.RunRecord`.

    Durations are in seconds.

    Attributes:
        path: the mount point, as in the plan.
        device: "major:minor", as in the plan.
        type: the type, as in the plan.
        level: the level, as in the plan.
        sync_only: whether it was only synced, as in the plan.
        presync: the time of all rounds of syncfs, during which programs could write.
        presync_rounds: the number of these rounds.
        freeze: the time inside FIFREEZE.
        frozen: the time from the return of FIFREEZE to the return of FITHAW.
        thaw: the time inside FITHAW.
        waited: the time that a writer may have waited, from the call of FIFREEZE until the
            filesystem was free again, or until now if it is not.
        dirty_before: the bytes that its devices had to write just before the pre-sync; None if not
            known.
        dirty_left: the bytes that they had to write at the end of the pre-sync; None if not known.
        disk_rate: the bytes per second that its devices wrote; 0.0 if too little was written.
        writer_rate: the bytes per second that programs dirtied at the end of the pre-sync.
        expected_hold: the time for which its freeze was expected to hold writers; `freeze` is the
            real time.
        paced: the time for which its writers were slowed down before the freeze.
        error: the errno of the call that failed; 0 if none failed.
        call: the name of the call that failed; "" if none failed.
        note: another fact, for people; "" if there is none.
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
    """The facts of a freeze: the filesystems, the times and the outcome.

    Times are in seconds of time.monotonic(); a step that was not reached has 0.0.

    Attributes:
        outcome: RELEASED: all filesystems were frozen until the thaw was requested. ABORTED: the
            freeze was given up on request, or the host was told that its thaw failed. FAILED: a
            filesystem could not be frozen. EXPIRED: the limit passed. LOST: another program thawed
            a filesystem. NONE: it has not ended.
        error: the error message; "" without an error. It is also set if the outcome is RELEASED
            and a filesystem could not be thawed.
        code: the errno of the error; 0 if it has none.
        path: the filesystem of the error; "" if it has none.
        started_unix_ns: the begin, in nanoseconds since 1970 by the wall clock.
        started: the begin.
        presynced: the end of the pre-sync.
        first_freeze: the call of the first FIFREEZE.
        all_frozen: the return of the last FIFREEZE.
        release_asked: the request to thaw.
        all_thawed: the return of the last FITHAW.
        limit: the seconds after first_freeze at which all filesystems are thawed in any case.
        rcu_expedited: whether RCU grace periods were expedited during the freeze.
        dirty_before: the bytes that the whole machine had to write to its disks just before the
            pre-sync (Dirty and Writeback of /proc/meminfo); None if not known or not reached.
        dirty_left: the bytes that the machine had to write just before the first freeze.
        dirty_source: the source of the filesystems' dirty bytes: "debugfs", which counts by device;
            "meminfo", which counts for the machine; "" if none is known.
        rate_source: the source of the disks' rates: "sectors" that the disks have written;
            "debugfs" if no disk is known below; "" if none is known.
        warnings: facts that did not prevent the freeze.
        filesystems: a FilesystemRun for each filesystem.
        left_out: the writable filesystems that were not to be frozen, whose state in the snapshot
            may be inconsistent.
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
    rate_source: str
    warnings: tuple[str, ...]
    filesystems: tuple[FilesystemRun, ...]
    left_out: tuple[LeftOut, ...]


def plan_of(native: _core.Plan) -> Plan:
    """The public plan for a plan of the core."""
    return Plan(
        filesystems=tuple(_made(Filesystem, filesystem) for filesystem in native.filesystems),
        left_out=tuple(_made(LeftOut, left) for left in native.left_out),
        unmatched=tuple(native.unmatched),
        notes=tuple(native.notes),
    )


def record_of(native: _core.RunRecord) -> RunRecord:
    """The public record for a record of the core."""
    return _made(
        RunRecord,
        native,
        filesystems=tuple(_made(FilesystemRun, filesystem) for filesystem in native.filesystems),
        left_out=tuple(_made(LeftOut, left) for left in native.left_out),
    )


def _made(kind: type[T], native: object, **instead: object) -> T:
    """An object of class `kind` with the values of the core's object; lists become tuples."""
    values: dict[str, Any] = dict(instead)
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in values:
            value = getattr(native, field.name)
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
