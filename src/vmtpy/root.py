"""Checks for root's rights, for commands that need them to refuse before they begin."""

from __future__ import annotations

import os
from pathlib import Path

from vmtpy.errors import VmtError

SYS_ADMIN = 21  # capabilities(7), by number
REMEDY = "run it with sudo"


class RootError(VmtError, PermissionError):
    """The command needs root's rights."""

    def __str__(self) -> str:
        return str(self.args[0])


def may_freeze() -> bool:
    """Whether this process is root or has CAP_SYS_ADMIN, which FIFREEZE requires."""
    status = Path("/proc/self/status").read_text("utf-8", "replace")
    bits = int(status.partition("CapEff:")[2].split()[0], 16)
    return os.geteuid() == 0 or bool(bits >> SYS_ADMIN & 1)


def need_to_freeze() -> None:
    """Raises RootError unless this process may freeze and thaw."""
    if not may_freeze():
        raise RootError(f"this command needs root: {REMEDY}")


def need_root() -> None:
    """Raises RootError unless this process runs as root."""
    if os.geteuid() != 0:
        raise RootError(f"this command needs root: {REMEDY}")
