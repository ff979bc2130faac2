"""Makes the man pages, in the language of man(7), from the commands' own parsers.

`python -m vmtpy.man_page DIR` writes all pages to DIR.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.command_line import Command, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.command_line import Argument

DESCRIPTION = """\
The guest agent for Linux virtual machines on VMware that takes part in quiesced snapshots: it
freezes all local filesystems in milliseconds, thaws them in milliseconds, and always thaws."""
FILES = {
    "/etc/vmtpy/vmtpy.toml": "the configuration; `vmtpy config example` prints one",
    "/etc/vmtpy/hooks.d": "programs that the agent runs before the freeze and after the thaw",
    "/etc/vmtpy/power.d": "programs that the agent runs at the host's power operations",
    "/run/vmtpy": "the agent's socket, and a marker while filesystems are frozen",
}


def pages() -> dict[str, str]:
    """All pages: file name → text."""
    made = {"vmtpy.1": main_page()}
    made["vmtpy-rpctool.1"] = rpctool_page()
    made |= {f"{command.name.replace(' ', '-')}.1": page(command) for command in commands()}
    return made


def main_page() -> str:
    """vmtpy(1), which lists the commands."""
    lines = head("vmtpy", "guest agent for VMware whose quiesced snapshots always thaw")
    lines += [".SH SYNOPSIS", ".B vmtpy", escaped("[--version] COMMAND ...")]
    lines += [".SH DESCRIPTION", *paragraphs(DESCRIPTION), ".SH COMMANDS"]
    for command in commands():
        lines += [".TP", f".B {escaped(command.name)}", *text(f"{command.summary}.")]
    lines.append(".SH FILES")
    for file, what in FILES.items():
        lines += [".TP", f".I {escaped(file)}", *text(f"{what}.")]
    names = [escaped(command.name.replace(" ", "-")) for command in commands()]
    see = ", ".join(f"\\fB{name}\\fR(1)" for name in names)
    return "\n".join([*lines, ".SH SEE ALSO", see]) + "\n"


def rpctool_page() -> str:
    """vmtpy-rpctool(1); that program has no parser."""
    lines = head("vmtpy-rpctool", "replaces vmware-rpctool")
    lines += [".SH SYNOPSIS", ".B vmtpy\\-rpctool", "TEXT", ".SH DESCRIPTION"]
    lines += paragraphs(
        "Sends TEXT to the host as a request, and writes the answer to standard output, or the "
        "host's reason to refuse to standard error. Arguments, outputs and exit codes are those "
        "of vmware-rpctool; arguments after the first are ignored.\n\n"
        "A link lets programs that call vmware-rpctool find it: "
        '`ln -s "$(command -v vmtpy-rpctool)" /usr/local/bin/vmware-rpctool`'
    )
    codes = {"0": "the request was granted", "1": "the request was refused, or TEXT is missing"}
    codes["255"] = "this is not VMware"
    lines.append(".SH EXIT STATUS")
    for code, what in codes.items():
        lines += [".TP", code, *text(f"{what}.")]
    return "\n".join([*lines, ".SH SEE ALSO", r"\fBvmtpy\-rpc\fR(1)"]) + "\n"


def page(command: Command) -> str:
    """The page of one command."""
    lines = head(command.name.replace(" ", "-"), command.summary)
    lines += [".SH SYNOPSIS", *usage(command)]
    lines += [".SH DESCRIPTION", *paragraphs(command.description)]
    lines += [line for word in command.words for line in entry(word)]
    lines += list(actions(command))
    for group in command.groups:
        lines.append(f".SH {escaped(group.title.upper() or 'OPTIONS')}")
        lines += [*paragraphs(group.text)]
        lines += [line for option in group.options for line in entry(option)]
    if command.epilog:
        lines += [".SH NOTES", ".nf", *map(escaped, command.epilog.splitlines()), ".fi"]
    return "\n".join([*lines, ".SH SEE ALSO", r"\fBvmtpy\fR(1)"]) + "\n"


def head(name: str, summary: str) -> list[str]:
    return [
        f'.TH {escaped(name.upper())} 1 "" "vmtpy" "vmtpy"',
        ".SH NAME",
        f"{escaped(name)} \\- {escaped(summary)}",
    ]


def usage(command: Command) -> list[str]:
    return [f".B {escaped(command.name)}", escaped(command.usage)]


def actions(command: Command) -> Iterator[str]:
    """The actions of a command, each with its arguments and options."""
    if command.actions:
        yield ".SH ACTIONS"
    for action in command.actions:
        yield f".SS {escaped(action.name.rpartition(' ')[2])}"
        yield from usage(action)
        yield ".PP"
        yield from paragraphs(action.description)
        for argument in [*action.words, *action.options]:
            if "--help" not in argument.names:
                yield from entry(argument)


def entry(argument: Argument) -> list[str]:
    """The entry of an option or a positional argument."""
    value = f"\\fI{escaped(argument.value)}\\fR" if argument.value else ""
    names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in argument.names)
    return [".TP", f"{names} {value}".strip(), *text(argument.text)]


def paragraphs(source: str) -> list[str]:
    lines: list[str] = []
    for number, part in enumerate(source.split("\n\n") if source else []):
        lines += [*([".PP"] if number else []), *text(part)]
    return lines


def text(source: str) -> list[str]:
    """A paragraph as one line, so that no later line begins with a request of roff."""
    return [escaped(" ".join(source.split()))]


def escaped(source: str) -> str:
    """The text with escapes for all characters that are special to roff."""
    for sign, name in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga")):
        source = source.replace(sign, name)
    for sign, name in (("…", "..."), ("→", "\\(->"), ("µ", "\\(mc")):
        source = source.replace(sign, name)
    return f"\\&{source}" if source.startswith((".", "'")) else source


if __name__ == "__main__":
    for file, content in pages().items():
        (Path(sys.argv[1]) / file).write_text(content, encoding="utf-8")
