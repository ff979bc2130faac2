"""Reads all commands and their options from the commands' own parsers.

The man pages (man_page.py) and the shells' completion (completion.py) are made from these values,
so that neither can differ from `--help`. This module relies on private attributes of argparse.
"""

from __future__ import annotations

import argparse
import importlib
from typing import NamedTuple

from vmtpy.__main__ import COMMANDS

# The metavar of an option's value → what a shell offers to complete it.
FILES = {"FILE": "file", "DIR": "directory", "PATH": "file"}


class Argument(NamedTuple):
    """An option, or a positional argument.

    Attributes:
        names: the option's names, as `--config`; empty for a positional argument.
        value: the name of the value, as `FILE`; "" for a switch.
        text: the help text.
        choices: all values that are allowed; empty if any value is.
        number: argparse's nargs: "" for exactly one value, "?", "*" or "+".
    """

    names: tuple[str, ...]
    value: str
    text: str
    choices: tuple[str, ...] = ()
    number: str = ""

    @property
    def kind(self) -> str:
        """What a shell offers to complete the value: "file", "directory" or "" for nothing."""
        return FILES.get(self.value, "")


class Group(NamedTuple):
    """Options that belong together; the first group of a command has no title."""

    title: str
    text: str
    options: list[Argument]


class Command(NamedTuple):
    """A command, or one of the actions of a command.

    Attributes:
        name: the name as a user types it, "vmtpy guestinfo get".
        summary: one line, from the list of commands.
        description: the paragraphs above the options.
        epilog: the lines below the options, shown without new line breaks.
        usage: the synopsis after the name.
        words: the positional arguments.
        groups: the groups of options.
        actions: the actions of this command; empty if it has none.
        program: whether another program's command line follows `--`.
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
    """The parser of the command `name`, a key of COMMANDS."""
    module = importlib.import_module(f"vmtpy.cli.{name.replace('-', '_')}")
    made: argparse.ArgumentParser = module.parser()
    return made


def commands() -> list[Command]:
    """All commands, in the order of `vmtpy --help`."""
    return [read(parser_of(name), summary) for name, summary in COMMANDS.items()]


def read(parser: argparse.ArgumentParser, summary: str) -> Command:
    """The command that `parser` parses; `summary` is its line in the list of commands."""
    words: list[Argument] = []
    actions: list[Command] = []
    groups: list[Group] = []
    for group in parser._action_groups:
        options: list[Argument] = []
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
                actions += [read(choice, helps[name]) for name, choice in action.choices.items()]
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
    """The synopsis after a command's name, for a parser that sets no `usage`."""
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
