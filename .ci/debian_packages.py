"""Fetches packages from any suite of Debian and unpacks them; nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
INTO = Path("build/debian")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# While a mirror is updated, its lists and packages do not match for some minutes.
PAUSES = (15, 60, 180)


class Archive:
    """One or more suites, read by an apt with lists of its own, apart from the system's.

    If several suites have a package, the latest version is taken.
    """

    def __init__(self, suites: list[str], architectures: list[str]) -> None:
        self._state = (INTO / "+".join([*suites, *architectures])).resolve()
        for part in (
            "lists/partial",
            "cache/archives/partial",
            "etc/apt.conf.d",
            "etc/preferences.d",
        ):
            (self._state / part).mkdir(parents=True, exist_ok=True)
        (self._state / "status").touch()
        mirror = subprocess.run(
            [".ci/mirror"], check=True, capture_output=True, text=True
        ).stdout.strip()
        # The Release file of an unstable suite is valid for a week, and a mirror's may be older.
        options = f"signed-by={KEYRING} check-valid-until=no arch={','.join(architectures)}"
        (self._state / "sources.list").write_text(
            "".join(f"deb [{options}] {mirror} {suite} main\n" for suite in suites)
        )
        # Without this, apt prefers other suites to backports and experimental ones.
        (self._state / "preferences").write_text("Package: *\nPin: release *\nPin-Priority: 500\n")
        (self._state / "conf").write_text(
            f'Dir::Etc "{self._state}/etc";\n'
            f'Dir::Etc::SourceList "{self._state}/sources.list";\n'
            f'Dir::Etc::Preferences "{self._state}/preferences";\n'
            f'Dir::State "{self._state}";\n'
            f'Dir::State::Lists "{self._state}/lists";\n'
            f'Dir::State::status "{self._state}/status";\n'
            f'Dir::Cache "{self._state}/cache";\n'
            'Acquire::Languages "none";\n'
            'Acquire::Retries "3";\n'
            'APT::Sandbox::User "root";\n'
            f'APT::Architecture "{architectures[0]}";\n'
            "APT::Architectures { %s };\n" % " ".join(f'"{name}";' for name in architectures)
        )
        self._environment = {**os.environ, "APT_CONFIG": str(self._state / "conf")}

    def update(self) -> None:
        """Fetches the lists of packages."""
        # Without this option a list that cannot be fetched is only a warning.
        self._apt("apt-get", "-qq", "update", "-o", "APT::Update::Error-Mode=any")

    def depends(self, package: str) -> list[str]:
        """Returns the names of the packages that a package depends on."""
        lines = self._apt("apt-cache", "depends", package).splitlines()
        words = [line.strip(" |").split() for line in lines]
        return [word[1] for word in words if word[0] == "Depends:"]

    def files(self, packages: list[str]) -> list[str]:
        """Returns the names of the packages' files, which have their versions."""
        lines = self._apt("apt-get", "-qq", "download", "--print-uris", *packages).splitlines()
        return sorted(line.split()[1] for line in lines)

    def download(self, packages: list[str]) -> list[Path]:
        """Fetches packages, and returns their files."""
        fetched = self._state / "fetched"
        shutil.rmtree(fetched, ignore_errors=True)
        fetched.mkdir()
        self._apt("apt-get", "-qq", "download", *packages, cwd=fetched)
        return sorted(fetched.glob("*.deb"))

    def _apt(self, *command: str, cwd: Path | None = None) -> str:
        return subprocess.run(
            command, check=True, env=self._environment, cwd=cwd, stdout=subprocess.PIPE, text=True
        ).stdout


def patiently(step: Callable[[], T]) -> T:
    """Runs a step that asks a mirror, again if the mirror fails. Returns the step's result."""
    for pause in PAUSES:
        try:
            return step()
        except subprocess.CalledProcessError as error:
            print(f"{error}; the next attempt is in {pause} s", file=sys.stderr)
            time.sleep(pause)
    return step()


def extract(files: list[Path], into: Path) -> None:
    """Unpacks packages into one tree, and deletes them."""
    into.mkdir(parents=True, exist_ok=True)
    for file in files:
        subprocess.run(["dpkg-deb", "-x", file, into], check=True)
        file.unlink()


def unpack(suite: str, packages: list[str], architectures: list[str], into: Path) -> None:
    """Fetches the packages of all architectures and unpacks them into one tree, only once."""
    wanted = {f"{package}:{name}" for package in packages for name in architectures}
    done = into / ".unpacked"
    if done.exists() and wanted <= set(done.read_text().split()):
        return
    archive = Archive([suite], architectures)

    def fetch() -> list[Path]:
        archive.update()
        return archive.download(sorted(wanted))

    extract(patiently(fetch), into)
    done.write_text(" ".join(sorted(wanted)))
