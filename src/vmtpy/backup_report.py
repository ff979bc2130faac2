"""The record of a backup for whoever looks after many machines: a short JSON object, which the
host's operator reads as `guestinfo.vmtpy.backup` and `vmtpy status --json` has as `backup_report`.

    {"time": "2026-11-25T22:31:07Z", "outcome": "released", "error": "", "held_ms": 72.4,
     "filesystems": ["/boot"], "filesystems_count": 1,
     "left_out": [{"path": "/", "type": "zfs", "cause": "unsupported"}], "left_out_count": 1}

Never more than 4 KiB: lists that do not fit are cut, their counts are those of all.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmtpy._core import RunRecord

MOST = 4096  # bytes, as JSON
MOST_ERROR = 1024  # bytes of these
MOST_LEFT_OUT = 2048  # bytes up to the end of that list; the filesystems get the rest


def report(record: RunRecord) -> dict[str, object]:
    """The object: plain values, at most MOST bytes when encoded.

    `time` is when the backup began, in UTC. `outcome` is "released" for a good one, else as in
    vmtpy.record. `held_ms`: from the first freeze to the last thaw, None if nothing was frozen.
    `left_out`: what is writable and was not frozen; `cause` as in vmtpy.plan, in small letters.
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
        "left_out": [],
        "left_out_count": len(record.left_out),
    }
    left_out = [
        {"path": readable(one.path), "type": readable(one.type), "cause": one.cause.name.lower()}
        for one in record.left_out
    ]
    made["left_out"] = fitting(left_out, MOST_LEFT_OUT - len(encode(made)))
    paths = [readable(one.path) for one in record.filesystems]
    made["filesystems"] = fitting(paths, MOST - len(encode(made)))
    return made


def encode(made: dict[str, object]) -> bytes:
    """One line of ASCII."""
    return text(made).encode()


def fitting(items: list[object] | list[str] | list[dict[str, str]], room: int) -> list[object]:
    """The items that fit in so many bytes, in their order."""
    taken: list[object] = []
    for one in items:
        size = len(text(one)) + 1  # a comma
        if size <= room:
            taken.append(one)
            room -= size
    return taken


def text(value: object) -> str:
    """As JSON, as short as it can be."""
    return json.dumps(value, separators=(",", ":"))


def cut(error: str) -> str:
    """An error that is not too long, with an ellipsis where it was."""
    if len(text(error)) <= MOST_ERROR:
        return error
    short = error[:MOST_ERROR]
    while len(text(short)) > MOST_ERROR - 6:  # the ellipsis is \u2026
        short = short[: len(short) * 3 // 4]
    return short + "…"


def readable(name: str) -> str:
    """A path or a text that is no UTF-8 in a form that every reader of JSON takes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
