"""`vmtpy thaw`: thaws what a session left frozen that died together with its guardian."""

from __future__ import annotations

import argparse
import json
import sys

from vmtpy import _core
from vmtpy.privilege import need_to_freeze

RUN_DIRECTORY = "/run/vmtpy"
DONE = (_core.Rescue.THAWED, _core.Rescue.NOT_FROZEN, _core.Rescue.STALE)
DESCRIPTION = (
    "Thaws the filesystems that a dead vmtpy left frozen, by its markers in /run/vmtpy. "
    "What others have frozen is left alone."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="vmtpy thaw", description=DESCRIPTION)
    made.add_argument(
        "--force",
        action="store_true",
        help="also thaw what a living vmtpy holds; forget what is not mounted any more",
    )
    made.add_argument("--json", action="store_true", help="one JSON array")
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    need_to_freeze()  # a user sees no markers, and would be told that there is nothing to thaw
    results = _core.thaw_from_markers(_core.real_os(), RUN_DIRECTORY, options.force)
    if options.json:
        print(json.dumps([as_dict(result) for result in results], indent=2))
    elif not results:
        print("nothing to thaw")
    else:
        for result in results:
            print(result.text, file=sys.stdout if result.result in DONE else sys.stderr)
    return 0 if all(result.result in DONE for result in results) else 1


def as_dict(result: _core.RescueResult) -> dict[str, str]:
    """A result as JSON has it."""
    return {
        "result": result.result.name.lower(),
        **{name: getattr(result, name) for name in ("marker", "path", "device", "text")},
    }
