"""The record of a run as plain values, for JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmtpy import _core

_RUN = (
    "error",
    "code",
    "path",
    "started_unix_ns",
    "started",
    "presynced",
    "first_freeze",
    "all_frozen",
    "release_asked",
    "all_thawed",
    "limit",
    "rcu_expedited",
    "warnings",
)
_FILESYSTEM = (
    "path",
    "device",
    "type",
    "level",
    "sync_only",
    "presync",
    "presync_rounds",
    "freeze",
    "frozen",
    "thaw",
    "error",
    "call",
    "note",
)


def as_dict(record: _core.RunRecord) -> dict[str, object]:
    """The record as JSON can hold it.

    Durations are seconds; times are seconds of CLOCK_MONOTONIC, 0.0 for what it did not come to.
    """
    return {
        "outcome": record.outcome.name.lower(),
        **{name: getattr(record, name) for name in _RUN},
        "filesystems": [
            {name: getattr(one, name) for name in _FILESYSTEM} for one in record.filesystems
        ],
    }
