"""Writes the files of a migration: vmtpy.toml and the hook for power operations.

Each file is written atomically, and replaces an existing file only with --force. It serves `vmtpy
migrate` and `vmtpy-toolbox-cmd config`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.config_edit import in_toml
from vmtpy.errors import SystemCallError, VmtError

if TYPE_CHECKING:
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


def refuse_existing(files: list[Path]) -> None:
    """Raises ExistsError if one of the files exists."""
    for file in files:
        if file.exists():
            raise ExistsError(f"{file} exists; vmtpy has changed nothing")


def write(file: Path, text: str, *, mode: int = 0o644, force: bool = False) -> None:
    """Writes a file.

    Args:
        file: the path.
        text: the contents.
        mode: the mode of the file.
        force: replace an existing file.

    Raises:
        ExistsError: the file exists, and `force` is false.
        SystemCallError: the file cannot be written.
    """
    if not force:
        refuse_existing([file])
    new = ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(dir=file.parent, prefix=".vmtpy-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
            os.fchmod(descriptor, mode)
            opened.flush()
            os.fsync(descriptor)
        if force:
            Path(new).replace(file)
        else:
            os.link(new, file)  # fails if another program has made the file meanwhile
            Path(new).unlink()
    except FileExistsError as error:
        Path(new).unlink(missing_ok=True)
        raise ExistsError(f"{file} exists; vmtpy has not changed it") from error
    except OSError as error:
        if new:
            Path(new).unlink(missing_ok=True)
        raise SystemCallError("write", str(file), error.errno or 0) from error
