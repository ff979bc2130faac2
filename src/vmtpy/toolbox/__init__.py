"""`vmtpy-toolbox-cmd`: replaces vmware-toolbox-cmd for monitoring and configuration management. It
has the same outputs and exit codes; messages begin with the name of the program.

    ln -s "$(command -v vmtpy-toolbox-cmd)" /usr/local/bin/vmware-toolbox-cmd
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vmtpy.toolbox.codes import EX_NOPERM, EX_UNAVAILABLE, EX_USAGE, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

# command → subcommands and what they do
COMMANDS = {
    "config": (
        "vmtpy's settings, under the names of tools.conf",
        "get SECTION KEY: print the value\n"
        "set SECTION KEY VALUE: change the value in /etc/vmtpy/vmtpy.toml\n"
        "remove SECTION KEY: restore the default",
    ),
    "stat": (
        "values that the host has of this virtual machine",
        "hosttime: the host's time\n"
        "speed: the clock rate of a processor in MHz\n"
        "sessionid, balloon, swap, memlimit, memres, cpures, cpulimit: ESXi's values\n"
        "raw [ENCODING STAT]: ESXi's statistics as text, json, xml or yaml",
    ),
    "timesync": (
        "the host's option to synchronize this guest's clock; vmtpy also needs [time] synchronize",
        "enable\ndisable\nstatus: exits with 69 if the option is disabled",
    ),
}
# Commands of vmware-toolbox-cmd without a counterpart.
ABSENT = ("device", "disk", "globalconf", "gueststore", "info", "logging", "script", "upgrade")


def main() -> int:
    """Runs the program. Returns the exit code."""
    from vmtpy.ending import guarded

    return guarded(start)


def start() -> int:
    from vmtpy.errors import NotVMwareError
    from vmtpy.transport import find_ways

    program = sys.argv[0]
    try:
        find_ways(spare=True)
    except NotVMwareError:  # vmware-toolbox-cmd refuses even the help
        print(f"{program} must be run inside a virtual machine.", file=sys.stderr)
        return 1
    return run(program, sys.argv[1:])


def run(program: str, arguments: list[str]) -> int:
    """Runs the command line on VMware. `program`: its name, for messages."""
    import getopt

    try:
        options, words = getopt.gnu_getopt(arguments, "hqv", ["help", "quiet", "version"])
    except getopt.GetoptError as error:
        print(f"{program}: {as_glibc(error)}", file=sys.stderr)
        print(f"Try '{program} -h' for more information.", file=sys.stderr)
        return 1
    given = {name.strip("-")[0] for name, _ in options}
    if "v" in given:
        from vmtpy import __version__

        print(f"{__version__}.0 (build-0)")
        return 0
    if "h" in given:
        help_of("")
        return 0
    return command(program, words, quiet="q" in given)


def command(program: str, words: list[str], *, quiet: bool) -> int:
    name = words[0] if words else ""
    try:
        if not words:
            raise UsageError("Missing command")
        if name == "help":
            return help_command(program, words[1:])
        if name in ABSENT:
            print(f"{program}: vmtpy does not have '{name}'", file=sys.stderr)
            return EX_UNAVAILABLE
        if name not in COMMANDS:
            raise UsageError(f"Unknown command '{name}'")
        if name == "config" and not is_root():
            print(f"{program}: You must be root to perform config operations.", file=sys.stderr)
            return EX_NOPERM
        if len(words) == 1:
            raise UsageError("Missing subcommand")
        return handler(name)(words[1:], quiet)
    except UsageError as error:
        print(f"{program}: {error}", file=sys.stderr)
        about = f" {name}" if name in COMMANDS else ""
        print(f"Try '{program} help{about}' for more information.", file=sys.stderr)
        return EX_USAGE


def handler(name: str) -> Callable[[list[str], bool], int]:
    """The function that runs a command, whose arguments are the words and whether to be quiet."""
    if name == "stat":
        from vmtpy.toolbox import stat

        return stat.main
    if name == "timesync":
        from vmtpy.toolbox import timesync

        return timesync.main
    from vmtpy.toolbox import config

    return config.main


def help_command(program: str, words: list[str]) -> int:
    if not words:
        help_of("")
        return 0
    if words[0] in ABSENT:
        print(f"{words[0]}: vmtpy does not have it")
        return 0
    if words[0] in COMMANDS:
        help_of(words[0])
        return 0
    if words[0] != "help":
        print(f"{program}: Unknown subcommand '{words[0]}'", file=sys.stderr)
    help_of("")
    return 0 if words[0] == "help" else EX_USAGE


def help_of(name: str) -> None:
    if name:
        text, subcommands = COMMANDS[name]
        print(f"{name}: {text}\n")
        print("\n".join(f"   {line}" for line in subcommands.splitlines()))
        return
    print("Usage: vmtpy-toolbox-cmd COMMAND [SUBCOMMAND]\n")
    print("   -q, --quiet: print nothing   -v, --version   -h, --help\n")
    for listed, (text, _) in COMMANDS.items():
        print(f"   {listed:<9} {text}")
    print(f"\n`help COMMAND` describes a command. vmtpy does not have: {', '.join(ABSENT)}.")


def as_glibc(error: Exception) -> str:
    """The message of getopt_long(3) for a wrong option."""
    option = getattr(error, "opt", "")
    if "must not have" in str(error):
        return f"option '--{option}' doesn't allow an argument"
    if len(option) == 1:
        return f"invalid option -- '{option}'"
    return f"unrecognized option '--{option}'"


def is_root() -> bool:
    import os

    return os.geteuid() == 0
