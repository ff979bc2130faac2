"""All commands with their options, as their own parsers have them.

`vmtpy help`, the man pages (man_page.py) and the shells' completion (completion.py) are made from
it, so that none can differ from what `--help` says.
"""

from __future__ import annotations

import argparse
import importlib
from typing import NamedTuple

from vmtpy.__main__ import COMMANDS

# What the parsers call a value → what a shell completes it with.
FILES = {"FILE": "file", "DIR": "directory", "PATH": "file"}


class Argument(NamedTuple):
    """An option, or a word at its place.

    Attributes:
        names: `--config`; none for a word.
        value: what it takes, as `FILE`; "" for a switch.
        text: of the help.
        choices: all that it can be, if that is known.
        number: as argparse's nargs: "" for one, "?", "*", "+".
    """

    names: tuple[str, ...]
    value: str
    text: str
    choices: tuple[str, ...] = ()
    number: str = ""

    @property
    def kind(self) -> str:
        """How a shell completes its value: "file", "directory" or ""."""
        return FILES.get(self.value, "")


class Group(NamedTuple):
    """Options that belong together; the first group of a command has no title."""

    title: str
    text: str
    options: list[Argument]


class Command(NamedTuple):
    """A command, or one of the actions of a command.

    Attributes:
        name: as it is typed, "vmtpy guestinfo get".
        summary: a line.
        description: paragraphs.
        epilog: lines, to be shown as they are.
        usage: what follows the name.
        words: arguments that are no options.
        groups: of options.
        actions: the commands of this command.
        program: another program's command line follows `--`.
    """

    name: str
    summary: str
    description: str
    epilog: str
    usage: str
    words: list[Argument]
    groups: list[Group]
    actions: list[Command]
    program: bool = False

    @property
    def options(self) -> list[Argument]:
        return [option for group in self.groups for option in group.options]


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one of COMMANDS."""
    module = importlib.import_module(f"vmtpy.commands.{name.replace('-', '_')}")
    made: argparse.ArgumentParser = module.parser()
    return made


def commands() -> list[Command]:
    """All of them, in the order of `vmtpy --help`."""
    return [read(parser_of(name), summary) for name, summary in COMMANDS.items()]


def read(parser: argparse.ArgumentParser, summary: str) -> Command:
    """What a parser knows."""
    words: list[Argument] = []
    actions: list[Command] = []
    groups: list[Group] = []
    for group in parser._action_groups:
        options: list[Argument] = []
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                helps = {one.dest: one.help or "" for one in action._choices_actions}
                actions += [read(one, helps[name]) for name, one in action.choices.items()]
            elif action.help != argparse.SUPPRESS:
                (options if action.option_strings else words).append(argument(parser, action))
        if options:
            title = group.title if groups else ""
            groups.append(Group(title or "", group.description or "", options))
    usage = (parser.usage or "").removeprefix(parser.prog).strip()
    return Command(
        parser.prog,
        summary,
        (parser.description or "").strip(),
        (parser.epilog or "").strip(),
        usage or synopsis(groups, words, actions),
        words,
        groups,
        actions,
        program=" -- " in f" {usage} ",
    )


def argument(parser: argparse.ArgumentParser, action: argparse.Action) -> Argument:
    choices = tuple(map(str, action.choices or ()))
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or "") or ("|".join(choices) if choices else action.dest.upper())
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    number = action.nargs if isinstance(action.nargs, str) else ""
    return Argument(tuple(action.option_strings), value, text, choices, number)


def synopsis(groups: list[Group], words: list[Argument], actions: list[Command]) -> str:
    """What follows the name of a command whose parser has no usage of its own."""
    parts = []
    for group in groups:
        for option in group.options:
            value = f" {option.value}" if option.value else ""
            parts.append(f"[{option.names[-1]}{value}]")
    if actions:
        parts.append("ACTION ...")
    forms = {"": "{0}", "?": "[{0}]", "*": "[{0} ...]", "+": "{0} [{0} ...]"}
    parts += [forms[word.number].format(word.value) for word in words]
    return " ".join(parts)
