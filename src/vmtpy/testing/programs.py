"""Programs that speak to a test's emulated host: traced ones, and stand-ins found in PATH.

It serves src/vmtpy/testing/host.py and relies on the native trap host, which uses ptrace.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy import _core, _host
from vmtpy.errors import SystemCallError
from vmtpy.host.rpctool import write_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PIECE = 0.1  # seconds
# A stand-in begins with these lines, which make the test's host its host.
_BEFORE = """\
from vmtpy import _host, backdoor
backdoor.stand_in = backdoor.StandIn(None, _host.UnixDialer({base!r}))"""
# The program's stdin, stdout and stderr are files, so nobody has to read them while it runs. The
# shell's arguments are these three files, the directory, the variables, and the program.
_SHELL = 'cd "$4" || exit 126; exec <"$1" >"$2" 2>"$3"; shift 4; exec env -- "$@"'


def write_stand_ins(directory: str, base: str) -> None:
    """Puts the stand-ins of `vmware-rpctool` and `vmtpy-rpctool` into a directory.

    Args:
        directory: the directory that the caller puts into PATH.
        base: the address at which the host serves the stand-ins.
    """
    write_programs(Path(directory), _BEFORE.format(base=base))


def run_program(
    device: _host.Device,
    command: Sequence[str | os.PathLike[str]],
    backdoor: _host.BackdoorKind,
    vsock: str | None,
    *,
    stdin: bytes,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None,
    timeout: float,
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program by ptrace; see EmulatedHost.run()."""
    if not command:
        raise ValueError("command must name a program")
    words = [os.fspath(word) for word in command]
    program = shutil.which(words[0], path=env.get("PATH"))
    if program is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), words[0])
    where = Path(cwd or ".").absolute()
    if not where.is_dir():
        error = errno.ENOTDIR if where.exists() else errno.ENOENT
        raise OSError(error, os.strerror(error), str(where))
    words_run = [str(Path(program).absolute()), *words[1:]]
    if "=" in words_run[0]:  # env would take it for a variable
        words_run = ["/bin/sh", "-c", 'exec "$0" "$@"', *words_run]
    with tempfile.TemporaryDirectory(prefix="vmtpy-testing-") as directory:
        files = [Path(directory, name) for name in ("stdin", "stdout", "stderr")]
        files[0].write_bytes(stdin)
        settings = [f"{name}={value}" for name, value in env.items()]
        shell = ["/bin/sh", "-c", _SHELL, "sh", *map(str, files), str(where)]
        host = _host.TrapHost(
            device, [*shell, *settings, *words_run], backdoor=backdoor, vsock=vsock
        )
        host.start()
        in_time = False
        try:
            in_time = wait_interruptibly(host.wait, timeout)
        finally:
            if not in_time:
                host.signal(signal.SIGKILL)
                host.wait_program(time.monotonic() + 60)
        stdout, stderr = (
            file.read_bytes() if file.exists() else b"" for file in (files[1], files[2])
        )
    if not in_time:
        raise subprocess.TimeoutExpired(words, timeout, stdout, stderr)
    code = os.waitstatus_to_exitcode(host.wait_status())
    return subprocess.CompletedProcess(words, code, stdout, stderr)


def wait_interruptibly(wait: Callable[[float], bool], timeout: float) -> bool:
    """Waits in pieces, because Python runs a handler of a signal only between native calls.

    Args:
        wait: a native wait until a deadline; it returns whether what it waits for has happened.
        timeout: seconds to wait at most.

    Returns:
        What the last `wait` returned.
    """
    deadline = time.monotonic() + timeout
    while True:
        until = min(deadline, time.monotonic() + _PIECE)
        if wait(until):
            return True
        left = until - time.monotonic()
        if until == deadline or left > _PIECE / 2:  # a host that is closed ends its waits early
            return False


def untraceable() -> str:
    """Returns what this machine lacks for tracing programs: "ptrace" or "x86-64"; else ""."""
    if os.uname().machine != "x86_64":
        return "x86-64"
    host = _host.TrapHost(_host.Device(_core.SteadyClock()), ["/bin/true"])
    try:
        host.start()
    except SystemCallError as error:
        if error.call != "ptrace":
            raise
        return "ptrace"
    host.wait(time.monotonic() + 60)
    return ""
