"""`vmtpy rpc` and vmtpy-rpctool beside Debian's vmware-rpctool: the same outputs and exit codes,
fewer traps.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from support.emulation import TIMEOUT, Run, emulate, require_ptrace
from support.programs import rpctool

import vmtpy

RPCTOOL = shutil.which("vmware-rpctool")
OURS = {"vmtpy rpc": (sys.executable, "-m", "vmtpy", "rpc"), "vmtpy-rpctool": (rpctool(),)}

pytestmark = pytest.mark.skipif(
    RPCTOOL is None, reason="capability missing: vmware-rpctool (open-vm-tools)"
)


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture(params=list(OURS))
def ours(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return OURS[request.param]


def run_both(ours: tuple[str, ...], text: str, *options: str) -> tuple[Run, Run]:
    assert RPCTOOL
    options = ("--guestinfo", "k=a value", *options)
    return emulate(RPCTOOL, text, options=options), emulate(*ours, text, options=options)


@pytest.mark.parametrize("options", [(), ("--no-high-bandwidth",)], ids=["HB", "LB"])
@pytest.mark.parametrize(
    "text",
    [
        "info-get guestinfo.k",
        "info-get guestinfo.none",
        "info-set guestinfo.n new",
        "log hello",
        "nonsense",
        "",
    ],
)
def test_outputs_exit_code_and_request_are_the_same(
    ours: tuple[str, ...], text: str, options: tuple[str, ...]
) -> None:
    theirs, run = run_both(ours, text, *options)
    assert (run.code, run.stdout, run.stderr) == (theirs.code, theirs.stdout, theirs.stderr)
    talks = [
        [(line["request"], line["reply"]) for line in one.of_kind("rpci")] for one in (theirs, run)
    ]
    assert talks[0] == talks[1]
    assert len(talks[1]) == 1


def test_by_hypercall_both_make_the_same_calls(ours: tuple[str, ...]) -> None:
    """Theirs reads CPUID and sets the flags by itself: a witness for ours."""
    theirs, run = run_both(ours, "info-get guestinfo.k", "--hypercall-only")
    assert (theirs.code, theirs.stdout) == (run.code, run.stdout) == (0, b"a value\n")
    assert theirs.traps == run.traps
    assert {name.split()[0] for name in run.traps} <= {"vmcall", "vmmcall"}
    assert [name for name in run.traps if name.endswith(("HB out", "HB in"))]


def test_ours_takes_one_trap_less(ours: tuple[str, ...]) -> None:
    theirs, run = run_both(ours, "info-get guestinfo.k")
    assert sum(theirs.traps.values()) == 9
    assert sum(run.traps.values()) == 8


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",), ("info-get", "guestinfo.k")])
def test_arguments_are_taken_alike(arguments: tuple[str, ...]) -> None:
    assert RPCTOOL
    theirs, run = (
        emulate(program, *arguments, options=("--guestinfo", "k=v"))
        for program in (RPCTOOL, rpctool())
    )
    assert (run.code, run.stdout, run.stderr) == (theirs.code, theirs.stdout, theirs.stderr)


def test_off_vmware_both_exit_with_255(ours: tuple[str, ...]) -> None:
    assert RPCTOOL
    if vmtpy.probe():
        pytest.skip("capability missing: a machine that is not VMware's")
    for command in ((RPCTOOL, "log x"), (*ours, "log x")):
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
        assert (done.returncode, done.stdout) == (255, b"")
        assert done.stderr
