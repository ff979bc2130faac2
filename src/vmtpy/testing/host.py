"""The emulated host of a test: it answers the guest, records messages, sends commands and fails.

It serves tests of programs for guests, and relies on the native device and on src/vmtpy/host.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import threading
import time
from typing import TYPE_CHECKING

from vmtpy import _core, _host
from vmtpy import backdoor as machine
from vmtpy._arguments import check_seconds
from vmtpy.host.listener import Listener
from vmtpy.host.script import BackupRequest, greet, parse_event, run_backup
from vmtpy.testing.answers import HostAnswers, to_bytes
from vmtpy.testing.esxi import EsxiLife
from vmtpy.testing.guestinfo import HostGuestInfo
from vmtpy.testing.messages import Message, message_of
from vmtpy.testing.programs import run_program, wait_interruptibly, write_stand_ins

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from vmtpy.host.script import BackupEvent, BackupResult

TIMEOUT = 60.0  # seconds for which a test waits by default
_MOST = 86400.0


# How a fork reaches each host that is installed. It has a copy of the host itself, of which nobody
# hears.
_in_forks: list[machine.StandIn] = []


def _after_fork() -> None:
    if _in_forks:
        machine.stand_in = _in_forks[-1]


os.register_at_fork(after_in_child=_after_fork)


class EmulatedHost(HostAnswers):
    """An emulated VMware host in this process.

    Code under test reaches it in one of three ways::

        with EmulatedHost() as host, host.installed():  # vmtpy, and vmware-rpctool as a subprocess
            ...
        vmtpy.Rpci(backdoor=host.backdoor)              # one conversation
        host.run("vmware-rpctool", "info-get guestinfo.answer")  # any program, by ptrace

    `messages` has all that the guest has said and heard. As a context manager the host ends with
    the `with` block. Several threads may use it.

    Attributes:
        guestinfo: the values of guestinfo, a `HostGuestInfo`.
        listens_on_vsock: whether the host listens on vsock.
    """

    def __init__(
        self,
        guestinfo: Mapping[str, str | bytes] | None = None,
        *,
        backdoor: bool = True,
        vsock: bool = False,
        commands_over_vsock: bool = True,
        secure: bool = False,
    ) -> None:
        """Starts the host.

        Args:
            guestinfo: the values that the guest finds. Default: none.
            backdoor: whether the host answers through the backdoor. Default: True.
            vsock: whether the host listens on vsock, too. Default: False.
            commands_over_vsock: whether it also sends commands over vsock; ESXi was seen to take
                requests alone. Default: True.
            secure: whether the host has secure GuestRPC. Then it lets the guest set guestinfo only
                over vsock from a port below 1024, which code in this process may use, root or not.
                Default: False.

        Raises:
            ValueError: the host has no way to be reached, or a key of guestinfo has blanks.
            TypeError: a key or a value of guestinfo is of another type.
        """
        if not backdoor and not vsock:
            raise ValueError(
                "a host without a backdoor can be reached over vsock only: set vsock=True"
            )
        super().__init__(_host.Device(_core.SteadyClock(), secure=secure))
        self.guestinfo = HostGuestInfo(self.device)
        for key, value in (guestinfo or {}).items():
            self.guestinfo[key] = value
        self._base = f"@vmtpy-testing-{secrets.token_hex(8)}"
        self.listens_on_vsock = vsock
        if vsock:
            self._vsock = _host.VsockService(self.device, self._base, tclo=commands_over_vsock)
        self._backdoor = _host.EmulatedBackdoor(self.device) if backdoor else None
        # Where nobody listens on vsock, connections are refused, as a real host refuses them.
        self._dialer = _host.UnixDialer(self._base, self.device)
        self._programs: str | None = None  # the directory of the stand-ins
        self._programs_service: _host.VsockService | None = None
        self._listener = Listener(self.device)
        self._follower = self._listener.follow()
        self._entries: list[_host.TranscriptEntry] = []
        self._lock = threading.Lock()  # of the follower and the entries
        self._listener.__enter__()

    # --- what it is reached by ---

    @property
    def backdoor(self) -> _core.Backdoor:
        """The backdoor for `vmtpy.Rpci`, `vmtpy.Agent`, `vmtpy.probe()` and `vmtpy.hardware`.

        A host that was made without a backdoor gives one that answers nothing.
        """
        return self._backdoor or _core.AbsentBackdoor()

    @property
    def dialer(self) -> _core.Dialer:
        """The dialer of the host's vsock for `vmtpy.Rpci` and `vmtpy.Agent`.

        A host that does not listen on vsock refuses the connections.
        """
        return self._dialer

    @contextlib.contextmanager
    def installed(self) -> Iterator[EmulatedHost]:
        """Makes this the host of the whole process, while the `with` block lasts.

        vmtpy finds this host in place of the machine's own, also in forks of this process, which
        reach it over vsock. For code that starts `vmware-rpctool`
        or `vmtpy-rpctool`, stand-ins of them come first in PATH; they need no ptrace.
        """
        before, path = machine.stand_in, os.environ.get("PATH")
        with tempfile.TemporaryDirectory(prefix="vmtpy-testing-") as directory:
            write_stand_ins(directory, self._programs_base())
            self._programs = directory
            _in_forks.append(machine.StandIn(None, _host.UnixDialer(self._programs_base())))
            machine.stand_in = machine.StandIn(self._backdoor, self._dialer)
            os.environ["PATH"] = f"{directory}:{os.defpath if path is None else path}"
            try:
                yield self
            finally:
                machine.stand_in = before
                self._programs = None
                _in_forks.pop()
                if path is None:
                    del os.environ["PATH"]
                else:
                    os.environ["PATH"] = path

    def run(
        self,
        *command: str | os.PathLike[str],
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = TIMEOUT,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs an unmodified x86-64 program, and what it starts, in a virtual machine of this host.

        The host uses ptrace to answer the program's backdoor instructions, CPUID and vsock sockets.

        Args:
            command: the program and its arguments. The stand-ins of installed() come last in PATH,
                so a real program of the same name is run instead of them.
            stdin: what the program reads. Default: nothing.
            env: environment variables to set in addition to this process's. Default: none.
            cwd: the directory in which the program runs. Default: the current one.
            timeout: seconds after which the program is killed. Default: 60.

        Returns:
            The exit code, the output and the errors, as from subprocess.run(). A negative exit code
            is the number of the signal that ended the program.

        Raises:
            FileNotFoundError: there is no such program, or no directory `cwd`.
            NotADirectoryError: `cwd` is no directory.
            VmtError: this machine is not x86-64.
            SystemCallError: the program cannot be traced (`call` is "ptrace") or not be started.
            subprocess.TimeoutExpired: the program was killed after `timeout` seconds.
            TypeError, ValueError: no program is named, or `timeout` is out of range.
        """
        check_seconds("timeout", timeout, 0.0, _MOST)
        vsock = self._base if self.listens_on_vsock else None
        kind = _host.BackdoorKind.NONE if self._backdoor is None else _host.BackdoorKind.FULL
        variables = dict(env or {})
        if self._programs is not None:
            path = variables.get("PATH", os.environ["PATH"]).split(os.pathsep)
            others = [directory for directory in path if directory != self._programs]
            variables["PATH"] = os.pathsep.join([*others, self._programs])
        return run_program(
            self.device, command, kind, vsock, stdin=stdin, env=variables, cwd=cwd, timeout=timeout
        )

    # --- what has passed ---

    @property
    def messages(self) -> list[Message]:
        """All messages so far, in order."""
        return [message_of(entry) for entry in self._seen()]

    @property
    def requests(self) -> list[bytes]:
        """All requests of the guest so far, in order."""
        kind = _host.MessageKind.RPCI
        return [entry.request for entry in self._seen() if entry.kind == kind]

    @property
    def replies(self) -> list[bytes]:
        """The guest's answers to commands so far, in order."""
        kind = _host.MessageKind.TCLO_REPLY
        return [entry.request for entry in self._seen() if entry.kind == kind]

    @property
    def events(self) -> list[BackupEvent]:
        """The events of backups that the guest has reported so far, without the keep-alives."""
        found = [parse_event(entry) for entry in self._seen()]
        return [event for event in found if event and event.name != "req.keepAlive"]

    def wait_until(self, condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
        """Waits until a condition holds.

        Args:
            condition: a function that is called until it returns something true, such as
                `lambda: host.events`.
            timeout: seconds to wait at most. Default: 60.

        Raises:
            TimeoutError: the condition did not hold in time; the text has the last messages.
            TypeError, ValueError: `timeout` is no number, or not between 0 and 86400.
        """
        check_seconds("timeout", timeout, 0.0, _MOST)
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() >= deadline:
                last = [message.text for message in self.messages[-5:]]
                raise TimeoutError(
                    f"the condition did not hold within {timeout:g} s; the last messages are {last}"
                )
            time.sleep(0.001)

    def wait_for_tools(self, timeout: float = TIMEOUT) -> None:
        """Waits until the guest takes commands.

        Args:
            timeout: seconds to wait at most. Default: 60.

        Raises:
            TimeoutError: no guest took commands in time.
            TypeError, ValueError: as wait_until().
        """
        check_seconds("timeout", timeout, 0.0, _MOST)
        if not wait_interruptibly(self.device.wait_for_tools, timeout):
            raise TimeoutError(f"no guest asked for commands within {timeout:g} s")

    # --- what it sends ---

    def send(self, command: str | bytes) -> None:
        """Sends a command (TCLO) and does not wait; the guest takes commands in order.

        Args:
            command: the command, such as "Set_Option broadcastIP 1".

        Raises:
            TypeError: `command` is neither str nor bytes.
        """
        self.device.send_command(to_bytes("command", command))

    def command(self, command: str | bytes, timeout: float = TIMEOUT) -> bytes:
        """Sends a command (TCLO) and returns the guest's reply to it: "OK …" or "ERROR …".

        Args:
            command: as for send(). No other command may be waiting for its reply.
            timeout: seconds to wait at most. Default: 60.

        Raises:
            TimeoutError: the guest did not reply in time.
            TypeError, ValueError: as send() and wait_until().
        """
        before = len(self.replies)
        self.send(command)
        self.wait_until(lambda: len(self.replies) > before, timeout)
        return self.replies[before]

    def greet(self) -> None:
        """Sends what a host sends first, so that the guest announces its tools; does not wait."""
        greet(self.device)

    def backup(
        self,
        snapshot: Callable[[], object] | None = None,
        *,
        volumes: str = "",
        options: bytes = b"",
        abort_after: float | None = None,
        never_done: bool = False,
        timeout: float = TIMEOUT,
    ) -> BackupResult:
        """Takes one quiesced snapshot, and waits until the guest has ended it.

        Args:
            snapshot: a function that is called while the guest is frozen. If it raises an
                exception, the backup fails. Default: none.
            volumes: the volumes to freeze, as a host names them. Default: "", which means all.
            options: the body of `vmbackup.startWithOpts`, which is then sent instead.
                Default: none.
            abort_after: seconds after which the host aborts. Default: never.
            never_done: whether the host never says that it has its snapshot. Default: False.
            timeout: seconds to wait at most. Default: 60.

        Returns:
            What happened, and when. A backup that fails raises no exception: see `outcome` and
            `error`.

        Raises:
            TypeError, ValueError: as wait_until().
        """
        check_seconds("timeout", timeout, 0.0, _MOST)
        request = BackupRequest(snapshot, volumes, options, abort_after, never_done, timeout)
        return run_backup(self.device, self._listener, request)

    def esxi(self, *, ping: float = 15.0, stun: float = 0.4) -> EsxiLife:
        """Treats the guest as ESXi does, while the `with` block lasts, and judges it.

        Args:
            ping: seconds from one ping to the next. Default: 15.
            stun: seconds for which the machine stands still when a snapshot is taken.
                Default: 0.4.

        Raises:
            TypeError: a time is no number.
            ValueError: `ping` is not between 0.01 and 86400, or `stun` not between 0 and 86400.
        """
        check_seconds("ping", ping, 0.01, _MOST)
        check_seconds("stun", stun, 0.0, _MOST)
        return EsxiLife(self.device, self._listener, ping, stun, TIMEOUT)

    # --- its end ---

    def close(self) -> None:
        """Ends the host; `messages` can still be read. It may be called again."""
        self._listener.catch_up()
        if not self._follower.ended:
            self._listener.__exit__(None, None, None)
            self._seen()
        self._vsock = self._programs_service = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _seen(self) -> list[_host.TranscriptEntry]:
        self._listener.catch_up()
        with self._lock:
            while entry := self._follower.next(0.0):
                self._entries.append(entry)
            return list(self._entries)

    def _programs_base(self) -> str:
        """Returns the address at which this host serves the stand-ins in PATH.

        They use it whether the host has a backdoor or vsock otherwise.
        """
        base = f"{self._base}-programs"
        if self._programs_service is None:
            self._programs_service = _host.VsockService(self.device, base, tclo=False)
        return base
