"""Commands that only root can run say so, to a real user."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vmtpy.log import Log
from vmtpy.status_socket import served

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED = "this command needs root: run it with sudo\n"


def as_user(*arguments: str) -> subprocess.CompletedProcess[str]:
    """vmtpy as somebody who is not root."""
    interpreter = Path(sys.executable).resolve()
    if not all(path.stat().st_mode & 0o001 for path in [interpreter, *interpreter.parents]):
        pytest.skip("capability missing: a Python that other users may run")
    command = [sys.executable, "-m", "vmtpy", *arguments]
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd="/", **user
    )  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "arguments",
    [["freeze", "/nowhere", "--", "true"], ["thaw"], ["uninstall-service", "--kind", "systemd"]],
)
def test_what_needs_root_says_so(arguments: list[str]) -> None:
    done = as_user(*arguments)
    assert (done.returncode, done.stderr) == (1, f"vmtpy {arguments[0]}: {NEEDED}")


def test_installing_needs_root_but_not_in_a_tree_of_ones_own() -> None:
    done = as_user("install-service", "--kind", "systemd")
    assert (done.returncode, done.stderr) == (1, f"vmtpy install-service: {NEEDED}")
    assert as_user("install-service", "--print", "systemd").returncode == 0


@pytest.fixture
def agent() -> Iterator[Path]:
    """An agent's socket, in a directory that others may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        path = Path(directory) / "status"
        with served(str(path), dict, Log(lambda *_: None)):
            yield path


def test_only_root_may_ask_the_agent(agent: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, for an agent of root's")
    done = as_user("status", "--socket", str(agent))
    assert done.returncode == 1
    assert done.stderr == (
        f"vmtpy status: only root may ask the agent on {agent} for its status\n"
        "vmtpy status: run it with sudo\n"
    )


def test_an_agent_that_may_freeze_nothing_says_so() -> None:
    done = as_user("run")  # which ends at once off VMware
    assert "error: this process is not root and cannot freeze" in (done.stderr)
