"""`vmtpy help [COMMAND]`: the text of `--help`, or the man page that is made from it."""

from __future__ import annotations

from vmtpy.__main__ import COMMANDS, usage
from vmtpy.parser import Parser

DESCRIPTION = "Lists the commands, or shows the help of one command, as its option --help does."


def parser() -> Parser:
    made = Parser(prog="vmtpy help", description=DESCRIPTION)
    made.add_argument(
        "command", metavar="COMMAND", nargs="?", choices=tuple(COMMANDS), help="a command"
    )
    made.add_argument(
        "--man",
        action="store_true",
        help="print the man page instead, for `man -l -`",
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
