"""`vmtpy completion SHELL`: prints a script by which a shell completes vmtpy's command line."""

from __future__ import annotations

import argparse

from vmtpy.parser import Parser

SHELLS = ("bash", "zsh", "fish")
EPILOG = """\
To install the script for all users, run as root:
  bash: vmtpy completion bash > /usr/share/bash-completion/completions/vmtpy
  zsh:  vmtpy completion zsh > /usr/share/zsh/site-functions/_vmtpy
  fish: vmtpy completion fish > /usr/share/fish/vendor_completions.d/vmtpy.fish"""


def parser() -> Parser:
    made = Parser(
        prog="vmtpy completion",
        description="Prints a script by which a shell completes vmtpy's commands and options.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    from vmtpy import completion

    print(completion.script(options.shell), end="")
    return 0
