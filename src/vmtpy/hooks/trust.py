"""Who could change what a path names: hooks run as root, so nobody but root may."""

from __future__ import annotations

import os
import stat
from pathlib import Path

WRITABLE = stat.S_IWGRP | stat.S_IWOTH  # an ACL's mask shows as the group's bits
MOST_LINKS = 40  # as the kernel


def distrust(path: str, *, directory: bool = False) -> str:
    """Why somebody else could change what `path` names, "" if nobody can.

    Every component counts: directories, symbolic links and the directories that those lead
    through. A sticky directory like /tmp may be writable, since its entries are checked, too; not
    the last one, with `directory`. The agent's own user is trusted like root.

    Raises:
        OSError: a component is missing or cannot be read.
    """
    trusted = {0, os.geteuid()}
    pending = path.split("/")[::-1]
    current, links = Path("/"), 0
    while pending:
        part = pending.pop()
        here = current.parent if part == ".." else current / part
        info = here.lstat()
        if info.st_uid not in trusted:
            return f"{here} belongs to user {info.st_uid}, not to root"
        if stat.S_ISLNK(info.st_mode):
            links += 1
            if links > MOST_LINKS:
                return f"{path} has too many symbolic links"
            target = str(here.readlink())
            pending += target.split("/")[::-1]
            current = Path("/") if target.startswith("/") else current
            continue
        sticky = stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX
        last = not any(pending)
        if info.st_mode & WRITABLE and (not sticky or (last and directory)):
            who = "everybody" if info.st_mode & stat.S_IWOTH else "its group"
            return f"{here} is writable by {who}"
        current = here
    return ""
