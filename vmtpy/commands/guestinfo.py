"""`vmtpy guestinfo get KEY` and `set KEY [VALUE|-]`: bytes in, bytes out."""

from __future__ import annotations

import argparse
import os
import sys

from vmtpy import guestinfo
from vmtpy.commands import off_vmware
from vmtpy.errors import NotVMwareError, RpcError

DESCRIPTION = "Gets or sets a guestinfo value."
EPILOG = "exit codes: 0 done, 1 no such value, or refused, 2 wrong command line, 255 not on VMware"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="vmtpy guestinfo", description=DESCRIPTION, epilog=EPILOG)
    actions = parser.add_subparsers(dest="action", required=True)
    key_help = "with or without the leading `guestinfo.`"
    getter = actions.add_parser(
        "get",
        help="write a value to standard output",
        description="Writes the value to standard output, to the byte (on a terminal with a "
        "newline after it). `No value found` on standard error, and 1, where there is none.",
    )
    getter.add_argument("key", metavar="KEY", help=key_help)
    setter = actions.add_parser(
        "set",
        help="set a value",
        description="Sets a value, to the byte. It cannot be empty.",
    )
    setter.add_argument("key", metavar="KEY", help=key_help)
    setter.add_argument(
        "value",
        metavar="VALUE",
        nargs="?",
        default="-",
        help="the value; `-`, or none, reads it from standard input, to its end",
    )
    options = parser.parse_args(arguments)
    try:
        return get(options.key) if options.action == "get" else put(options.key, options.value)
    except NotVMwareError as error:
        return off_vmware("guestinfo", error)
    except RpcError as error:
        return complain(error.reason)


def get(key: str) -> int:
    value = guestinfo.get(os.fsencode(key))
    if value is None:
        return complain(guestinfo.NO_VALUE)
    sys.stdout.buffer.write(value + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.buffer.flush()
    return 0


def put(key: str, value: str) -> int:
    data = sys.stdin.buffer.read() if value == "-" else os.fsencode(value)
    guestinfo.set(os.fsencode(key), data)
    return 0


def complain(reason: bytes) -> int:
    """The host's words, as vmware-rpctool writes them."""
    sys.stderr.buffer.write(reason + b"\n")
    sys.stderr.buffer.flush()
    return 1
