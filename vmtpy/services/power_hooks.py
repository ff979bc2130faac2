"""Programs of the administrator that run at power operations: /etc/vmtpy/power.d.

Each is called with the operation's name (halt, reboot, poweron, suspend, resume), in the order of
their names. As root runs them, only what nobody but root can change is run.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

DIRECTORY = Path("/etc/vmtpy/power.d")
TIMEOUT = 60.0


def run_power_hooks(name: str, directory: Path = DIRECTORY) -> list[str]:
    """Runs all hooks, whether or not one fails. Returns the failures' texts.

    Args:
        name: of the operation.
        directory: where they are; none if it does not exist.
    """
    try:
        trouble = untrusted(directory)
        files = sorted(one for one in directory.iterdir() if not one.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"{directory}: {error.strerror}"]
    if trouble:
        return [f"{directory}: {trouble}"]
    return [failure for failure in (run(file, name) for file in files) if failure]


def run(file: Path, name: str) -> str:
    """Runs one hook. Returns why it failed, "" if it did not."""
    import subprocess

    try:
        if trouble := untrusted(file) or not_executable(file):
            return f"{file}: {trouble}"
        done = subprocess.run(
            [file, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return f"{file}: not ended after {TIMEOUT:g} s"
    except OSError as error:
        return f"{file}: {error.strerror}"
    output = done.stdout[-200:].decode("utf-8", "backslashreplace").strip()
    said = f": {output}" if output else ""
    return f"{file} ended with {done.returncode}{said}" if done.returncode else ""


def not_executable(file: Path) -> str:
    return "" if file.is_file() and os.access(file, os.X_OK) else "not an executable file"


def untrusted(path: Path) -> str:
    """Why root must not run what lies there, "" if it may."""
    found = path.stat()
    if found.st_uid not in (0, os.geteuid()):
        return "does not belong to root"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others can write to it"
    return ""
