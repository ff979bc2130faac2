"""`vmtpy rpc` beside Debian's vmware-rpctool: the same outputs and exit codes, fewer traps."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from support.emulation import TIMEOUT, Run, emulate, require_ptrace

import vmtpy

RPCTOOL = shutil.which("vmware-rpctool")
OURS = (sys.executable, "-m", "vmtpy", "rpc")

pytestmark = pytest.mark.skipif(
    RPCTOOL is None, reason="capability missing: vmware-rpctool (open-vm-tools)"
)


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


def both(text: str, *options: str) -> tuple[Run, Run]:
    assert RPCTOOL
    options = ("--guestinfo", "k=a value", *options)
    return emulate(RPCTOOL, text, options=options), emulate(*OURS, text, options=options)


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
def test_outputs_exit_code_and_request_are_the_same(text: str, options: tuple[str, ...]) -> None:
    theirs, ours = both(text, *options)
    assert (ours.code, ours.stdout, ours.stderr) == (theirs.code, theirs.stdout, theirs.stderr)
    talks = [
        [(line["request"], line["reply"]) for line in run.of_kind("rpci")] for run in (theirs, ours)
    ]
    assert talks[0] == talks[1]
    assert len(talks[1]) == 1


def test_by_hypercall_both_make_the_same_calls() -> None:
    """Theirs reads CPUID and sets the flags by itself: a witness for ours."""
    theirs, ours = both("info-get guestinfo.k", "--hypercall-only")
    assert (theirs.code, theirs.stdout) == (ours.code, ours.stdout) == (0, b"a value\n")
    assert theirs.traps == ours.traps
    assert {name.split()[0] for name in ours.traps} <= {"vmcall", "vmmcall"}
    assert [name for name in ours.traps if name.endswith(("HB out", "HB in"))]


def test_ours_takes_one_trap_less() -> None:
    theirs, ours = both("info-get guestinfo.k")
    assert sum(theirs.traps.values()) == 9
    assert sum(ours.traps.values()) == 8


def test_off_vmware_both_exit_with_255() -> None:
    assert RPCTOOL
    if vmtpy.probe():
        pytest.skip("capability missing: a machine that is not VMware's")
    for command in ((RPCTOOL, "log x"), (*OURS, "log x")):
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
        assert (done.returncode, done.stdout) == (255, b"")
        assert done.stderr
