"""Replaces system files as a whole, and restores them if a later step fails.

It serves `vmtpy install-service` and `vmtpy migrate`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vmtpy.errors import SystemCallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def write(file: Path, data: bytes, mode: int) -> None:
    """Writes a file atomically: a reader sees the old or the new contents. Makes its directory.

    Raises:
        SystemCallError: the file cannot be written; the old file, if any, is unchanged.
    """
    new = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(data)
        new.chmod(mode)
        new.replace(file)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise SystemCallError("write", str(file), error.errno or 0) from error


def link(file: Path, target: str) -> None:
    """Makes a symbolic link atomically, in place of an older one. Makes its directory.

    Raises:
        SystemCallError: the link cannot be made.
    """
    new = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new.symlink_to(target)
        new.replace(file)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise SystemCallError("symlink", str(file), error.errno or 0) from error


@contextmanager
def on_failure(action: Callable[[], None]) -> Iterator[None]:
    """Runs the action if the block raises an exception."""
    try:
        yield
    except BaseException:
        action()
        raise


@contextmanager
def put_back(file: Path) -> Iterator[None]:
    """Restores the file if the block raises. A file that did not exist is removed, and so are the
    directories that were made for it.
    """
    missing = [path for path in (file, *file.parents) if not os.path.lexists(path)]
    if missing:
        target, data, mode = "", b"", 0
    elif file.is_symlink():
        target, data, mode = str(file.readlink()), b"", 0
    else:
        target, data, mode = "", file.read_bytes(), file.stat().st_mode & 0o7777
    try:
        yield
    except BaseException:
        with suppress(OSError, SystemCallError):
            if target:
                link(file, target)
            elif not missing:
                write(file, data, mode)
            else:
                file.unlink(missing_ok=True)
                for directory in missing[1:]:
                    directory.rmdir()
        raise
