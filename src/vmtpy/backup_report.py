"""The report of a backup for administrators of many machines: a short JSON object. The host shows
it as `guestinfo.vmtpy.backup`, and `vmtpy status --json` as `backup_report`.

    {"time": "2026-11-25T22:31:07Z", "outcome": "released", "error": "", "held_ms": 72.4,
     "filesystems": ["/boot"], "filesystems_count": 1, "paced": [],
     "left_out": [{"path": "/", "type": "zfs", "cause": "unsupported"}], "left_out_count": 1}

The object has at most 4 KiB. Lists that do not fit are cut; the counts are those of the whole
lists.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmtpy._core import RunRecord

MOST = 4096  # bytes, as JSON
MOST_ERROR = 1024  # bytes for the error
MOST_PACED = 700  # bytes for `paced`
MOST_LEFT_OUT = 2048  # bytes up to the end of `left_out`; the list of filesystems gets the rest


def report(record: RunRecord) -> dict[str, object]:
    """The object, at most MOST bytes when encoded.

    `time` is the begin of the backup in UTC. `outcome` is "released" for a good backup, else a
    lower case name of vmtpy.Outcome. `held_ms` is the time from the first freeze to the last thaw
    in milliseconds; None if nothing was frozen. `paced` has the filesystems whose writers were
    slowed down, the longest first, with facts of their FilesystemRun. `left_out` has the
    filesystems that are writable and were not frozen; `cause` is a lower case name of vmtpy.Cause.
    """
    began = record.started_unix_ns / 1e9 if record.started_unix_ns else time.time()
    frozen = record.first_freeze and record.all_thawed
    held = round((record.all_thawed - record.first_freeze) * 1000, 1) if frozen else None
    made: dict[str, object] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "outcome": record.outcome.name.lower(),
        "error": cut(readable(record.error)),
        "held_ms": held,
        "filesystems": [],
        "filesystems_count": len(record.filesystems),
        "paced": [],
        "left_out": [],
        "left_out_count": len(record.left_out),
    }
    left_out = [
        {"path": readable(left.path), "type": readable(left.type), "cause": left.cause.name.lower()}
        for left in record.left_out
    ]
    made["paced"] = fitting(paced(record), MOST_PACED)
    made["left_out"] = fitting(left_out, MOST_LEFT_OUT - len(encode(made)))
    paths = [readable(filesystem.path) for filesystem in record.filesystems]
    made["filesystems"] = fitting(paths, MOST - len(encode(made)))
    return made


def paced(record: RunRecord) -> list[dict[str, object]]:
    """What is told of each filesystem whose writers were slowed down."""
    slowed = sorted((run for run in record.filesystems if run.paced), key=lambda run: -run.paced)
    return [
        {
            "path": readable(run.path),
            "paced": round(run.paced, 1),
            "dirty_before": run.dirty_before,
            "dirty_left": run.dirty_left,
            "disk_rate": round(run.disk_rate),
            "writer_rate": round(run.writer_rate),
            "expected_hold": round(run.expected_hold, 3),
            "freeze": round(run.freeze, 3),
            "source": record.dirty_source,
        }
        for run in slowed
    ]


def encode(made: dict[str, object]) -> bytes:
    """The object as one line of ASCII."""
    return text(made).encode()


def fitting(items: Sequence[object], room: int) -> list[object]:
    """The items that fit in `room` bytes, in their order."""
    kept: list[object] = []
    for item in items:
        size = len(text(item)) + 1  # 1 for a comma
        if size <= room:
            kept.append(item)
            room -= size
    return kept


def text(value: object) -> str:
    """A value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def cut(error: str) -> str:
    """The error, shortened to MOST_ERROR bytes; an ellipsis ends a text that was shortened."""
    if len(text(error)) <= MOST_ERROR:
        return error
    short = error[:MOST_ERROR]
    while len(text(short)) > MOST_ERROR - 6:  # the ellipsis is \u2026
        short = short[: len(short) * 3 // 4]
    return short + "…"


def readable(name: str) -> str:
    """The text with escapes for bytes that are not UTF-8, which JSON and the core cannot take."""
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # the words of a hook may have surrogates that stand for no byte
        return name.encode("utf-8", "backslashreplace").decode()
