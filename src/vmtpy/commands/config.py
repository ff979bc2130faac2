"""`vmtpy config check|show|example`: the agent's configuration, judged, in force, and explained."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from vmtpy import config_text
from vmtpy.config import FILE, find, parse, read
from vmtpy.errors import ConfigError, VmtError
from vmtpy.in_force import in_force

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = "Judges, shows and explains the agent's configuration."


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="vmtpy config", description=DESCRIPTION)
    actions = made.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "whether an agent would take a file; exit 0 if so, 1 with every mistake if not"
    check = actions.add_parser("check", help=text, description=f"Says {text}.")
    check.add_argument("file", metavar="FILE", nargs="?", help=f"default: {FILE}")
    text = "all values that count, and where each comes from"
    show = actions.add_parser("show", help=text, description=f"Shows {text}.")
    show.add_argument(
        "--config",
        metavar="FILE",
        help=f"of an agent with this file (default: of the running agent, or with {FILE})",
    )
    text = "a file with every key, its meaning and its default"
    actions.add_parser("example", help=text, description=f"Prints {text}.")
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    if options.action == "example":
        print(config_text.example(), end="")
        return 0
    return check(options.file) if options.action == "check" else show(options.config)


def check(named: str | None) -> int:
    """Names every mistake of a file."""
    file = find(named)
    if not file:
        raise VmtError(f"there is no {FILE}: an agent has the defaults (`vmtpy config example`)")
    found = list(mistakes(file))
    for one in found:
        print(f"vmtpy config: {one}", file=sys.stderr)
    if not found:
        print(f"{file}: an agent would take it")
    return 1 if found else 0


def mistakes(file: str) -> Iterator[str]:
    """Each key is looked at by itself, then, if all are good, all together."""
    try:
        tables = read(file)
    except ConfigError as error:
        yield str(error)
        return
    parts: list[dict[str, Any]] = []
    for name, values in tables.items():
        if isinstance(values, dict) and values:
            parts += ({name: {key: value}} for key, value in values.items())
        else:
            parts.append({name: values})
    found = 0
    for part in parts:
        # [poll] min alone may be more than the default of max.
        try:
            parse(part, file, together=False)
        except ConfigError as error:
            found += 1
            yield str(error)
    if not found:
        try:
            parse(tables, file)
        except ConfigError as error:
            yield str(error)


def show(named: str | None) -> int:
    """All values, as a file that has them."""
    running = in_force(named)
    if running.error is not None:
        raise running.error
    written = read(running.file) if running.file else {}

    def origin(table: str, key: str) -> str:
        if table == "quiesce" and key in running.differing:
            return running.origin
        return running.file if key in written.get(table, {}) else "default"

    if running.status is not None and not named:
        print(f"# As the running agent has it, process {running.status['pid']}\n")
    for line in config_text.effective(running.config, origin):
        print(line)
    return 0
