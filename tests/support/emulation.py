"""Compiles programs, runs them under `vmtpy emulate`, and reads the timeline, for tests."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

EMULATE = (sys.executable, "-m", "vmtpy", "emulate")
TIMEOUT = 120.0
_PTRACE_TRACEME = 0
_CAP_NET_BIND_SERVICE = 10  # the bit in CapEff


@dataclass(frozen=True, slots=True)
class Run:
    """A program that has run under the emulator."""

    code: int
    stdout: bytes
    stderr: bytes
    timeline: list[dict[str, Any]]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.timeline if line["kind"] == kind]

    @property
    def traps(self) -> dict[str, int]:
        (last,) = self.of_kind("traps")
        return dict(last["traps"])


def require_ptrace() -> None:
    """Skips the test if no process may trace another."""
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.ptrace(_PTRACE_TRACEME, 0, None, None) == 0 else 1)
    _, status = os.waitpid(child, 0)
    if os.WIFSTOPPED(status):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    elif os.waitstatus_to_exitcode(status) != 0:
        pytest.skip("capability missing: ptrace")


def require_low_ports() -> None:
    """Skips the test if this user may not bind a port below 1024."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (effective,) = re.findall(r"^CapEff:\s+(\S+)", status, re.MULTILINE)
    if not int(effective, 16) >> _CAP_NET_BIND_SERVICE & 1:
        pytest.skip("capability missing: CAP_NET_BIND_SERVICE")


def require_cpuid_faults() -> None:
    """Skips the test if neither the processor nor its hypervisor can fault on CPUID."""
    if "cpuid_fault" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        pytest.skip("capability missing: CPUID faulting in the processor")


def compile_c(source: Path, into: Path, *flags: str) -> Path:
    """Compiles one C file; skips the test if there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("capability missing: a C compiler")
    program = into / source.stem
    subprocess.run(
        [compiler, "-Wall", "-O1", "-pthread", *flags, "-o", program, source],
        check=True,
        timeout=TIMEOUT,
    )
    return program


@contextlib.contextmanager
def emulating(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """An emulator at work, with pipes to the program's stdin and stdout, in a session of its own.

    Whatever of it still runs at the end is killed, programs that outlived their emulator too.
    """
    process = subprocess.Popen(
        [*EMULATE, "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def emulate(
    *command: str | Path,
    options: tuple[str, ...] = (),
    stdin: bytes = b"",
    timeout: float = TIMEOUT,
    inside: tuple[str, ...] = (),
) -> Run:
    """Runs `INSIDE vmtpy emulate OPTIONS -- COMMAND` to its end."""
    # A file for the timeline, however long it gets: the program's own stderr stays its own.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        output = file.fileno()
        process = subprocess.Popen(
            [
                *inside,
                *EMULATE,
                "--json",
                "-o",
                f"/dev/fd/{output}",
                *options,
                "--",
                *map(str, command),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(output,),
        )
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        file.seek(0)
        timeline = [json.loads(line) for line in file]
    return Run(process.returncode, stdout, stderr, timeline)
