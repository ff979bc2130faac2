"""The record of a freeze: what was frozen, for how long, and how it ended.

`RunRecord` and `FilesystemRun` are native and read-only. Durations are seconds; times are seconds
of time.monotonic(), 0.0 where it did not come to that.

RunRecord:
    outcome: an `Outcome`. RELEASED: thawed when asked to, everything was frozen until then.
        ABORTED: given up on request. FAILED: could not freeze. EXPIRED: the limit struck first.
        LOST: found thawed by someone else. NONE: has not ended.
    error, code, path: what went wrong in words, its errno or 0, its filesystem or "". Also set when
        the outcome is RELEASED and a filesystem could not be thawed.
    warnings: a list of what did not prevent the run but should be known.
    started_unix_ns: wall clock.
    started, presynced, first_freeze, all_frozen, release_asked, all_thawed: the steps.
    limit: after which everything is thawed, counted from first_freeze.
    rcu_expedited: RCU grace periods were hurried while freezing.
    dirty_before, dirty_left: bytes that the machine had not yet written to its disks, all of them
        (Dirty and Writeback of /proc/meminfo): just before the pre-sync, just before the first
        freeze. None where it did not come to that or it is not known.
    filesystems: a list of FilesystemRun.
    left_out: a list of `vmtpy.LeftOut`: what is writable and was not to be frozen, so that the
        snapshot holds it in whatever state it was; with its `path`, `type`, `cause` and `reason`.

FilesystemRun:
    path, device ("major:minor"), type, level, sync_only: as in the plan.
    presync, presync_rounds: all rounds of syncfs while writers still ran.
    freeze, frozen, thaw: in FIFREEZE, from its return to the return of FITHAW, in FITHAW.
    waited: how long a writer may have waited, from the beginning of FIFREEZE until the filesystem
        was free again; so far, while it is not (read the record again later).
    error, call: errno and name of the call that failed, 0 and "" if none.
    note: anything else, for people.
"""

from __future__ import annotations

from vmtpy._core import FilesystemRun, Outcome, RunRecord

__all__ = ["FilesystemRun", "Outcome", "RunRecord", "as_dict"]

_FIELDS = (
    *("error", "code", "path", "started_unix_ns", "started", "presynced", "first_freeze"),
    *("all_frozen", "release_asked", "all_thawed", "limit", "rcu_expedited", "warnings"),
    *("dirty_before", "dirty_left"),
)
_LEFT_OUT_FIELDS = ("path", "device", "type", "reason")
_FILESYSTEM_FIELDS = (
    *("path", "device", "type", "level", "sync_only", "presync", "presync_rounds"),
    *("freeze", "frozen", "thaw", "waited", "error", "call", "note"),
)


def as_dict(record: RunRecord) -> dict[str, object]:
    """The record as JSON has it: the same names as in Python, the outcome as a lower-case word."""
    return {
        "outcome": record.outcome.name.lower(),
        **{name: getattr(record, name) for name in _FIELDS},
        "filesystems": [
            {name: getattr(one, name) for name in _FILESYSTEM_FIELDS} for one in record.filesystems
        ],
        "left_out": [
            {name: getattr(one, name) for name in _LEFT_OUT_FIELDS}
            | {"cause": one.cause.name.lower()}
            for one in record.left_out
        ],
    }
