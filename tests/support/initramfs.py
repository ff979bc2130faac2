"""Makes the root of a test machine: this machine's Python and some of its programs, in a cpio
archive.

It serves tests/vm. The archive contains the interpreter and its standard library, the vmtpy under
test, the programs that a test needs, and the shared libraries of all of these, at the same paths as
on this machine, and busybox for the rest. It relies on ldd.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import vmtpy

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE = Path("/opt/vmtpy")  # on the guest's PYTHONPATH
PROGRAMS = Path("/opt/guest")
# Parts of the standard library that nothing here uses, and what other packages put beside it.
LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip"}
LEFT_OUT |= {"site-packages", "dist-packages", "pydoc_data", "distutils"}


class Archive:
    """A cpio archive ("newc"), written as files are added; directories come by themselves."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seen: set[Path] = {Path("/")}
        self._libraries: list[Path] = []

    def add(self, source: Path, target: Path | None = None) -> None:
        """Adds a file at its own or another path; for a symbolic link its target."""
        target = target or source
        if target in self._seen:
            return
        status = source.stat()
        mode = stat.S_IFREG | (0o755 if status.st_mode & 0o111 else 0o644)
        # The time of a source file is what its .pyc is held against.
        self._put(target, mode, source.read_bytes(), int(status.st_mtime))

    def add_tree(self, source: Path, target: Path | None = None) -> None:
        """Adds a directory without LEFT_OUT, and the libraries of its shared objects."""
        for directory, names, files in os.walk(source):
            names[:] = sorted(set(names) - LEFT_OUT)
            inside = (target or source) / Path(directory).relative_to(source)
            for name in sorted(files):
                if ".opt-" in name or name.endswith(".a"):
                    continue
                self.add(Path(directory) / name, inside / name)
                if ".so" in name:
                    self._libraries.append(Path(directory) / name)

    def add_program(self, source: Path, target: Path | None = None) -> None:
        """Adds a program with its libraries."""
        self.add(source, target)
        self._libraries.append(source)

    def link(self, target: Path, to: str) -> None:
        """A symbolic link."""
        self._put(target, stat.S_IFLNK | 0o777, to.encode())

    def end(self) -> None:
        """Adds the libraries of all added files, and ends the archive."""
        for library in libraries(self._libraries):
            self.add(library)
        self._put(Path("TRAILER!!!"), 0, b"")

    def _put(self, path: Path, mode: int, data: bytes, time: int = 0) -> None:
        if path.parent not in self._seen and path.is_absolute():
            self._put(path.parent, stat.S_IFDIR | 0o755, b"")
        self._seen.add(path)
        name = str(path).lstrip("/").encode() + b"\0"
        fields = [len(self._seen), mode, 0, 0, 1, time, len(data), 0, 0, 0, 0, len(name), 0]
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._file.write(padded(header + name) + padded(data))


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def libraries(files: Iterable[Path]) -> list[Path]:
    """All shared libraries of programs and shared objects, the loader included."""
    listed = subprocess.run(
        ["ldd", *map(str, files)], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    return sorted({Path(path) for path in re.findall(r"(/\S+) \(0x", listed)})


def write(
    archive: Path,
    *,
    modules: list[Path],
    programs: Iterable[str] = (),
    trees: Iterable[Path] = (),
    guest: Path,
) -> None:
    """Makes the archive.

    Args:
        archive: the file to write.
        modules: kernel modules in the order in which init loads them.
        programs: found in this machine's PATH.
        trees: directories to take along as they are.
        guest: the directory of programs for the guest; its `init` is the first process.
    """
    with archive.open("wb") as file:
        made = Archive(file)
        made.add(guest / "init", Path("/init"))
        made.add_tree(guest, PROGRAMS)
        made.add_program(found("busybox"), Path("/bin/busybox"))
        for number, module in enumerate(modules):
            made.add(module, Path(f"/modules/{number:02}-{module.name}"))
        python = Path(sys.executable).resolve()
        made.add_program(python)
        made.link(Path("/bin/python"), str(python))
        for kind in ("stdlib", "platstdlib"):
            made.add_tree(Path(sysconfig.get_path(kind, vars=base())))
        made.add_tree(Path(vmtpy.__file__).parent, PACKAGE / "vmtpy")
        for program in programs:
            made.add_program(found(program).resolve(), Path("/bin") / program)
        for tree in trees:
            made.add_tree(tree)
        made.end()


def base() -> dict[str, str]:
    """The installation of the interpreter, even if a virtual environment runs the tests."""
    return {
        "base": sys.base_prefix,
        "platbase": sys.base_exec_prefix,
        "installed_base": sys.base_prefix,
        "installed_platbase": sys.base_exec_prefix,
    }


def where(program: str) -> str | None:
    """A program in PATH or in Debian's directories for root; None if there is none."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def found(program: str) -> Path:
    """The path of a program that must exist."""
    path = where(program)
    assert path is not None, f"{program} is not installed"
    return Path(path)
