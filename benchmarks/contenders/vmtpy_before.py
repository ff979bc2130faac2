"""`vmtpy run` of another tree, which is built: `--before TREE`. Whether a change has cost anything
is told best by both in turns, in one run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders import vmtpy_agent
from benchmarks.contenders.vmtpy_agent import Agent
from benchmarks.disks import Disks

NAME = "vmtpy, before"
TREE = "VMTPY_BEFORE"


def tree() -> str:
    """The other tree, "" where there is none."""
    return os.environ.get(TREE, "")


def missing() -> str:
    built = list(Path(tree(), "src/vmtpy").glob("_core*.so"))
    return "" if built else f"a tree that is built in place in {tree() or TREE}"


def version() -> str:
    """Its last commit."""
    command = ["git", "-C", tree(), "log", "-1", "--format=%h %s"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@contextmanager
def running(disks: Disks, shared: Path) -> Iterator[Agent]:
    with vmtpy_agent.running(disks, shared, ("env", f"PYTHONPATH={tree()}/src")) as agent:
        yield agent
