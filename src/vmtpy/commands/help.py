"""`vmtpy help [COMMAND]`: what `--help` says, also as a man page."""

from __future__ import annotations

import argparse

from vmtpy.__main__ import COMMANDS, usage

DESCRIPTION = "Says what the commands are, or what one does and takes: the same as its --help."


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="vmtpy help", description=DESCRIPTION)
    made.add_argument(
        "command", metavar="COMMAND", nargs="?", choices=tuple(COMMANDS), help="which one"
    )
    made.add_argument(
        "--man",
        action="store_true",
        help="print its man page instead, for `man -l -`",
    )
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    if options.man:
        from vmtpy.man_page import pages

        name = f"vmtpy-{options.command}.1" if options.command else "vmtpy.1"
        print(pages()[name], end="")
    elif options.command:
        from vmtpy.command_line import parser_of

        parser_of(options.command).print_help()
    else:
        print(usage())
    return 0
