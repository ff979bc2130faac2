"""`vmtpy plan [PATH…]`: shows what would be frozen, in which order, and why not the rest.

It is for administrators. The native core makes the plan (csrc/plan); this module only prints it.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from vmtpy._plan import Cause, Filesystem, LeftOut, Plan, plan
from vmtpy.config import FILE
from vmtpy.in_force import in_force
from vmtpy.parser import Parser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DESCRIPTION = (
    "Shows which filesystems would be frozen, in which order, and why the others would not. It "
    "freezes nothing."
)
FIELDS = (
    *("path", "mount_id", "device", "type", "source", "level", "sync_only", "also"),
    *("stands_on", "mapped", "disks"),
)
LEFT_OUT_FIELDS = ("path", "device", "type", "reason", "writable")
# Filesystems that nobody expects to be frozen. Without --all only their number is shown.
SUMMARISED = {Cause.PSEUDO: "pseudo", Cause.MEMORY: "in memory"}


def parser() -> Parser:
    made = Parser(prog="vmtpy plan", description=DESCRIPTION)
    made.add_argument("paths", nargs="*", metavar="PATH", help="a mount point (default: all)")
    made.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="GLOB",
        help="freeze only mount points that match (repeatable)",
    )
    made.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out mount points that match (repeatable)",
    )
    made.add_argument(
        "--volumes",
        action="append",
        default=[],
        metavar="VOLUME",
        help="freeze only filesystems on this volume, which a host names by a path or a disk UUID "
        "(repeatable)",
    )
    made.add_argument(
        "--config",
        metavar="FILE",
        help="show the plan of an agent with this configuration (default, without PATH, --include "
        f"and --exclude: the plan of the running agent, or of an agent with {FILE})",
    )
    made.add_argument(
        "--all", action="store_true", help="also name pseudo filesystems and those in memory"
    )
    made.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    include = [*map(os.path.abspath, options.paths), *options.include]
    exclude, origin = options.exclude, ""
    if options.config or not (include or exclude):
        running = in_force(options.config)
        if running.error is not None and not running.told:
            raise running.error
        if running.error is not None:
            print(
                "vmtpy plan: the file has a mistake, and the running agent keeps its old values: "
                f"{running.error}",
                file=sys.stderr,
            )
        if running.refused and not options.config:
            print(
                f"vmtpy plan: {running.trouble}; the running agent may have other includes",
                file=sys.stderr,
            )
        quiesce, origin = running.config.quiesce, running.origin
        include, exclude = include or [*quiesce.include], [*exclude, *quiesce.exclude]
    made = plan(include, exclude, options.volumes)
    if options.json:
        print(json.dumps(as_dict(made), indent=2))
    else:
        show(made, everything=options.all)
        if origin and (include or exclude):
            print(f"This plan applies {described(include, exclude)} of {origin}")
    return 0


def described(include: list[str], exclude: list[str]) -> str:
    """`include /srv and exclude /srv/tmp`."""
    lists = {"include": include, "exclude": exclude}
    return " and ".join(
        f"{key} {', '.join(map(shown, values))}" for key, values in lists.items() if values
    )


def as_dict(made: Plan) -> dict[str, object]:
    """The plan for JSON, with the names of vmtpy.Plan's attributes."""
    return {
        "filesystems": [
            {name: getattr(filesystem, name) for name in FIELDS} for filesystem in made.filesystems
        ],
        "left_out": [
            {name: getattr(left, name) for name in LEFT_OUT_FIELDS}
            | {"cause": left.cause.name.lower()}
            for left in made.left_out
        ],
        "unmatched": made.unmatched,
        "notes": made.notes,
    }


class Branch(NamedTuple):
    """A line of a tree with the lines below it."""

    title: str
    below: list[Branch]


def show(made: Plan, *, everything: bool) -> None:
    """Prints the plan as trees."""
    trees = [frozen_tree(made)]
    if made.left_out:
        trees.append(left_out_tree(made.left_out, everything=everything))
    for title, lines in (
        ("Volumes without a filesystem of this machine", made.unmatched),
        ("Notes", made.notes),
    ):
        if lines:
            trees.append(tree(title, map(shown, lines)))
    plain = "utf" not in (getattr(sys.stdout, "encoding", None) or "").lower()  # None: closed
    for top in trees:
        print(top.title)
        for line in drawn(top, ("|-- ", "|   ", "`-- ") if plain else ("├── ", "│   ", "└── ")):
            print(line)


def drawn(branch: Branch, signs: tuple[str, str, str]) -> Iterator[str]:
    """The lines below a branch.

    Args:
        branch: the branch whose own title is not drawn.
        signs: what precedes a line that others follow, the lines below such a line, the last line.
    """
    beside, down, last = signs
    for number, child in enumerate(branch.below, 1):
        is_last = number == len(branch.below)
        yield f"{last if is_last else beside}{child.title}"
        for line in drawn(child, signs):
            yield f"{'    ' if is_last else down}{line}"


def frozen_tree(made: Plan) -> Branch:
    """The tree of what would be frozen: a branch for each level, a leaf for each filesystem."""
    freezing = sum(not filesystem.sync_only for filesystem in made.filesystems)
    if not made.filesystems:
        return tree("Nothing would be frozen.")
    levels = sorted({filesystem.level for filesystem in made.filesystems})
    title = f"Would freeze {freezing} filesystem{'s' * (freezing != 1)}"
    if len(levels) > 1:
        title += f", one level after the other ({len(levels)}), and thaw in reverse"
    top = tree(title)
    paths = {filesystem.device: filesystem.path for filesystem in made.filesystems}
    for level in levels:
        branch = tree(f"level {level}") if len(levels) > 1 else top
        if branch is not top:
            top.below.append(branch)
        members = [filesystem for filesystem in made.filesystems if filesystem.level == level]
        width = max(len(shown(member.path)) for member in members)
        branch.below.extend(Branch(describe(member, width, paths), []) for member in members)
    return top


def describe(member: Filesystem, width: int, paths: dict[str, str]) -> str:
    """`/srv  xfs on /dev/sdb1 (8:17), also at /export, stands on /`."""
    text = (
        f"{shown(member.path):<{width}}  {member.type} on {shown(member.source)} ({member.device})"
    )
    if member.also:
        text += f", also at {', '.join(map(shown, member.also))}"
    if member.stands_on:
        text += f", stands on {', '.join(shown(paths[device]) for device in member.stands_on)}"
    return text + (f"; only synced: {member.type} cannot be frozen" if member.sync_only else "")


def left_out_tree(left_out: Sequence[LeftOut], *, everything: bool) -> Branch:
    """The tree of what is left out: a leaf for each filesystem, one leaf for all SUMMARISED."""
    named = [left for left in left_out if everything or left.cause not in SUMMARISED]
    counts = Counter(left.cause for left in left_out if left not in named)
    width = max((len(shown(left.path)) for left in named), default=0)
    lines = [f"{shown(left.path):<{width}}  {left.type}: {shown(left.reason)}" for left in named]
    if counts:
        parts = " and ".join(
            f"{counts[key]} {word}" for key, word in SUMMARISED.items() if counts[key]
        )
        lines.append(f"{parts} (`--all` names them)")
    return tree("Left out", lines)


def tree(title: str, lines: Iterable[str] = ()) -> Branch:
    return Branch(title, [Branch(line, []) for line in lines])


def shown(path: str) -> str:
    """A path with escapes in place of control characters and of bytes that are not characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)
