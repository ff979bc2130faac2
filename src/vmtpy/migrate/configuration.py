"""Writes what a migration leads to: vmtpy.toml and the hook for power operations.

A file is whole or not there, and never in the place of another one unless that was asked for.
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
# What is not here has its default.
"""


class ExistsError(VmtError, FileExistsError):
    """There is a file already; it stays as it is."""

    hint = "--dry-run shows what would be written, --force writes it in its place"


def render(outcome: Outcome) -> str:
    """The text of vmtpy.toml."""
    tables: dict[str, list[Setting]] = {}
    for setting in outcome.settings:
        tables.setdefault(setting.table, []).append(setting)
    parts = [HEAD]
    for table, settings in tables.items():
        lines = [f"\n[{table}]\n"]
        for one in settings:
            lines.append(f"# {one.origin}\n{one.key} = {in_toml(one.value)}\n")
        parts += lines
    return "".join(parts)


def refuse_existing(files: list[Path]) -> None:
    """Raises ExistsError if one of them is there."""
    for file in files:
        if file.exists():
            raise ExistsError(f"{file} exists and stays as it is; nothing has been written")


def write(file: Path, text: str, *, mode: int = 0o644, force: bool = False) -> None:
    """Makes a file with this text.

    Raises:
        ExistsError: there is one already, and not `force`.
        SystemCallError: it cannot be written.
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
            os.link(new, file)  # fails where a file has come meanwhile
            Path(new).unlink()
    except FileExistsError as error:
        Path(new).unlink(missing_ok=True)
        raise ExistsError(f"{file} exists and stays as it is") from error
    except OSError as error:
        if new:
            Path(new).unlink(missing_ok=True)
        raise SystemCallError("write", str(file), error.errno or 0) from error
