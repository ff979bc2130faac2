"""`vmtpy migrate`: writes vmtpy's configuration from that of open-vm-tools, and lists what is lost.

It is for administrators who replace open-vm-tools; vmtpy.migrate translates settings and scripts.
"""

from __future__ import annotations

import shlex
import textwrap
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.config import FILE, load
from vmtpy.errors import SystemCallError, VmtError
from vmtpy.hooks.legacy import TOOLS_CONF
from vmtpy.migrate import Fate, Outcome, configuration, scripts, settings, tools_conf
from vmtpy.migrate.absent import ABSENT, mounted, used
from vmtpy.parser import Parser

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = (
    "Reads open-vm-tools' tools.conf and scripts, lists what becomes of each and what has no "
    "counterpart, and writes /etc/vmtpy/vmtpy.toml. It changes nothing of open-vm-tools."
)
NEXT = """\
Run these next, in this order, because two running agents would share the host's commands:
  systemctl disable --now open-vm-tools || systemctl disable --now vmtoolsd
  vmtpy install-service
  vmtpy doctor
"""
NEXT_IN_TREE = """\
Run these next, because two agents in the image would share the host's commands:
  systemctl --root={0} disable open-vm-tools || systemctl --root={0} disable vmtoolsd
  vmtpy install-service --root {0}
"""


def parser() -> Parser:
    made = Parser(prog="vmtpy migrate", description=DESCRIPTION)
    made.add_argument("--dry-run", action="store_true", help="show the files, but write nothing")
    made.add_argument("--force", action="store_true", help="replace files that exist")
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
    if not Path(f"{root}/").is_dir():
        raise VmtError(f"--root {root} is not a directory")
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
    configuration.write_all(targets, force=options.force)
    print()
    for file in targets:
        print(f"wrote {file}")
    load(f"{root}{FILE}")
    print(NEXT_IN_TREE.format(shlex.quote(root)) if root else NEXT, end="")
    return 0


def examine(root: str) -> Outcome:
    """What becomes of open-vm-tools' settings and scripts below `root`."""
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
    kept = [fate for fate in outcome.fates if fate.becomes]
    lost = [fate for fate in outcome.fates if not fate.becomes]
    print("Settings and scripts of open-vm-tools, and what they become:")
    print("\n".join(described(kept)) or "  none: open-vm-tools has its defaults, and no scripts")
    if lost:
        print("\nSettings and scripts without a counterpart:")
        print("\n".join(described(lost)))
    print("\nFunctions that vmtpy does not have, and who will miss them:")
    for absent in ABSENT:
        print(f"  {absent.what}")
        print(wrapped(f"missed by: {absent.missed_by}"))
        if absent.instead:
            print(wrapped(f"instead: {absent.instead}"))
        signs = list(used(absent, root))
        if not root:
            signs += mounted(absent, Path("/proc/mounts").read_text("utf-8", "replace"))
        if signs:
            print(wrapped(f"SEEMS TO BE IN USE HERE: {', '.join(signs)}"))


def described(fates: list[Fate]) -> Iterator[str]:
    """The lines for `fates`. Neighbours with the same outcome and note share those lines."""
    for (becomes, note), same in groupby(fates, lambda fate: (fate.becomes, fate.note)):
        yield from (f"  {fate.thing}" for fate in same)
        if becomes:
            yield f"      → {becomes}"
        if note:
            yield wrapped(note)


def wrapped(text: str) -> str:
    return textwrap.fill(text, 98, initial_indent=" " * 6, subsequent_indent=" " * 6)
