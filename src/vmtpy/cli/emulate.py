"""`vmtpy emulate`: runs any program as if in a VMware virtual machine, and prints the conversation.

It is for tests and for people who look at what an agent does. It relies on _host (the emulated
VMware) and vmtpy.host (backups, timeline, verdict).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vmtpy._core import SteadyClock
from vmtpy._host import BackdoorKind, Device, TrapHost, VsockService
from vmtpy.errors import SystemCallError, VmtError
from vmtpy.host.emulation import Backups, Emulation
from vmtpy.host.recording import head, load
from vmtpy.host.script import BackupRequest
from vmtpy.host.timeline import Timeline, written
from vmtpy.parser import Parser

if TYPE_CHECKING:
    from collections.abc import Iterator

# The exit codes of env(1), timeout(1) and the shells.
EXIT_VERDICT = 124
EXIT_OWN_FAILURE = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127

EPILOG = """\
The exit code is the program's; if a signal ended it, that signal ends the emulator as well.
124: the program's exit code is 0, but the verdict of --as esxi is not good, or the program did not
say what the recording of --replay has.
125: the emulator failed, 126: the program cannot be executed, 127: the program does not exist.

example: vmtpy emulate --guestinfo role=web -- vmtpy rpc "info-get guestinfo.role"
"""


def parser() -> Parser:
    """The command line of `vmtpy emulate`."""
    made = Parser(
        prog="vmtpy emulate",
        usage="vmtpy emulate [options] -- PROGRAM [ARGUMENT ...]",
        description="Runs a program as if in a VMware virtual machine and shows all messages "
        "between it and the host.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    made.add_argument(
        "--json", action="store_true", help="print the timeline as JSON, one object a line"
    )
    made.add_argument(
        "--as",
        dest="kind",
        choices=("esxi",),
        help="treat the guest as ESXi does, and end with what vSphere would show of it; the "
        "host's vsock takes requests only, and its commands go over the backdoor",
    )
    made.add_argument(
        "--replay",
        metavar="FILE",
        help="play the host of this recording, which `vmtpy record` or --json wrote, and end with "
        "what the program did not say as in it; an agent gets SIGTERM at the end",
    )
    made.add_argument(
        "-o", "--output", metavar="FILE", help="write the timeline to FILE (default: stderr)"
    )
    made.add_argument(
        "--guestinfo",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a guestinfo value for the guest; KEY=@FILE reads it from a file (repeatable)",
    )
    made.add_argument(
        "--answer",
        action="append",
        default=[],
        metavar="PREFIX=REPLY",
        help="the host's reply to RPCI requests that begin with PREFIX, `1 DATA` or `0 REASON`; "
        "PREFIX=@FILE reads it from a file (repeatable)",
    )
    made.add_argument(
        "--no-high-bandwidth",
        action="store_true",
        help="emulate a host that has only the low-bandwidth port",
    )
    made.add_argument(
        "--checkpoint-every",
        type=positive,
        default=0,
        metavar="N",
        help="answer every N-th step of a transfer with the status CHECKPOINT",
    )
    add_backdoor(made)
    add_vsock(made)
    backup = made.add_argument_group("quiesced snapshots")
    backup.add_argument(
        "--backup-after",
        type=seconds,
        metavar="S",
        help="start a backup S seconds after the guest has announced its tools",
    )
    backup.add_argument(
        "--snapshot-command",
        metavar="CMD",
        help="a command that the shell runs while the guest is frozen; its output goes to stderr",
    )
    backup.add_argument(
        "--volumes",
        default="",
        metavar="TEXT",
        help="the volumes to quiesce; TEXT is appended to vmbackup.start",
    )
    backup.add_argument(
        "--abort-after",
        type=seconds,
        metavar="S",
        help="abort the backup S seconds after its start",
    )
    backup.add_argument("--never-done", action="store_true", help="never send snapshotDone")
    backup.add_argument(
        "--cycles",
        type=positive,
        default=1,
        metavar="N",
        help="the number of backups; each starts --backup-after seconds after the one before it "
        "(default: 1)",
    )
    backup.add_argument(
        "--end-after-backup",
        action="store_true",
        help="send SIGTERM to the program after the last backup",
    )
    return made


def add_backdoor(made: argparse.ArgumentParser) -> None:
    """Adds the options for the backdoor's instructions that the host answers."""
    kinds = made.add_argument_group("backdoor").add_mutually_exclusive_group()
    for option, kind, text in (
        (
            "--hypercall-only",
            BackdoorKind.HYPERCALL,
            "emulate a host that answers only vmcall or vmmcall",
        ),
        (
            "--vmport",
            BackdoorKind.VMPORT,
            "emulate QEMU's vmport, which has no message channels and needs iopl(3)",
        ),
        (
            "--no-backdoor",
            BackdoorKind.NONE,
            "emulate a host that can be reached only over vsock",
        ),
    ):
        kinds.add_argument(
            option,
            action="store_const",
            dest="backdoor",
            const=kind,
            default=BackdoorKind.FULL,
            help=text,
        )


def add_vsock(made: argparse.ArgumentParser) -> None:
    """Adds the options for vsock, the second way to the host."""
    vsock = made.add_argument_group(
        "vsock",
        "A seccomp filter redirects the program's system calls on AF_VSOCK sockets to the\n"
        "emulated host. Without CAP_SYS_ADMIN the kernel requires no_new_privs for the filter, so\n"
        "that set-user-ID programs run without their rights. With --vsock, io_uring and 32-bit\n"
        "programs have no vsock.",
    )
    served = vsock.add_mutually_exclusive_group()
    served.add_argument(
        "--vsock",
        action="store_const",
        const=own_vsock(),
        help="emulate a host that also listens on vsock",
    )
    served.add_argument(
        "--vsock-loopback",
        action="store_const",
        dest="vsock",
        const="",
        help="let the host listen on this machine's own AF_VSOCK (the module vsock_loopback)",
    )
    made.add_argument(
        "--secure",
        action="store_true",
        help="emulate secure GuestRPC: guestinfo can be set only over vsock, from a port below "
        "1024",
    )


def positive(text: str) -> int:
    """Parses a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("the number must be at least 1")
    return value


def seconds(text: str) -> float:
    """Parses a time in seconds."""
    value = float(text)
    if not 0 <= value <= 10**6:
        raise argparse.ArgumentTypeError("the time must be 0 to 1000000 seconds")
    return value


def main(arguments: list[str]) -> int:
    """Runs the program to its end. Returns its exit code."""
    made = parser()
    options = made.parse_args(arguments)
    command = command_of(made, options)
    check(made, options)
    device = Device(
        SteadyClock(),
        high_bandwidth=not options.no_high_bandwidth,
        checkpoint_every=options.checkpoint_every,
        message=options.backdoor != BackdoorKind.VMPORT,
        secure=options.secure,
    )
    for key, value in pairs("--guestinfo", "KEY=VALUE", options.guestinfo):
        if " " in key:
            raise VmtError(f"--guestinfo {key}: a key must not contain a space")
        device.set_guestinfo(key.removeprefix("guestinfo."), value)
    for prefix, reply in pairs("--answer", "PREFIX=REPLY", options.answer):
        device.answer_with(prefix, reply, times=0)
    as_esxi = options.kind == "esxi"
    base, tclo = options.vsock, True
    if as_esxi and base is None:
        base, tclo = own_vsock(), False
    service = None if base is None else VsockService(device, base, tclo=tclo)
    host = TrapHost(device, command, backdoor=options.backdoor, vsock=base)
    recording = load(Path(options.replay)) if options.replay else None
    with output(options.output) as stream:
        timeline = Timeline(stream, time.monotonic(), options.json)
        timeline.head(head(command))
        try:
            emulation = Emulation(
                device, host, timeline, backups(options), service, as_esxi, recording
            )
            status = emulation.run()
            if timeline.failure:
                raise timeline.failure
        except SystemCallError as error:
            return start_failed(command[0], error)
    if status == 0 and emulation.verdict and not emulation.verdict.good:
        return EXIT_VERDICT
    if status == 0 and not emulation.agrees:
        return EXIT_VERDICT
    return exit_like(status)


def command_of(made: argparse.ArgumentParser, options: argparse.Namespace) -> list[str]:
    """The program to run and its arguments. Ends this program with an error if there is none."""
    command: list[str] = options.command
    if command and command[0] == "--":
        command = command[1:]
    if not command:
        made.error(f"PROGRAM is missing; write: {made.usage}")
    return command


def own_vsock() -> str:
    """A name for the emulated vsock that no other emulator uses."""
    return f"@vmtpy-emulate-{secrets.token_hex(8)}"


def check(made: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends the program with an error if options contradict each other."""
    if options.backup_after is None and (
        options.snapshot_command
        or options.never_done
        or options.end_after_backup
        or options.abort_after is not None
    ):
        made.error("the options for a backup need --backup-after")
    if options.replay and (options.kind or options.backup_after is not None):
        made.error("--replay plays the recorded host only; remove --as and --backup-after")
    if options.backdoor == BackdoorKind.NONE and options.vsock is None:
        made.error("--no-backdoor without --vsock leaves no way to the host; add --vsock")


def backups(options: argparse.Namespace) -> Backups | None:
    """The backups that the options ask for; None for no backup."""
    if options.backup_after is None:
        return None
    command = options.snapshot_command
    request = BackupRequest(
        snapshot=(lambda: take_snapshot(command)) if command else None,
        volumes=options.volumes,
        abort_after=options.abort_after,
        never_done=options.never_done,
    )
    return Backups(options.backup_after, request, options.cycles, options.end_after_backup)


def take_snapshot(command: str) -> None:
    """Runs the snapshot command; raises VmtError if it fails."""
    code = subprocess.run(  # noqa: S602 - the user's own command line
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        check=False,
    ).returncode
    if code != 0:
        raise VmtError(f"the snapshot command ended with exit code {code}")


def pairs(option: str, form: str, given: list[str]) -> Iterator[tuple[str, bytes]]:
    """The keys and values of a repeated option. Raises VmtError for a value without the form."""
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise VmtError(f"{option} {pair}: the value must have the form {form}")
        if not value.startswith("@"):
            yield key, os.fsencode(value)
            continue
        try:
            yield key, Path(value[1:]).read_bytes()
        except OSError as error:
            raise VmtError(f"{option} {pair}: {error.strerror}") from error


@contextlib.contextmanager
def output(path: str | None) -> Iterator[TextIO]:
    """Yields the stream for the timeline: the file `path`, or standard error for None."""
    if path is None:
        yield sys.stderr
        return
    try:
        stream = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        raise VmtError(f"{path}: {error.strerror}") from error
    with written(stream, path):
        yield stream


def start_failed(program: str, error: SystemCallError) -> int:
    """Prints why the program could not be started. Returns the exit code."""
    print(f"vmtpy emulate: {program}: {error.strerror}", file=sys.stderr)
    if error.call == "exec":
        missing = isinstance(error, FileNotFoundError) or error.errno == 2
        return EXIT_NOT_FOUND if missing else EXIT_NOT_EXECUTABLE
    if error.call == "ptrace":
        print(
            "vmtpy emulate: this process may not trace programs; allow ptrace(2) for it "
            "(docker run --cap-add SYS_PTRACE)",
            file=sys.stderr,
        )
    if error.call == "seccomp":
        print(
            "vmtpy emulate: --vsock needs seccomp_unotify(2), which Linux 5.9 and later have",
            file=sys.stderr,
        )
    return EXIT_OWN_FAILURE


def exit_like(status: int) -> int:
    """The exit code of a wait status. A signal that ended the program ends this process, too."""
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # only the program leaves a core dump
    sys.stdout.flush()
    sys.stderr.flush()
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    return 128 + number
