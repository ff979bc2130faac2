"""vmtpy-rpctool, the native program: its arguments, outputs and exit codes. tests/peer compares
them with vmware-rpctool's.
"""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from support.emulation import Run, emulate, require_low_ports, require_ptrace
from support.programs import rpctool

import vmtpy

USAGE = b"""\
rpctool syntax:

  -h | --help\tprint usage.
  rpctool <text>\tsend <text> as an RPC command.
"""


def call(*arguments: str, options: tuple[str, ...] = ()) -> Run:
    require_ptrace()
    return emulate(rpctool(), *arguments, options=("--guestinfo", "k=v", *options))


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["info-get guestinfo.k"], 0, b"v\n", b""),
        (["info-get guestinfo.none"], 1, b"", b"No value found\n"),
        (["info-get", "guestinfo.k"], 1, b"", b"Unknown command\n"),
        (["-v"], 1, b"", b"Unknown command\n"),
        ([""], 1, b"", b"Unknown command\n"),
        ([], 1, b"", USAGE),
        (["-h"], 0, b"", USAGE),
        (["--help"], 0, b"", USAGE),
        (["x" * 65537], 1, b"", None),
    ],
)
def test_it_takes_its_first_argument_whatever_it_is(
    arguments: list[str], code: int, out: bytes, err: bytes | None
) -> None:
    run = call(*arguments)
    assert (run.code, run.stdout) == (code, out)
    assert err is None or run.stderr == err
    assert err is not None or b"bytes" in run.stderr


def test_it_gives_a_packed_value_as_it_is() -> None:
    options = ("--guestinfo", "p=aGVsbG8=", "--guestinfo", "p.encoding=base64")
    assert call("info-get guestinfo.p", options=options).stdout == b"aGVsbG8=\n"


@pytest.mark.parametrize("options", [("--hypercall-only",), ("--no-high-bandwidth",)])
def test_it_finds_other_ways_to_the_host(options: tuple[str, ...]) -> None:
    run = call("info-get guestinfo.k", options=options)
    assert (run.code, run.stdout) == (0, b"v\n")


def test_a_host_with_secure_requests_is_asked_over_vsock() -> None:
    require_low_ports()
    run = call("info-set guestinfo.k new", options=("--vsock", "--secure"))
    assert (run.code, run.stdout, run.stderr) == (0, b"\n", b"")


def test_where_that_is_not_to_be_had_it_says_who_knows_more() -> None:
    run = call("info-set guestinfo.k new", options=("--secure",))
    assert (run.code, run.stdout) == (1, b"")
    denied, advice = run.stderr.splitlines()
    assert denied == b"Permission denied"
    assert b"`vmtpy rpc`" in advice


def test_off_vmware_it_says_what_was_found() -> None:
    if vmtpy.probe():
        pytest.skip("capability missing: a machine that is not VMware's")
    done = subprocess.run([rpctool(), "log x"], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (255, b"")
    assert done.stderr.startswith(b"vmtpy-rpctool: VMware's ")
    assert b"vmtpy emulate" in done.stderr


def test_without_a_reader_it_dies_of_sigpipe_as_others_do() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([rpctool()], stderr=writer, check=False, timeout=60)
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE


def test_a_full_disk_is_named() -> None:
    require_ptrace()
    script = f"{rpctool()} 'info-get guestinfo.k' > /dev/full"
    run = emulate("sh", "-c", script, options=("--guestinfo", "k=v"))
    assert (run.code, run.stderr) == (1, b"vmtpy-rpctool: output: No space left on device\n")
