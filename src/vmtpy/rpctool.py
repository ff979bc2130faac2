"""`vmtpy-rpctool`: vmware-rpctool's stand-in, for programs that call it (cloud-init, scripts).

    ln -s "$(command -v vmtpy-rpctool)" /usr/local/bin/vmware-rpctool

Same arguments, outputs and exit codes. Only the first argument counts, whatever it looks like.
"""

from __future__ import annotations

import os
import sys

from vmtpy.ending import at_once, guarded

USAGE = """\
rpctool syntax:

  -h | --help\tprint usage.
  rpctool <text>\tsend <text> as an RPC command.
"""


def program() -> None:
    """The program: main(), and the end without Python's own, which would take another 2 ms."""
    code = main()
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(code)  # nothing is left that could want to be closed


def main() -> int:
    """Sends the first argument. 0: granted, 1: refused or no argument, 255: not on VMware."""
    return guarded(send)


def send() -> int:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stderr)
        return 0 if arguments else 1
    with at_once():
        from vmtpy.cli import off_vmware
        from vmtpy.cli.rpc import call
        from vmtpy.errors import NotVMwareError, VmtError
        from vmtpy.rpci import Rpci

    try:
        with Rpci() as rpci:
            return call(rpci, os.fsencode(arguments[0]), last=True)
    except NotVMwareError as error:
        return off_vmware("rpctool", error)
    except VmtError as error:
        print(f"vmtpy rpctool: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    program()
