"""`vmtpy rpc` and the library with a host on vsock, under `vmtpy emulate`."""

from __future__ import annotations

import os
import sys

import pytest
from support.emulation import emulate, require_ptrace

VMTPY = (sys.executable, "-m", "vmtpy")
SET = (*VMTPY, "rpc", "info-set guestinfo.key value")
ONLY = ("--vsock", "--no-backdoor")
SECURE = ("--vsock", "--secure")


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_where_there_is_vsock_only_it_is_used_from_a_privileged_port() -> None:
    run = emulate(*SET, options=ONLY)
    assert (run.code, run.stdout) == (0, b"\n"), run
    assert [line["way"] for line in run.of_kind("rpci")] == ["privileged vsock"]
    assert run.traps == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_ten_programs_in_a_row_find_a_pair_of_ports_that_the_host_has_let_go_of() -> None:
    """It holds that of a connection for 50 ms more; each program begins with the highest port."""
    program = f"{sys.executable} -m vmtpy rpc --transport vsock 'log x' || exit 1\n"
    run = emulate("sh", "-c", program * 10, options=ONLY)
    assert run.code == 0, run
    assert [line["way"] for line in run.of_kind("rpci")] == ["privileged vsock"] * 10


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_ten_conversations_in_a_row_in_one_program_are_privileged_too() -> None:
    script = (
        "import vmtpy\n"
        "for _ in range(10):\n"
        "    with vmtpy.Rpci(transport='vsock') as rpci:\n"
        "        rpci.call(b'log x', last=True)\n"
    )
    run = emulate(sys.executable, "-c", script, options=ONLY)
    assert (run.code, run.stdout) == (0, b""), run
    assert [line["way"] for line in run.of_kind("rpci")] == ["privileged vsock"] * 10


def test_an_ordinary_user_does_so_from_any_port() -> None:
    without = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
    run = emulate(*without, *SET, options=ONLY)
    assert (run.code, run.stdout) == (0, b"\n"), run
    assert [line["way"] for line in run.of_kind("rpci")] == ["vsock"]


def test_the_library_does_the_same() -> None:
    script = (
        "import vmtpy\n"
        "vmtpy.guestinfo.set('key', b'value')\n"
        "with vmtpy.Rpci() as rpci:\n"
        "    print(rpci.call(b'info-get guestinfo.key'))\n"
    )
    run = emulate(sys.executable, "-c", script, options=ONLY)
    assert (run.code, run.stdout) == (0, b"b'value'\n"), run
    assert {line["way"] for line in run.of_kind("rpci")} <= {"privileged vsock", "vsock"}


def test_a_few_questions_are_asked_by_the_backdoor_although_there_is_vsock() -> None:
    run = emulate(*SET, options=("--vsock",))
    assert [line["way"] for line in run.of_kind("rpci")] == ["backdoor"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_a_secure_host_refuses_is_asked_again_over_privileged_vsock() -> None:
    run = emulate(*SET, options=SECURE)
    assert (run.code, run.stdout) == (0, b"\n"), run
    assert [(line["way"], line["reply"]) for line in run.of_kind("rpci")] == [
        ("backdoor", "0 Permission denied"),
        ("privileged vsock", "1 "),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_who_may_not_is_told_what_would_help() -> None:
    run = emulate("setpriv", "--inh-caps=-all", "--bounding-set=-all", *SET, options=SECURE)
    assert run.code == 1
    assert b"Permission denied\n" in run.stderr + run.stdout
    assert b"only over vsock from a port below 1024" in run.stderr
    assert "1 " not in [line["reply"] for line in run.of_kind("rpci")]
