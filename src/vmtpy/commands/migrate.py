"""`vmtpy migrate`: from open-vm-tools to vmtpy, with a word on everything that is lost."""

from __future__ import annotations

import argparse
import textwrap
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.config import FILE, load
from vmtpy.errors import SystemCallError
from vmtpy.hooks.legacy import TOOLS_CONF
from vmtpy.migrate import Fate, Outcome, configuration, scripts, settings, tools_conf
from vmtpy.migrate.absent import ABSENT, shared_folders, used

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = (
    "Reads open-vm-tools' tools.conf and scripts, says what becomes of each and what has no "
    "counterpart, and writes /etc/vmtpy/vmtpy.toml. Nothing of open-vm-tools is changed."
)
NEXT = """\
Next, in this order; two agents would share the host's commands:
  systemctl disable --now open-vm-tools vmtoolsd
  vmtpy install-service
  vmtpy doctor
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="vmtpy migrate", description=DESCRIPTION)
    made.add_argument("--dry-run", action="store_true", help="show the files, write nothing")
    made.add_argument("--force", action="store_true", help="replace files that are there")
    made.add_argument(
        "--root",
        metavar="DIR",
        default="/",
        help="the machine's root directory, such as a mounted image (default: %(default)s)",
    )
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    root = str(Path(options.root).absolute()).rstrip("/")
    outcome = examine(root)
    tell(outcome, root)
    files = {FILE: (configuration.render(outcome), 0o644)}
    if outcome.power_hook:
        files[scripts.POWER_HOOK] = (outcome.power_hook, 0o755)
    if options.dry_run:
        for name, (text, _) in files.items():
            print(f"\n{name} would be:\n\n{textwrap.indent(text, '  ')}", end="")
        return 0
    targets = {Path(f"{root}{name}"): content for name, content in files.items()}
    if not options.force:  # all or none
        configuration.refuse_existing(list(targets))
    print()
    for file, (text, mode) in targets.items():
        configuration.write(file, text, mode=mode, force=options.force)
        print(f"{file} written")
    load(f"{root}{FILE}")
    print(NEXT, end="")
    return 0


def examine(root: str) -> Outcome:
    """What becomes of the machine below `root`."""
    outcome = Outcome()
    try:
        text = Path(f"{root}{TOOLS_CONF}").read_text("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise SystemCallError("read", f"{root}{TOOLS_CONF}", error.errno or 0) from error
    sections: tools_conf.Sections = {}
    try:
        sections = tools_conf.parse(text)
    except tools_conf.ToolsConfError as error:
        outcome.fates.append(Fate(TOOLS_CONF, "the defaults", str(error)))
    settings.translate(sections, outcome)
    scripts.backup_scripts(root, sections, outcome)
    scripts.power_scripts(root, sections, outcome)
    return outcome


def tell(outcome: Outcome, root: str) -> None:
    kept = [one for one in outcome.fates if one.becomes]
    lost = [one for one in outcome.fates if not one.becomes]
    print("What open-vm-tools is told here, and what it becomes:")
    print("\n".join(told(kept)) or "  nothing: it has its defaults, and no scripts")
    if lost:
        print("\nWhat has no counterpart:")
        print("\n".join(told(lost)))
    print("\nWhat vmtpy does not do, and who will miss it:")
    for one in ABSENT:
        print(f"  {one.what}")
        print(wrapped(f"missed by: {one.missed_by}"))
        if one.instead:
            print(wrapped(f"instead: {one.instead}"))
        signs = list(used(one, root))
        if "vmhgfs-fuse" in one.what and not root:
            signs += shared_folders(Path("/proc/mounts").read_text())
        if signs:
            print(wrapped(f"IN USE HERE, it seems: {', '.join(signs)}"))


def told(fates: list[Fate]) -> Iterator[str]:
    """Lines; what is said of several things in a row is said once."""
    for (becomes, note), same in groupby(fates, lambda one: (one.becomes, one.note)):
        yield from (f"  {one.thing}" for one in same)
        if becomes:
            yield f"      → {becomes}"
        if note:
            yield wrapped(note)


def wrapped(text: str) -> str:
    return textwrap.fill(text, 98, initial_indent=" " * 6, subsequent_indent=" " * 6)
