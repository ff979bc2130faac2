"""The record of a freeze for JSON. `vmtpy.RunRecord` in results.py describes the fields.

It accepts both the public record and the core's, which the agent uses.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from vmtpy import _core
    from vmtpy.results import RunRecord

_FIELDS = (
    *("error", "code", "path", "started_unix_ns", "started", "presynced", "first_freeze"),
    *("all_frozen", "release_asked", "all_thawed", "limit", "rcu_expedited", "warnings"),
    *("dirty_before", "dirty_left", "dirty_source", "rate_source"),
)
_LEFT_OUT_FIELDS = ("path", "device", "type", "reason")
_FILESYSTEM_FIELDS = (
    *("path", "device", "type", "level", "sync_only", "presync", "presync_rounds"),
    *("freeze", "frozen", "thaw", "waited", "error", "call", "note"),
    *("dirty_before", "dirty_left", "disk_rate", "writer_rate", "expected_hold", "paced"),
)


def as_dict(record: RunRecord | _core.RunRecord) -> dict[str, object]:
    """The record for JSON: the names are those of the attributes, the outcome is in lower case."""
    return {
        "outcome": record.outcome.name.lower(),
        **{name: getattr(record, name) for name in _FIELDS},
        "filesystems": [
            {name: getattr(filesystem, name) for name in _FILESYSTEM_FIELDS}
            for filesystem in record.filesystems
        ],
        "left_out": [
            {name: getattr(left, name) for name in _LEFT_OUT_FIELDS}
            | {"cause": left.cause.name.lower()}
            for left in record.left_out
        ],
    }
