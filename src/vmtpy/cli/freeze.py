"""`vmtpy freeze PATH… -- COMMAND`: freezes, runs COMMAND, thaws, exits with COMMAND's code.

It is for administrators who take snapshots without VMware, and relies on vmtpy.freeze().
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from vmtpy._freeze import freeze
from vmtpy.errors import FreezeError
from vmtpy.parser import Parser
from vmtpy.root import need_to_freeze

if TYPE_CHECKING:
    from types import FrameType

DESCRIPTION = (
    "Freezes filesystems, runs COMMAND, thaws, and exits with COMMAND's exit code. "
    "If a filesystem was thawed before COMMAND had ended, an error is printed and the exit code is "
    "not 0."
)
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # the exit codes of a shell
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 (a request to end, not an error)
    """SIGINT or SIGTERM arrived."""


def parser() -> Parser:
    made = Parser(
        prog="vmtpy freeze",
        usage="vmtpy freeze [--timeout SECONDS] PATH... -- COMMAND...",
        description=DESCRIPTION,
    )
    made.add_argument("paths", nargs="+", metavar="PATH", help="a mount point")
    made.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="thaw after this time even if COMMAND still runs (default: 30)",
    )
    return made


def main(arguments: list[str]) -> int:
    made = parser()
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = made.parse_args(arguments[:cut])
    command = arguments[cut + 1 :]
    if not command:
        made.error("COMMAND is missing; write `-- COMMAND` after the paths")
    if not 0.001 <= options.timeout <= 86400:  # also refuses NaN
        made.error(f"--timeout is {options.timeout:g}: it must be 0.001 to 86400 seconds")
    need_to_freeze()
    program = shutil.which(command[0])
    if program is None:
        print(f"vmtpy freeze: {command[0]}: the command was not found", file=sys.stderr)
        return NOT_FOUND
    return run([*map(os.path.abspath, options.paths)], options.timeout, command, program)


def run(paths: list[str], timeout: float, command: list[str], program: str) -> int:
    """Freezes, runs the command and thaws. Returns the exit code.

    `program` is the absolute path: a search along PATH could wait for a frozen filesystem.
    """
    child: subprocess.Popen[bytes] | None = None

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    frozen = freeze(paths, timeout)
    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        with frozen:
            child = subprocess.Popen(command, executable=program)
            code = child.wait()
    except FreezeError as error:
        if child is None:
            raise
        print(f"vmtpy freeze: the freeze ended before {command[0]} did: {error}", file=sys.stderr)
        return exit_code(child.wait()) or 1
    except OSError as error:
        print(f"vmtpy freeze: {program}: {error.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE
    except Interrupted as interrupted:  # the filesystems have been thawed
        number = int(interrupted.args[0])
        if child is not None:
            child.send_signal(number)
            child.wait()
        return 128 + number
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return exit_code(code)


def exit_code(returned: int) -> int:
    """The exit code as shells define it: 128 + n for a program that died of signal n."""
    return 128 - returned if returned < 0 else returned
