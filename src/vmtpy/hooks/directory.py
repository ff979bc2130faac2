"""Finds the executables that are hooks, in the order in which they are asked to freeze.

Relies on the names that package managers and editors give to copies; what is skipped is named.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.config import HooksConfig
from vmtpy.hooks.hook import HookError
from vmtpy.hooks.legacy import BACKUP_SCRIPTS, POST_THAW, PRE_FREEZE
from vmtpy.hooks.trust import distrust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmtpy.hooks.script import Script

COPIES = (".bak", ".cfsaved", ".new", ".old", ".orig", ".rej", ".save", ".swp", ".tmp", "~")
PACKAGE_COPIES = (".dpkg-", ".pac", ".rpm", ".ucf-")  # .dpkg-old, .rpmsave, .pacnew, …


def executables(config: HooksConfig, log: Callable[[str], None]) -> list[Script]:
    """All executable hooks.

    Raises:
        HookError: a directory is not to be trusted, cannot be read, or was configured and is not
            there.
    """
    found = []
    if config.legacy:
        found += [*_pair(), *scripts_in(BACKUP_SCRIPTS, log)]
    if config.directory:
        if config.directory != HooksConfig().directory and not os.path.lexists(config.directory):
            raise HookError(f"the hooks directory {config.directory} does not exist")
        found += scripts_in(config.directory, log)
    return found


def _pair() -> Iterator[Script]:
    """The legacy scripts: one hook in two files, the first to freeze and the last to thaw."""
    freeze = PRE_FREEZE if os.path.lexists(PRE_FREEZE) else ""
    thaw = POST_THAW if os.path.lexists(POST_THAW) else ""
    if freeze or thaw:
        from vmtpy.hooks.script import Script

        yield Script(Path(freeze or thaw).name, freeze, thaw)


def scripts_in(directory: str, log: Callable[[str], None]) -> Iterator[Script]:
    """The executables of a directory by name; nothing where there is none.

    Raises:
        HookError: it is not to be trusted or cannot be read.
    """
    if not os.path.lexists(directory):
        return
    from vmtpy.hooks.script import Script

    try:
        reason = distrust(directory, directory=True)
        paths = sorted(Path(directory).iterdir(), key=os.fsencode)
    except OSError as error:
        raise HookError(f"the hooks directory {directory}: {error.strerror}") from error
    if reason:
        raise HookError(f"the hooks directory {directory} is refused: {reason}")
    for path in paths:
        reason = why_not(path)
        if reason:
            log(f"no hook: {path} ({reason})")
        else:
            yield Script(path.name, str(path), str(path))


def why_not(path: Path) -> str:
    """Why a file in a hooks directory is no hook, "" if it is one."""
    name = path.name
    if name.startswith("."):
        return "hidden"
    if name.endswith(COPIES) or name.startswith("#") or any(one in name for one in PACKAGE_COPIES):
        return "the name of a backup copy"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return str(error.strerror)
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return "" if mode & 0o111 else "not executable"
