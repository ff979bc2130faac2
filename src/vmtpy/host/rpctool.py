"""Stands in for `vmware-rpctool` where a native program cannot: in the PATH of programs that a test
or a recording has.

The same arguments, outputs and exit codes; only the first argument counts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import vmtpy
from vmtpy.cli.rpc import call
from vmtpy.ending import guarded
from vmtpy.errors import NotVMwareError, VmtError
from vmtpy.rpci import Rpci

NAMES = ("vmware-rpctool", "vmtpy-rpctool")
USAGE = (
    "rpctool syntax:\n\n  -h | --help\tprint usage.\n"
    "  rpctool <text>\tsend <text> as an RPC command."
)
_PROGRAM = """\
#!{python}
import sys
sys.path[:0] = {path!r}
{before}
from vmtpy.host import rpctool
sys.exit(rpctool.main())
"""


def main() -> int:
    """Sends the first argument. 0: granted, 1: refused or no argument, 255: not on VMware."""
    return guarded(lambda: send(sys.argv[1:2]))


def send(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stderr)
        return 0 if arguments else 1
    try:
        with Rpci() as rpci:
            return call(rpci, os.fsencode(arguments[0]), last=True)
    except VmtError as error:
        print(f"vmtpy-rpctool: {error}", file=sys.stderr)
        return 255 if isinstance(error, NotVMwareError) else 1


def write_programs(directory: Path, before: str = "") -> None:
    """Puts a program of each of NAMES into a directory.

    Args:
        directory: that is to be in PATH.
        before: lines of Python that each begins with.
    """
    path = [str(Path(vmtpy.__file__).parents[1])]
    for name in NAMES:
        program = directory / name
        program.write_text(_PROGRAM.format(python=sys.executable, path=path, before=before))
        program.chmod(0o755)
