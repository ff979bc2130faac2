"""Checks the kernel's version, for `vmtpy run`, which refuses to start, and for `vmtpy doctor`."""

from __future__ import annotations

import os
import re

from vmtpy.errors import KernelError

OLDEST = (4, 18)


def running() -> str:
    """The release of the running kernel, "6.1.0-49-amd64"."""
    return os.uname().release


def trouble_of(release: str) -> str:
    """Why a kernel is too old; "" if it is not, or if `release` does not begin with a version."""
    version = re.match(r"([0-9]+)\.([0-9]+)", release)
    if version is None or (int(version[1]), int(version[2])) >= OLDEST:
        return ""
    oldest = ".".join(map(str, OLDEST))
    return f"the kernel is Linux {release}; vmtpy needs {oldest} or later"


def check() -> None:
    """Raises KernelError if the running kernel is too old."""
    if trouble := trouble_of(running()):
        raise KernelError(trouble)
