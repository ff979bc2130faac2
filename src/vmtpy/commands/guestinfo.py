"""`vmtpy guestinfo get|set|watch|redact KEY`: bytes in, bytes out; and `ovfenv`."""

from __future__ import annotations

import argparse
import os
import sys

from vmtpy._guestinfo import NO_VALUE, guestinfo
from vmtpy.commands import off_vmware
from vmtpy.encoding import NAMES
from vmtpy.errors import NotVMwareError, RpcError

DESCRIPTION = "Gets, sets, watches or overwrites a guestinfo value, or reads the OVF environment."
EPILOG = "exit codes: 0 done, 1 no such value, or refused, 2 wrong command line, 255 not on VMware"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="vmtpy guestinfo", description=DESCRIPTION, epilog=EPILOG)
    actions = made.add_subparsers(dest="action", required=True)
    key_help = "with or without the leading `guestinfo.`"
    getter = actions.add_parser(
        "get",
        help="write a value to standard output",
        description="Writes the value to standard output, to the byte (on a terminal with a "
        "newline after it), unpacked as KEY.encoding says. `No value found` on standard error, and "
        "1, where there is none; 1 also where KEY.encoding is not known or not true.",
    )
    getter.add_argument("key", metavar="KEY", help=key_help)
    getter.add_argument(
        "--raw", action="store_true", help="as it is, even if KEY.encoding says that it is packed"
    )
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
    setter.add_argument(
        "--encoding",
        choices=list(NAMES),
        default="",
        help="pack it, and set KEY.encoding, so that it is unpacked where it is read",
    )
    watcher = actions.add_parser(
        "watch",
        help="write a value now and whenever it changes",
        description="Writes the value now and after each change, each with a newline after it.",
    )
    watcher.add_argument("key", metavar="KEY", help=key_help)
    redacter = actions.add_parser(
        "redact",
        help="overwrite values",
        description="Overwrites values (userdata, vendordata…) with `---`, as cloud-init does: a "
        "guest cannot delete them.",
    )
    redacter.add_argument("keys", metavar="KEY", nargs="+", help=key_help)
    add_ovfenv(actions.add_parser("ovfenv", help="show the OVF environment's properties"))
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        return ACTIONS[options.action](options)
    except NotVMwareError as error:
        return off_vmware("guestinfo", error)
    except RpcError as error:
        return complain(error.reason)


def add_ovfenv(reader: argparse.ArgumentParser) -> None:
    reader.description = (
        "Shows what was entered when this virtual machine was deployed from a template: all "
        "properties as KEY=VALUE, or the value of one to the byte. 1 where there is none."
    )
    reader.add_argument("key", metavar="KEY", nargs="?", help="a property of the template")
    reader.add_argument(
        "--json", action="store_true", help="one object: properties, platform, adapters, others"
    )


def get(options: argparse.Namespace) -> int:
    key = os.fsencode(options.key)
    value = guestinfo.get(key, raw=options.raw)
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
    found = ovfenv.parse(document)
    value = None if options.key is None else found.properties.get(options.key)
    if options.key is not None and value is None:
        known = ", ".join(found.properties) or "none"
        return complain(f"no property {options.key}; there are: {known}".encode())
    if options.json:
        import json

        print(json.dumps(value if options.key is not None else found._asdict(), indent=2))
    elif value is not None:
        sys.stdout.buffer.write(value.encode() + (b"\n" if sys.stdout.isatty() else b""))
        sys.stdout.buffer.flush()
    else:
        for key, one in found.properties.items():
            print(f"{key}={one}")
    return 0


ACTIONS = {"get": get, "set": put, "watch": watch, "redact": redact, "ovfenv": ovfenv}


def complain(reason: bytes) -> int:
    """The host's words, as vmware-rpctool writes them."""
    sys.stderr.buffer.write(reason + b"\n")
    sys.stderr.buffer.flush()
    return 1
