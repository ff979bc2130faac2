"""Man pages, in the language of man(7), made from the commands' own parsers.

`python -m vmtpy.man_page DIR` writes all of them there.
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
    "/etc/vmtpy/hooks.d": "programs that are called before the freeze and after the thaw",
    "/etc/vmtpy/power.d": "programs that are called at the host's power operations",
    "/run/vmtpy": "the agent's socket, and a marker while something is frozen",
}


def pages() -> dict[str, str]:
    """All of them: file name → text."""
    made = {"vmtpy.1": main_page()}
    made["vmtpy-rpctool.1"] = rpctool_page()
    made |= {f"{one.name.replace(' ', '-')}.1": page(one) for one in commands()}
    return made


def main_page() -> str:
    """vmtpy(1): what there is."""
    lines = head("vmtpy", "guest agent for VMware whose quiesced snapshots always thaw")
    lines += [".SH SYNOPSIS", ".B vmtpy", escaped("[--version] COMMAND ...")]
    lines += [".SH DESCRIPTION", *paragraphs(DESCRIPTION), ".SH COMMANDS"]
    for one in commands():
        lines += [".TP", f".B {escaped(one.name)}", *text(f"{one.summary}.")]
    lines.append(".SH FILES")
    for file, what in FILES.items():
        lines += [".TP", f".I {escaped(file)}", *text(f"{what}.")]
    see = ", ".join(f"\\fB{escaped(one.name.replace(' ', '-'))}\\fR(1)" for one in commands())
    return "\n".join([*lines, ".SH SEE ALSO", see]) + "\n"


def rpctool_page() -> str:
    """vmtpy-rpctool(1), whose one argument needs no parser."""
    lines = head("vmtpy-rpctool", "stands in for vmware-rpctool")
    lines += [".SH SYNOPSIS", ".B vmtpy\\-rpctool", "TEXT", ".SH DESCRIPTION"]
    lines += paragraphs(
        "Sends TEXT to the host as a request, and writes the answer to standard output, or the "
        "host's reason to refuse to standard error. Arguments, outputs and exit codes are those "
        "of vmware-rpctool, for programs that call it: only the first argument counts.\n\n"
        "A link by that name lets them find it: "
        '`ln -s "$(command -v vmtpy-rpctool)" /usr/local/bin/vmware-rpctool`'
    )
    codes = {"0": "the request was granted", "1": "it was refused, or there was none"}
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
    """The actions of a command, each with what it takes."""
    if command.actions:
        yield ".SH ACTIONS"
    for action in command.actions:
        yield f".SS {escaped(action.name.rpartition(' ')[2])}"
        yield from usage(action)
        yield ".PP"
        yield from paragraphs(action.description)
        for one in [*action.words, *action.options]:
            if "--help" not in one.names:
                yield from entry(one)


def entry(one: Argument) -> list[str]:
    """An option or a word, with its text."""
    value = f"\\fI{escaped(one.value)}\\fR" if one.value else ""
    names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in one.names)
    return [".TP", f"{names} {value}".strip(), *text(one.text)]


def paragraphs(source: str) -> list[str]:
    lines: list[str] = []
    for number, part in enumerate(source.split("\n\n") if source else []):
        lines += [*([".PP"] if number else []), *text(part)]
    return lines


def text(source: str) -> list[str]:
    """Words that may be filled; a line each, for no line of it to begin with a request."""
    return [escaped(" ".join(source.split()))]


def escaped(source: str) -> str:
    """Text that roff shows as it is."""
    for sign, name in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga")):
        source = source.replace(sign, name)
    for sign, name in (("…", "..."), ("→", "\\(->"), ("µ", "\\(mc")):
        source = source.replace(sign, name)
    return f"\\&{source}" if source.startswith((".", "'")) else source


if __name__ == "__main__":
    for file, content in pages().items():
        (Path(sys.argv[1]) / file).write_text(content, encoding="utf-8")
