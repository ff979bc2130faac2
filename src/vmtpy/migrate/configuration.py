"""Writes the files of a migration: vmtpy.toml and the hook for power operations.

Each file is written atomically, and replaces an existing file only with --force. It serves `vmtpy
migrate` and `vmtpy-toolbox-cmd config`.
"""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.config_edit import in_toml
from vmtpy.errors import SystemCallError, VmtError
from vmtpy.replaced import on_failure, put_back

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmtpy.migrate import Outcome, Setting

HEAD = """\
# vmtpy's configuration, written by `vmtpy migrate` from open-vm-tools' tools.conf and scripts.
# Keys that are not in this file have their defaults.
"""


class ExistsError(VmtError, FileExistsError):
    """The file exists and was not changed."""

    hint = "--dry-run shows what would be written; --force replaces the file"


def render(outcome: Outcome) -> str:
    """The text of vmtpy.toml."""
    tables: dict[str, list[Setting]] = {}
    for setting in outcome.settings:
        tables.setdefault(setting.table, []).append(setting)
    parts = [HEAD]
    for table, settings in tables.items():
        lines = [f"\n[{table}]\n"]
        for setting in settings:
            lines.append(f"# {setting.origin}\n{setting.key} = {in_toml(setting.value)}\n")
        parts += lines
    return "".join(parts)


def refuse_existing(files: Iterable[Path]) -> None:
    """Raises ExistsError if one of the files exists, be it a link that leads nowhere."""
    for file in files:
        if os.path.lexists(file):
            raise ExistsError(f"{file} exists; vmtpy has changed nothing")


def write(file: Path, text: str, *, mode: int = 0o644, force: bool = False) -> None:
    """Writes a file; the arguments and errors are those of write_all()."""
    write_all({file: (text, mode)}, force=force)


def write_all(files: dict[Path, tuple[str, int]], *, force: bool = False) -> None:
    """Writes all files or none.

    Args:
        files: the path of each file → its contents and its mode.
        force: replace existing files.

    Raises:
        ExistsError: a file exists, and `force` is false.
        SystemCallError: a file cannot be written.
    """
    if not force:
        refuse_existing(files)
    prepared: dict[Path, Path] = {}
    try:
        for file, (text, mode) in files.items():
            prepared[file] = _prepare(file, text, mode)
        with ExitStack() as undo:
            for file, new in prepared.items():
                if force:
                    undo.enter_context(put_back(file))
                _put(new, file, force=force)
                if not force:  # only now it is certain that this file is not another program's
                    undo.enter_context(on_failure(file.unlink))
    finally:
        for new in prepared.values():
            new.unlink(missing_ok=True)


def _prepare(file: Path, text: str, mode: int) -> Path:
    """Writes the new file beside `file`."""
    new = ""
    try:
        if file.is_dir() and not file.is_symlink():
            raise IsADirectoryError(errno.EISDIR, "")
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(dir=file.parent, prefix=".vmtpy-")
        # The names of scripts may have bytes that are not UTF-8.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as opened:
            opened.write(text)
            os.fchmod(descriptor, mode)
            opened.flush()
            os.fsync(descriptor)
    except OSError as error:
        if new:
            Path(new).unlink(missing_ok=True)
        # The only thing that can exist is a file in place of the directory.
        number = errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno or 0
        raise SystemCallError("write", str(file), number) from error
    return Path(new)


def _put(new: Path, file: Path, *, force: bool) -> None:
    try:
        if force:
            new.replace(file)
        else:
            os.link(new, file)  # fails if another program has made the file meanwhile
    except FileExistsError as error:
        raise ExistsError(f"{file} exists; vmtpy has not changed it") from error
    except OSError as error:
        raise SystemCallError("write", str(file), error.errno or 0) from error
