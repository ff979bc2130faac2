"""`vmtpy guestinfo get|set|watch|redact KEY` and `ovfenv`: the guestinfo variables, byte by byte.

It is for scripts in the guest, and relies on vmtpy.guestinfo; ovfenv.py parses the OVF environment.
"""

from __future__ import annotations

import os
import sys

from vmtpy._guestinfo import NO_VALUE, guestinfo
from vmtpy.cli import off_vmware
from vmtpy.encoding import NAMES
from vmtpy.errors import NotVMwareError, RpcError

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    import argparse

    from vmtpy.parser import Parser

DESCRIPTION = "Gets, sets, watches or overwrites a guestinfo value, or reads the OVF environment."
EPILOG = (
    "exit codes: 0 done, 1 there is no such value or the host refused, 2 wrong command line, "
    "255 this is not VMware"
)


def parser() -> Parser:
    from vmtpy.parser import Parser

    made = Parser(prog="vmtpy guestinfo", description=DESCRIPTION, epilog=EPILOG)
    actions = made.add_subparsers(dest="action", required=True)
    key_help = "the key, with or without the leading `guestinfo.`"
    getter = actions.add_parser(
        "get",
        help="write a value to standard output",
        description="Writes the value to standard output, byte by byte (on a terminal with a "
        "newline after it), decoded as KEY.encoding says. Without a value it prints `No value "
        "found` on standard error and exits with 1. It also exits with 1 if KEY.encoding names "
        "an unknown encoding or the value cannot be decoded by it.",
    )
    getter.add_argument("key", metavar="KEY", help=key_help)
    getter.add_argument(
        "--raw", action="store_true", help="do not decode the value, whatever KEY.encoding says"
    )
    setter = actions.add_parser(
        "set",
        help="set a value",
        description="Sets a value, byte by byte. The value cannot be empty.",
    )
    setter.add_argument("key", metavar="KEY", help=key_help)
    setter.add_argument(
        "value",
        metavar="VALUE",
        nargs="?",
        default="-",
        help="the value; `-`, the default, reads standard input to its end",
    )
    setter.add_argument(
        "--encoding",
        choices=list(NAMES),
        default="",
        help="encode the value, and set KEY.encoding so that readers decode it",
    )
    watcher = actions.add_parser(
        "watch",
        help="write a value now and whenever it changes",
        description="Writes the value now and after each change, with a newline after each value.",
    )
    watcher.add_argument("key", metavar="KEY", help=key_help)
    redacter = actions.add_parser(
        "redact",
        help="overwrite values",
        description="Overwrites values (userdata, vendordata…) with `---`, as cloud-init does, "
        "because a guest cannot delete guestinfo values.",
    )
    redacter.add_argument("keys", metavar="KEY", nargs="+", help=key_help)
    add_ovfenv(actions.add_parser("ovfenv", help="show the properties of the OVF environment"))
    return made


def main(arguments: list[str]) -> int:
    try:
        # argparse costs 5 ms, and this would pass through it unchanged.
        if len(arguments) == 2 and arguments[0] == "get" and not arguments[1].startswith("-"):
            return write(arguments[1])
        options = parser().parse_args(arguments)
        return ACTIONS[options.action](options)
    except NotVMwareError as error:
        return off_vmware("guestinfo", error)
    except RpcError as error:
        return complain(error.reason)


def add_ovfenv(reader: argparse.ArgumentParser) -> None:
    reader.description = (
        "Shows the properties that were entered when this virtual machine was deployed from a "
        "template: all as KEY=VALUE, or the value of one, byte by byte. It exits with 1 if there "
        "is no OVF environment or no such property."
    )
    reader.add_argument("key", metavar="KEY", nargs="?", help="a property of the template")
    reader.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object: properties, platform, adapters, others",
    )


def get(options: argparse.Namespace) -> int:
    return write(options.key, raw=options.raw)


def write(key: str, *, raw: bool = False) -> int:
    value = guestinfo.get(os.fsencode(key), raw=raw)
    if value is None:
        return complain(NO_VALUE)
    sys.stdout.buffer.write(value + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.buffer.flush()
    return 0


def put(options: argparse.Namespace) -> int:
    value = options.value
    data = sys.stdin.buffer.read() if value == "-" else os.fsencode(value)
    guestinfo.set(os.fsencode(options.key), data, options.encoding)
    return 0


def watch(options: argparse.Namespace) -> int:
    for value in guestinfo.watch(os.fsencode(options.key)):
        if value is not None:
            sys.stdout.buffer.write(value + b"\n")
            sys.stdout.buffer.flush()
    return 0


def redact(options: argparse.Namespace) -> int:
    for key in options.keys:
        guestinfo.redact(os.fsencode(key))
    return 0


def ovfenv(options: argparse.Namespace) -> int:
    from vmtpy import ovfenv

    document = guestinfo.get(ovfenv.KEY)
    if document is None:
        return complain(ovfenv.MISSING.encode())
    environment = ovfenv.parse(document)
    value = None if options.key is None else environment.properties.get(options.key)
    if options.key is not None and value is None:
        known = ", ".join(environment.properties) or "none"
        return complain(
            f"the OVF environment has no property {options.key}; its properties: {known}".encode()
        )
    if options.json:
        import json

        print(json.dumps(value if options.key is not None else environment._asdict(), indent=2))
    elif value is not None:
        sys.stdout.buffer.write(value.encode() + (b"\n" if sys.stdout.isatty() else b""))
        sys.stdout.buffer.flush()
    else:
        for key, text in environment.properties.items():
            print(f"{key}={text}")
    return 0


ACTIONS = {"get": get, "set": put, "watch": watch, "redact": redact, "ovfenv": ovfenv}


def complain(reason: bytes) -> int:
    """Prints a reason on standard error as vmware-rpctool does, without a prefix. Returns 1."""
    sys.stderr.buffer.write(reason + b"\n")
    sys.stderr.buffer.flush()
    return 1
