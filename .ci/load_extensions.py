"""Checks with the loaders of old libcs that a wheel's extensions resolve and its programs start.

Debian 11 has glibc 2.31 and musl 1.2.2, the oldest of any suite here, and a Python that is too old
to import the extensions. Only CPython's own symbols may stay unresolved. For arm64 the loaders run
under QEMU (apt install qemu-user-static).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import debian_packages

INTO = Path("build/wheels/libc")
RUNNERS = {"x86_64": [], "aarch64": ["qemu-aarch64-static"]}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
RESOLVE_ALL = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_WARN": "yes", "LD_BIND_NOW": "yes"}
UNRESOLVED = re.compile(r"undefined symbol: (\S+)|Error relocating .*: (\S+): symbol not found")


def fetch(machines: set[str]) -> None:
    for machine in sorted(machines):
        architecture = ARCHITECTURES[machine]
        debian_packages.unpack("bullseye", ["libc6", "musl"], [architecture], INTO / machine)


def loader(tag: str) -> tuple[list[str], dict[str, str]]:
    """Returns the command that resolves a library, and its environment."""
    machine = tag.split("_", 3)[3]
    root = INTO / machine
    if tag.startswith("musl"):
        return [*RUNNERS[machine], f"{root}/lib/ld-musl-{machine}.so.1", "--list"], {}
    libraries = root / "lib" / f"{machine}-linux-gnu"
    (found,) = libraries.glob("ld-2.31.so")
    return [*RUNNERS[machine], str(found), "--library-path", str(libraries)], RESOLVE_ALL


def unresolved(tag: str, extension: Path) -> tuple[set[str], str]:
    """Returns the symbols that are found nowhere, and the whole output of the loader."""
    command, environment = loader(tag)
    # QEMU passes the environment on to the loader.
    done = subprocess.run(
        [*command, extension], env=environment, capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    return {one or other for one, other in UNRESOLVED.findall(told)}, told


def unversioned(extension: Path) -> set[str]:
    """Returns the symbols without a version, since no library had them when the linker ran.

    A glibc that is newer than the oldest one of the wheel's tag may have them.
    """
    command = ["readelf", "-W", "--dyn-syms", str(extension)]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r" GLOBAL +DEFAULT +UND +([^\s@]+)$", table, re.MULTILINE))


def check(wheel: Path, tag: str) -> None:
    with tempfile.TemporaryDirectory() as directory, zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".so")]
        for name in names:
            extension = Path(archive.extract(name, directory))
            symbols, told = unresolved(tag, extension)
            if tag.startswith("many"):
                symbols |= unversioned(extension)
            others = sorted(symbol for symbol in symbols if not re.match("_?Py", symbol))
            known = "_Py_NoneStruct" in symbols  # else the loader did not come so far
            if others or not known or "not found (required" in told or "No such file" in told:
                sys.exit(f"{wheel.name}: {name} cannot be loaded: {others}\n{told}")
        programs = [name for name in archive.namelist() if ".data/scripts/" in name]
        for name in programs:
            start(wheel, tag, Path(archive.extract(name, directory)))
    if (len(names), len(programs)) != (2, 1):
        sys.exit(f"{wheel.name} has not two extensions and a program but {names} and {programs}")


def start(wheel: Path, tag: str, program: Path) -> None:
    """Runs a program with the old glibc; the programs for musl are static."""
    program.chmod(0o755)
    command = RUNNERS[tag.split("_", 3)[3]] if tag.startswith("musl") else loader(tag)[0]
    done = subprocess.run(
        [*command, program, "--help"], capture_output=True, text=True, check=False
    )
    if done.returncode or not done.stderr.startswith("rpctool syntax:"):
        sys.exit(f"{wheel.name}: {program.name} does not start:\n{done.stdout}{done.stderr}")
