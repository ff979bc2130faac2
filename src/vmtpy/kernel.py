"""The oldest kernel that vmtpy is for. Serves `vmtpy run` and `vmtpy doctor`."""

from __future__ import annotations

import os
import re

from vmtpy.errors import KernelError

OLDEST = (4, 18)


def running() -> str:
    """The release of the running kernel, "6.1.0-49-amd64"."""
    return os.uname().release


def trouble_of(release: str) -> str:
    """Why a kernel will not do, "" if it will. A release that begins with no version passes."""
    found = re.match(r"([0-9]+)\.([0-9]+)", release)
    if found is None or (int(found[1]), int(found[2])) >= OLDEST:
        return ""
    oldest = ".".join(map(str, OLDEST))
    return f"the kernel is Linux {release}; vmtpy needs {oldest} or later"


def check() -> None:
    """Raises KernelError where the running kernel is too old."""
    if trouble := trouble_of(running()):
        raise KernelError(trouble)
