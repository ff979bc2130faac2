"""Fetches the headers of Pythons from Debian's suites and unpacks them; nothing is installed.

Debian has no Python 3.10 and 3.12 in any suite, and no package of PyPI or npm ships their headers:
wheels for those are made by cibuildwheel (pyproject.toml).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
INTO = Path("build/wheels/headers")
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def directory(python: str) -> Path:
    """What `fetch` has unpacked, as /usr is laid out."""
    return INTO / python / "usr"


def fetch(pythons: set[str], machines: set[str]) -> None:
    architectures = [ARCHITECTURES[machine] for machine in sorted(machines)]
    for python in sorted(pythons):
        package = f"libpython{python}-dev"
        missing = [name for name in architectures if not (INTO / f"{package}_{name}").exists()]
        for archive in _download(SUITES[python], package, missing):
            subprocess.run(["dpkg-deb", "-x", archive, INTO / python], check=True)
        for name in missing:
            (INTO / f"{package}_{name}").touch()


def _download(suite: str, package: str, architectures: list[str]) -> list[Path]:
    """By an apt of its own, which leaves the system's lists and packages alone."""
    if not architectures:
        return []
    state = (INTO / "apt" / suite).resolve()
    lists = ("lists/partial", "cache/archives/partial")
    for part in (*lists, "fetched", "etc/apt.conf.d", "etc/preferences.d"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    # An unstable suite's Release file is valid for a week, and a mirror may be older.
    options = f"signed-by={KEYRING} check-valid-until=no arch={','.join(architectures)}"
    (state / "sources.list").write_text(f"deb [{options}] {MIRROR} {suite} main\n")
    (state / "conf").write_text(
        f'Dir::Etc "{state}/etc";\n'
        f'Dir::Etc::SourceList "{state}/sources.list";\n'
        f'Dir::State "{state}";\n'
        f'Dir::State::Lists "{state}/lists";\n'
        f'Dir::State::status "{state}/status";\n'
        f'Dir::Cache "{state}/cache";\n'
        'Acquire::Languages "none";\n'
        'APT::Sandbox::User "root";\n'
        'APT::Architecture "amd64";\n'
        "APT::Architectures { %s };\n" % " ".join(f'"{name}";' for name in architectures)
    )
    environment = {**os.environ, "APT_CONFIG": str(state / "conf")}
    fetched = state / "fetched"
    subprocess.run(["apt-get", "-qq", "update"], check=True, env=environment)
    download = ["apt-get", "-qq", "download", *(f"{package}:{name}" for name in architectures)]
    subprocess.run(download, check=True, env=environment, cwd=fetched)
    return sorted(fetched.glob("*.deb"))
