"""The headers of Pythons: from Debian's suites, and of interpreters that are on this machine.

Debian has no Python 3.10 and 3.12 in any suite, and no package of PyPI or npm ships their headers.
pyenv compiles them; where it has not, their wheels are made by cibuildwheel alone (pyproject.toml).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import debian_packages

SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid"}
ELSEWHERE = ["3.10", "3.12"]
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
INTO = Path("build/wheels/headers")
HAS_HEADERS = """\
import pathlib, platform, sys, sysconfig
found = pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()
sys.exit(not found or platform.python_version_tuple()[:2] != tuple(sys.argv[1].split(".")))
"""


def interpreter(python: str) -> str:
    """An interpreter of this version that is on this machine with its headers; "" if none is."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(f"python{python}") or ""]
    found += map(str, sorted(pyenv.glob(f"versions/{python}.*/bin/python{python}")))
    for program in filter(None, found):
        # pyenv's own programs are there for each version, and run only those that are chosen.
        command = [program, "-c", HAS_HEADERS, python]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return program
    return ""


def available(machine: str) -> list[str]:
    """The Pythons for which wheels can be made here, for this machine."""
    here = [one for one in ELSEWHERE if machine == platform.machine() and interpreter(one)]
    return sorted([*SUITES, *here])


def include(python: str) -> list[Path]:
    """Where a compiler looks for them; what comes from Debian, `fetch` has unpacked."""
    if python in SUITES:
        headers = INTO / python / "usr" / "include"
        return [headers / f"python{python}", headers]
    command = [interpreter(python), "-c", "import sysconfig; print(sysconfig.get_path('include'))"]
    return [Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout[:-1])]


def fetch(pythons: set[str], machines: set[str]) -> None:
    architectures = [ARCHITECTURES[machine] for machine in sorted(machines)]
    for python in sorted(pythons & set(SUITES)):
        package = f"libpython{python}-dev"
        debian_packages.unpack(SUITES[python], [package], architectures, INTO / python)


if __name__ == "__main__":
    print(interpreter(sys.argv[1]))
