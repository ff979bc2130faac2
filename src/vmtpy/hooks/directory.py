"""Finds the executables that are hooks, in the order in which they freeze.

It relies on the names that package managers and editors give to backup copies. Each file that is
skipped is logged with the reason.
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
        HookError: another user could change a directory, a directory cannot be read, or the
            configured directory does not exist.
    """
    scripts = []
    if config.legacy:
        scripts += [*_pair(), *scripts_in(BACKUP_SCRIPTS, log)]
    if config.directory:
        if config.directory != HooksConfig().directory and not os.path.lexists(config.directory):
            raise HookError(f"the hooks directory {config.directory} does not exist")
        scripts += scripts_in(config.directory, log)
    return scripts


def _pair() -> Iterator[Script]:
    """open-vm-tools' pre-freeze-script and post-thaw-script: one hook that consists of two files.

    It is the first to freeze and the last to thaw.
    """
    freeze = PRE_FREEZE if os.path.lexists(PRE_FREEZE) else ""
    thaw = POST_THAW if os.path.lexists(POST_THAW) else ""
    if freeze or thaw:
        from vmtpy.hooks.script import Script

        yield Script(Path(freeze or thaw).name, freeze, thaw)


def scripts_in(directory: str, log: Callable[[str], None]) -> Iterator[Script]:
    """The executables of a directory, by name; none if the directory does not exist.

    Raises:
        HookError: another user could change the directory, or it cannot be read.
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
            log(f"{path} is not run as a hook: {reason}")
        else:
            yield Script(path.name, str(path), str(path))


def is_hidden(name: str) -> bool:
    """Whether a file in a hooks directory is not meant to be a hook, by its name."""
    return name.startswith(".")


def is_copy(name: str) -> bool:
    """Whether an editor or a package manager has made a file, as the copy of another one."""
    return (
        name.endswith(COPIES)
        or name.startswith("#")
        or any(part in name for part in PACKAGE_COPIES)
    )


def why_not(path: Path) -> str:
    """Why a file in a hooks directory is not a hook; "" if it is one."""
    if is_hidden(path.name):
        return "hidden"
    if is_copy(path.name):
        return "the name of a backup copy"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return str(error.strerror)
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return "" if mode & 0o111 else "not executable"
