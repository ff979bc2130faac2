"""`vmtpy thaw`: thaws filesystems that stay frozen after a session and its guardian have died.

It is for administrators, and relies on the markers that a session writes to /run/vmtpy.
"""

from __future__ import annotations

import json
import sys

from vmtpy import _core
from vmtpy.parser import Parser
from vmtpy.root import need_to_freeze

RUN_DIRECTORY = "/run/vmtpy"
DONE = (_core.Rescue.THAWED, _core.Rescue.NOT_FROZEN, _core.Rescue.STALE)
DESCRIPTION = (
    "Thaws the filesystems that a dead vmtpy left frozen; its markers in /run/vmtpy name them. "
    "Filesystems that other programs have frozen stay frozen."
)


def parser() -> Parser:
    made = Parser(prog="vmtpy thaw", description=DESCRIPTION)
    made.add_argument(
        "--force",
        action="store_true",
        help="also thaw filesystems that a living vmtpy holds frozen, and forget those that are "
        "no longer mounted",
    )
    made.add_argument("--json", action="store_true", help="print one JSON array")
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    need_to_freeze()  # without root no marker is visible, and "nothing to thaw" would be wrong
    results = _core.thaw_from_markers(_core.real_system(), RUN_DIRECTORY, options.force)
    if options.json:
        print(json.dumps([as_dict(result) for result in results], indent=2))
    elif not results:
        print(
            f"nothing to thaw: there is no marker in {RUN_DIRECTORY}; `fsfreeze --unfreeze PATH` "
            "thaws what another program has frozen"
        )
    else:
        for result in results:
            print(result.text, file=sys.stdout if result.result in DONE else sys.stderr)
        if any(result.result == _core.Rescue.REFUSED for result in results):
            print(
                "vmtpy thaw: --force thaws it all the same, and that process's snapshot then fails",
                file=sys.stderr,
            )
    return 0 if all(result.result in DONE for result in results) else 1


def as_dict(result: _core.RescueResult) -> dict[str, str]:
    """A result for JSON."""
    return {
        "result": result.result.name.lower(),
        **{name: getattr(result, name) for name in ("marker", "path", "device", "text")},
    }
