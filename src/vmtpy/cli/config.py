"""`vmtpy config check|show|example`: checks, shows and documents the agent's configuration.

It is for administrators. config.py has the schema, in_force.py finds the running agent's
configuration.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from vmtpy import config_text
from vmtpy.config import FILE, find, parse, read
from vmtpy.errors import ConfigError, VmtError
from vmtpy.in_force import in_force
from vmtpy.parser import Parser

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = "Checks or shows the agent's configuration, or prints an example of it."


def parser() -> Parser:
    made = Parser(prog="vmtpy config", description=DESCRIPTION)
    actions = made.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "whether a configuration file is valid; exit 0 if it is, else 1 with all mistakes"
    check = actions.add_parser("check", help=text, description=f"Tells {text}.")
    check.add_argument("file", metavar="FILE", nargs="?", help=f"default: {FILE}")
    text = "all values in force, and the source of each"
    show = actions.add_parser("show", help=text, description=f"Shows {text}.")
    show.add_argument(
        "--config",
        metavar="FILE",
        help=f"show the values of this file (default: those of the running agent, or of {FILE})",
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
    """Prints every mistake of a file. Returns the exit code."""
    file = find(named)
    if not file:
        raise VmtError(
            f"{FILE} does not exist, so the agent uses the defaults; `vmtpy config example` shows "
            "them"
        )
    messages = list(mistakes(file))
    for message in messages:
        print(f"vmtpy config: {message}", file=sys.stderr)
    if not messages:
        print(f"{file} is valid")
    return 1 if messages else 0


def mistakes(file: str) -> Iterator[str]:
    """The mistakes of a file: those of each key first; if there is none, those between keys."""
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
    count = 0
    for part in parts:
        # A key alone is not compared with others: [poll] min may exceed the default of max.
        try:
            parse(part, file, together=False)
        except ConfigError as error:
            count += 1
            yield str(error)
    if not count:
        try:
            parse(tables, file)
        except ConfigError as error:
            yield str(error)


def show(named: str | None) -> int:
    """Prints all values in the form of a configuration file. Returns the exit code."""
    running = in_force(named)
    if running.error is not None and not running.told:
        raise running.error
    if running.error is not None:
        print(
            "vmtpy config: the file has a mistake, and the running agent keeps its old values: "
            f"{running.error}",
            file=sys.stderr,
        )
    elif running.refused and not named:
        print(f"vmtpy config: {running.trouble}; the values are those of the file", file=sys.stderr)
    written = read(running.file) if running.file and running.error is None else {}

    def origin(table: str, key: str) -> str:
        if (table, key) in running.differing:
            return running.agent
        if running.error is not None and (table, key) not in running.told:
            return "not known: the agent does not tell it, and the file has a mistake"
        return running.file if key in written.get(table, {}) else "default"

    if running.told:
        print(f"# The configuration of {running.agent}\n")
    for line in config_text.effective(running.config, origin):
        print(line)
    return 0
