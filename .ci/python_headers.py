"""The headers of Pythons, from Debian's suites.

Debian has no Python 3.10 and 3.12 in any suite, and no package of PyPI or npm ships their headers:
wheels for those are made by cibuildwheel (pyproject.toml).
"""

from __future__ import annotations

from pathlib import Path

import debian_packages

SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
INTO = Path("build/wheels/headers")


def directory(python: str) -> Path:
    """What `fetch` has unpacked, as /usr is laid out."""
    return INTO / python / "usr"


def fetch(pythons: set[str], machines: set[str]) -> None:
    architectures = [ARCHITECTURES[machine] for machine in sorted(machines)]
    for python in sorted(pythons):
        package = f"libpython{python}-dev"
        debian_packages.unpack(SUITES[python], [package], architectures, INTO / python)
