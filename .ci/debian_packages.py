"""Fetches packages from any suite of Debian and unpacks them; nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

INTO = Path("build/wheels/debian")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def unpack(suite: str, packages: list[str], architectures: list[str], into: Path) -> None:
    """Each package of each architecture, over one another; once."""
    wanted = {f"{package}:{name}" for package in packages for name in architectures}
    done = into / ".unpacked"
    if done.exists() and wanted <= set(done.read_text().split()):
        return
    into.mkdir(parents=True, exist_ok=True)
    for archive in _download(suite, sorted(wanted), architectures):
        subprocess.run(["dpkg-deb", "-x", archive, into], check=True)
    done.write_text(" ".join(sorted(wanted)))


def _download(suite: str, wanted: list[str], architectures: list[str]) -> list[Path]:
    """By an apt of its own, which leaves the system's lists and packages alone."""
    state = (INTO / suite).resolve()
    shutil.rmtree(state / "fetched", ignore_errors=True)
    lists = ("lists/partial", "cache/archives/partial")
    for part in (*lists, "fetched", "etc/apt.conf.d", "etc/preferences.d"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    mirror = subprocess.run(
        [".ci/mirror"], check=True, capture_output=True, text=True
    ).stdout.strip()
    # An unstable suite's Release file is valid for a week, and a mirror may be older.
    options = f"signed-by={KEYRING} check-valid-until=no arch={','.join(architectures)}"
    (state / "sources.list").write_text(f"deb [{options}] {mirror} {suite} main\n")
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
    download = ["apt-get", "-qq", "download", *wanted]
    subprocess.run(download, check=True, env=environment, cwd=fetched)
    return sorted(fetched.glob("*.deb"))
