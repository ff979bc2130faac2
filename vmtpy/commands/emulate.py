"""`vmtpy emulate`: runs any program as if in a VMware virtual machine; shows what is said."""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vmtpy._core import SteadyClock
from vmtpy._host import Device, TrapHost
from vmtpy.errors import SystemCallError, VmtError
from vmtpy.host.listener import Listener
from vmtpy.host.script import BackupRequest, greet, run_backup
from vmtpy.host.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmtpy.host.listener import Follower

# As env(1), timeout(1) and the shells have them.
EXIT_OWN_FAILURE = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127

_FOREVER = 10 * 365 * 86400.0

EPILOG = """\
The exit code is the program's; if a signal ended it, that signal ends the emulator as well.
125: the emulator failed, 126: the program cannot be executed, 127: there is no such program.

example: vmtpy emulate --guestinfo role=web -- vmtpy rpc "info-get guestinfo.role"
"""


def parser() -> argparse.ArgumentParser:
    """The command line of `vmtpy emulate`."""
    made = argparse.ArgumentParser(
        prog="vmtpy emulate",
        usage="vmtpy emulate [options] -- PROGRAM [ARGUMENT ...]",
        description="Run a program as if in a VMware virtual machine and show all that passes "
        "between it and the host.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    made.add_argument("--json", action="store_true", help="the timeline as JSON, one object a line")
    made.add_argument("-o", "--output", metavar="FILE", help="the timeline there (default: stderr)")
    made.add_argument(
        "--guestinfo",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a value that the guest finds; KEY=@FILE takes it from a file; repeatable",
    )
    made.add_argument(
        "--no-high-bandwidth", action="store_true", help="a host with the low-bandwidth port only"
    )
    made.add_argument(
        "--checkpoint-every",
        type=positive,
        default=0,
        metavar="N",
        help="answer every N-th step of a transfer with CHECKPOINT",
    )
    backup = made.add_argument_group("quiesced snapshots")
    backup.add_argument(
        "--backup-after",
        type=seconds,
        metavar="S",
        help="start a backup S seconds after the guest's tools were first seen",
    )
    backup.add_argument(
        "--snapshot-command",
        metavar="CMD",
        help="run by the shell while the guest is frozen; its output goes to stderr",
    )
    backup.add_argument("--volumes", default="", metavar="TEXT", help="appended to the start")
    backup.add_argument(
        "--abort-after", type=seconds, metavar="S", help="abort S seconds after the start"
    )
    backup.add_argument("--never-done", action="store_true", help="forget to say snapshotDone")
    backup.add_argument(
        "--cycles",
        type=positive,
        default=1,
        metavar="N",
        help="so many backups, each S seconds of --backup-after after the last (default: 1)",
    )
    backup.add_argument(
        "--end-after-backup", action="store_true", help="SIGTERM to the program after the last one"
    )
    return made


def positive(text: str) -> int:
    """An argument that is a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def seconds(text: str) -> float:
    """An argument that is a time."""
    value = float(text)
    if not 0 <= value <= 10**6:
        raise argparse.ArgumentTypeError("must be a number of seconds, 0 or more")
    return value


def main(arguments: list[str]) -> int:
    """Runs the program to its end. Returns its exit code."""
    made = parser()
    options = made.parse_args(arguments)
    command = options.command
    if command and command[0] == "--":
        command = command[1:]
    if not command:
        made.error("no program to run; write: vmtpy emulate [options] -- PROGRAM [ARGUMENT ...]")
    if options.backup_after is None and (
        options.snapshot_command
        or options.never_done
        or options.end_after_backup
        or options.abort_after is not None
    ):
        made.error("--backup-after is missing")
    device = Device(
        SteadyClock(),
        high_bandwidth=not options.no_high_bandwidth,
        checkpoint_every=options.checkpoint_every,
    )
    for key, value in guestinfo(options.guestinfo):
        device.set_guestinfo(key, value)
    host = TrapHost(device, command)
    with output(options.output) as stream:
        timeline = Timeline(stream, time.monotonic(), options.json)
        try:
            status = Emulation(options, device, host, timeline).run()
        except SystemCallError as error:
            return start_failed(command[0], error)
    return exit_like(status)


def guestinfo(pairs: list[str]) -> Iterator[tuple[str, bytes]]:
    """The values of --guestinfo. Raises VmtError for one that is no KEY=VALUE."""
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or " " in key:
            raise VmtError(f"--guestinfo {pair}: not KEY=VALUE")
        key = key.removeprefix("guestinfo.")
        if not value.startswith("@"):
            yield key, os.fsencode(value)
            continue
        try:
            yield key, Path(value[1:]).read_bytes()
        except OSError as error:
            raise VmtError(f"--guestinfo {pair}: {error.strerror}") from error


@contextlib.contextmanager
def output(path: str | None) -> Iterator[TextIO]:
    """The stream of the timeline."""
    if path is None:
        yield sys.stderr
        return
    try:
        stream = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        raise VmtError(f"{path}: {error.strerror}") from error
    with stream:
        yield stream


def start_failed(program: str, error: SystemCallError) -> int:
    """Says why the program could not be started; the exit code for it."""
    print(f"vmtpy emulate: {program}: {error.strerror}", file=sys.stderr)
    if error.call == "exec":
        missing = isinstance(error, FileNotFoundError) or error.errno == 2
        return EXIT_NOT_FOUND if missing else EXIT_NOT_EXECUTABLE
    if error.call == "ptrace":
        print("vmtpy emulate: tracing (ptrace) is not allowed here", file=sys.stderr)
    return EXIT_OWN_FAILURE


def exit_like(status: int) -> int:
    """The exit code of a wait status; ends this process by the same signal if it was one."""
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core dump, the program's, is enough
    sys.stdout.flush()
    sys.stderr.flush()
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    return 128 + number


@dataclass
class Emulation:
    """One run of a program: the threads around it, from its start to the end of the timeline."""

    options: argparse.Namespace
    device: Device
    host: TrapHost
    timeline: Timeline

    def __post_init__(self) -> None:
        self.ended = threading.Event()

    def run(self) -> int:
        """Starts the program and waits for it and its descendants. Returns its wait status."""
        listener = Listener(self.device)
        follower = listener.follow()
        with signals_to(self.host):
            self.host.start()
            with listener:
                writer = start_thread(lambda: self.write_timeline(follower))
                backups = start_thread(lambda: self.play_host(listener))
                start_thread(self.wait_for_end)
                # Not in the native wait: Python runs signal handlers only in between.
                self.ended.wait()
            writer.join()
            backups.join()
        cpuid = self.host.cpuid_answered().name.lower()
        self.timeline.end(time.monotonic(), self.device.traps(), cpuid)
        return self.host.wait_status()

    def wait_for_end(self) -> None:
        while not self.host.wait(time.monotonic() + _FOREVER):
            pass
        self.ended.set()

    def write_timeline(self, follower: Follower) -> None:
        while entry := follower.next():
            self.timeline.entry(entry)

    def play_host(self, listener: Listener) -> None:
        if not self.device.wait_for_tools(time.monotonic() + _FOREVER):
            return
        self.timeline.phase("tools are alive", time.monotonic())
        greet(self.device)
        if self.options.backup_after is None:
            return
        for cycle in range(1, self.options.cycles + 1):
            if self.ended.wait(self.options.backup_after):
                return
            self.backup(listener, cycle)
        if self.options.end_after_backup:
            self.host.signal(signal.SIGTERM)

    def backup(self, listener: Listener, cycle: int) -> None:
        facts = {"cycle": cycle} if self.options.cycles > 1 else {}
        request = BackupRequest(
            snapshot=self.take_snapshot if self.options.snapshot_command else None,
            volumes=self.options.volumes,
            abort_after=self.options.abort_after,
            never_done=self.options.never_done,
        )
        result = run_backup(
            self.device,
            listener,
            request,
            lambda name, moment: self.timeline.phase(name, moment, **facts),
        )
        self.timeline.phase(
            "backup ended",
            time.monotonic(),
            **facts,
            outcome=result.outcome.value,
            error=result.error,
        )

    def take_snapshot(self) -> None:
        # The shell's command is the user's own, as --snapshot-command says.
        code = subprocess.run(  # noqa: S602
            self.options.snapshot_command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            check=False,
        ).returncode
        if code != 0:
            raise VmtError(f"the snapshot command ended with exit code {code}")


def start_thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


@contextlib.contextmanager
def signals_to(host: TrapHost) -> Iterator[None]:
    """What a terminal sends goes to the program by itself; what is sent to us is passed on to it.

    Handlers, not SIG_IGN: that would be inherited by the program. What was ignored stays so.
    """
    handlers = {
        signal.SIGINT: lambda _number, _frame: None,
        signal.SIGQUIT: lambda _number, _frame: None,
        signal.SIGTERM: lambda number, _frame: host.signal(number),
        signal.SIGHUP: lambda number, _frame: host.signal(number),
    }
    before = {}
    for number, handler in handlers.items():
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
