"""Checks that only root can change the file that a path names, because hooks run as root."""

from __future__ import annotations

import os
import stat
from pathlib import Path

WRITABLE = stat.S_IWGRP | stat.S_IWOTH  # the mask of an ACL appears in the group's bits
MOST_LINKS = 40  # the kernel's own limit


def distrust(path: str, *, directory: bool = False) -> str:
    """Why another user could change what `path` names; "" if none can.

    Each component is checked: directories, symbolic links, and the directories to which links lead.
    The agent's own user is trusted like root. A sticky directory such as /tmp may be writable,
    because its entries are checked.

    Args:
        path: an absolute path.
        directory: `path` is a directory of hooks, which must not be writable even if sticky.

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
