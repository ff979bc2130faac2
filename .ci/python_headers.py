"""Finds the headers of Pythons: in Debian's suites, and beside interpreters of this machine.

No suite of Debian has Python 3.10 or 3.12, and no package of PyPI or npm ships their headers. pyenv
compiles them. Where pyenv has not, only cibuildwheel makes their wheels (pyproject.toml).
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
    """Returns an interpreter of this version that has its headers here; "" if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(f"python{python}") or ""]
    found += map(str, sorted(pyenv.glob(f"versions/{python}.*/bin/python{python}")))
    for program in filter(None, found):
        # pyenv has a program for each version, which works only if the version is selected.
        command = [program, "-c", HAS_HEADERS, python]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return program
    return ""


def available(machine: str) -> list[str]:
    """Returns the Pythons for which wheels for `machine` can be made here."""
    here = [one for one in ELSEWHERE if machine == platform.machine() and interpreter(one)]
    return sorted([*SUITES, *here])


def include(python: str) -> list[Path]:
    """Returns the directories of a Python's headers; fetch() must have unpacked Debian's."""
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
