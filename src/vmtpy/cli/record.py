"""`vmtpy record`: runs a program and keeps all that vmtpy in it says to the host, and hears."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

from vmtpy.cli.emulate import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    EXIT_OWN_FAILURE,
    command_of,
    exit_like,
)
from vmtpy.errors import VmtError
from vmtpy.host.recorder import Recorder
from vmtpy.host.recording import head
from vmtpy.host.redaction import Redaction
from vmtpy.host.rpctool import write_programs
from vmtpy.host.signals import signals_to
from vmtpy.host.timeline import Timeline, written
from vmtpy.parser import Parser

DESCRIPTION = """\
Runs a program and records every RPCI and TCLO message between it and the host, with its time, in a
file that `vmtpy emulate --replay FILE` plays back: so that what a real host does can be reported.

What speaks to the host by vmtpy is recorded: `vmtpy` with all its commands, `vmtpy-rpctool`, Python
programs, and what they start; an rpctool of vmtpy stands in for `vmware-rpctool`. Other programs,
such as vmtoolsd, are not: a real host answers their instructions without anybody else's notice."""
EPILOG = """\
The exit code is the program's; if a signal ended it, that signal ends the recorder as well.
125: the recorder failed, or messages were lost, 126: the program cannot be executed, 127: there is
no such program.

example: vmtpy record --redact -o host.jsonl -- vmtpy run
"""


def parser() -> Parser:
    """The command line of `vmtpy record`."""
    made = Parser(
        prog="vmtpy record",
        usage="vmtpy record -o FILE [options] -- PROGRAM [ARGUMENT ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    made.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="the recording; a new file is for its owner only",
    )
    made.add_argument(
        "--redact",
        action="store_true",
        help="keep of guestinfo values, and of all else that may be secret, the length and a hash "
        "only; a short secret can be guessed from these",
    )
    return made


def main(arguments: list[str]) -> int:
    """Runs the program to its end. Returns its exit code."""
    made = parser()
    options = made.parse_args(arguments)
    command = command_of(made, options)
    with written(created(options.output), options.output) as stream:
        salt = secrets.token_bytes(16) if options.redact else None
        timeline = Timeline(stream, time.monotonic(), as_json=True)
        # Its arguments may be secrets, too.
        timeline.head(head(command[:1] if options.redact else command, salt))
        recorder = Recorder(timeline, None if salt is None else Redaction(salt))
        with recorder, tempfile.TemporaryDirectory(prefix="vmtpy-record-") as directory:
            code = run(command, recorder, Path(directory))
        if failure := timeline.failure or recorder.failure:
            raise failure
    print(f"vmtpy record: {recorder.messages} messages are in {options.output}", file=sys.stderr)
    if recorder.messages == 0:
        print("vmtpy record: only messages that vmtpy sends are recorded", file=sys.stderr)
    if recorder.lost:
        print(f"vmtpy record: {recorder.lost} messages were lost", file=sys.stderr)
        return EXIT_OWN_FAILURE
    return code if code >= 0 else exit_like(-code)


def created(path: str) -> TextIO:
    """The file of the recording; one that is new belongs to its owner alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise VmtError(f"{path}: {error.strerror}") from error
    return open(descriptor, "w", encoding="utf-8")  # noqa: PTH123 - of a descriptor


def run(command: list[str], recorder: Recorder, directory: Path) -> int:
    """Runs the program; its exit code, negative for a signal."""
    write_programs(directory)
    paths = f"{directory}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, **recorder.environment, "PATH": paths}
    early: list[int] = []
    process: subprocess.Popen[bytes] | None = None

    def forward(number: int) -> None:
        if process is None:
            early.append(number)
        else:
            process.send_signal(number)

    with signals_to(forward):
        try:
            process = subprocess.Popen(command, env=environment)
        except FileNotFoundError as error:
            return failed(command[0], error, EXIT_NOT_FOUND)
        except OSError as error:
            return failed(command[0], error, EXIT_NOT_EXECUTABLE)
        while early:
            process.send_signal(early.pop(0))
        return process.wait()


def failed(program: str, error: OSError, code: int) -> int:
    print(f"vmtpy record: {program}: {error.strerror}", file=sys.stderr)
    return code
