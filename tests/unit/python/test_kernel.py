"""The oldest kernel: compared by number, and named by `vmtpy run` and `vmtpy doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.loop import require_program

from vmtpy import kernel
from vmtpy.errors import KernelError

if TYPE_CHECKING:
    from pathlib import Path

# In front of a command, which then finds a release like 2.6.78.
AGED = ["setarch", "--uname-2.6"]


def run_on_an_aged_kernel(*words: str) -> subprocess.CompletedProcess[str]:
    require_program("setarch")
    return subprocess.run(
        [*AGED, sys.executable, "-m", "vmtpy", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "release",
    ["4.18.0-553.el8_10.x86_64", "4.19.0", "5.4.0-26-generic", "6.18-rc1", "10.0", "next"],
)
def test_a_kernel_of_4_18_or_later_will_do(release: str) -> None:
    assert kernel.trouble_of(release) == ""


@pytest.mark.parametrize(
    "release", ["4.17.19", "4.9.0-13-amd64", "3.10.0-1160.el7.x86_64", "2.6.78"]
)
def test_an_older_one_is_named_beside_the_version_that_is_needed(release: str) -> None:
    found = f"the kernel is Linux {release}; vmtpy needs 4.18 or later"
    assert kernel.trouble_of(release) == found


def test_the_running_kernel_is_asked() -> None:
    assert kernel.running() == os.uname().release
    kernel.check()


def test_the_agent_does_not_start_on_an_older_kernel(tmp_path: Path) -> None:
    done = run_on_an_aged_kernel("run", "--include", str(tmp_path / "none"))
    assert done.returncode == 1
    found, hint = done.stderr.splitlines()
    assert found.startswith("vmtpy run: the kernel is Linux 2.6.")
    assert found.endswith("; vmtpy needs 4.18 or later")
    assert hint == f"vmtpy run: {KernelError.hint}"
    assert "RHEL 8" in hint


def test_the_doctor_names_an_older_kernel_and_is_content_with_this_one() -> None:
    aged = run_on_an_aged_kernel("doctor", "--json")
    assert aged.returncode == 1
    found = next(finding for finding in json.loads(aged.stdout) if finding["check"] == "kernel")
    assert found["level"] == "problem"
    assert found["text"].endswith("; vmtpy needs 4.18 or later")
    assert found["remedy"] == KernelError.hint
    here = subprocess.run(
        [sys.executable, "-m", "vmtpy", "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = next(finding for finding in json.loads(here.stdout) if finding["check"] == "kernel")
    assert (found["level"], found["text"]) == ("ok", f"Linux {kernel.running()}")
