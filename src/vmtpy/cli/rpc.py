"""`vmtpy rpc TEXT…`: sends requests to the host. Outputs and exit codes are vmware-rpctool's.

cloud-init and scripts start it for each request, so it imports as little as possible.
"""

from __future__ import annotations

import os
import sys

from vmtpy.cli import off_vmware
from vmtpy.errors import NotVMwareError, RpcError
from vmtpy.rpci import Rpci

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from vmtpy.parser import Parser
    from vmtpy.transport import Transport

DESCRIPTION = """\
Sends RPCI requests to the host, one after the other. The host's answers go to standard output, its
reasons to refuse to standard error, each followed by a newline."""
EPILOG = """\
exit codes: 0 all requests were granted, 1 a request was refused or could not be sent, 2 wrong
command line, 255 this is not VMware"""


def main(arguments: list[str]) -> int:
    transport: Transport = "auto"
    # Importing argparse costs 5 ms, and arguments without options do not need it.
    if arguments and not any(argument.startswith("-") for argument in arguments):
        texts = arguments
    else:
        made = parser()
        options = made.parse_args(arguments)
        texts, transport = options.texts, options.transport
        if texts.count("-") > 1:
            made.error("standard input can be read only once")
    requests = [
        sys.stdin.buffer.read().removesuffix(b"\n") if text == "-" else os.fsencode(text)
        for text in texts
    ]
    try:
        with Rpci(transport=transport) as rpci:
            *others, last = requests
            return max([*(call(rpci, request) for request in others), call(rpci, last, last=True)])
    except NotVMwareError as error:
        return off_vmware("rpc", error)


def parser() -> Parser:
    import argparse

    from vmtpy.parser import Parser

    made = Parser(
        prog="vmtpy rpc",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "texts",
        metavar="TEXT",
        nargs="+",
        help="a request, as `info-get guestinfo.ip`; `-` reads a request from standard input, to "
        "its end, without the last newline",
    )
    made.add_argument(
        "--transport",
        choices=["auto", "vsock", "port", "hypercall"],
        default="auto",
        help="the way to the host (default: the backdoor, or vsock if the backdoor cannot serve)",
    )
    return made


def call(rpci: Rpci, request: bytes, *, last: bool = False) -> int:
    try:
        reply, stream, code = rpci.call(request, last=last), sys.stdout.buffer, 0
    except RpcError as error:
        reply, stream, code = error.reason, sys.stderr.buffer, 1
        if error.hint:
            reply += b"\n" + f"vmtpy rpc: {error.hint}".encode()
    stream.write(reply + b"\n")
    stream.flush()
    return code
