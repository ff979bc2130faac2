"""What would be frozen, in which order, and why not the rest: `vmtpy.plan()`.

The work is native (csrc/plan/plan.h). Nothing is frozen, and no filesystem that may hang is looked
into; any user may ask, though only root can find the images of loop devices that were deleted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from vmtpy import _core
from vmtpy._core import Cause, Filesystem, LeftOut, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Cause", "Filesystem", "LeftOut", "Plan", "plan"]

Path: TypeAlias = str | bytes | os.PathLike[str]


def plan(
    include: Sequence[Path] = (),
    exclude: Sequence[Path] = (),
    volumes: Sequence[Path] = (),
) -> Plan:
    """Decides what to freeze on this machine.

    Args:
        include: absolute mount points, or fnmatch(3) globs over all mount points; default all. A
            filesystem named by its mount point must be one that can be frozen.
        exclude: mount points, or globs over the mount points by which filesystems would be opened.
        volumes: paths, or UUIDs of virtual disks, as a host names them; default all.

    Returns:
        A `Plan` (all of its parts are read-only):

        `filesystems`: a list of `Filesystem`, one for each superblock, by `level`, then path.
        Level 0 is frozen first; each stands on those of later levels that `stands_on` names (by
        `device`, "major:minor"). `path` is the mount point to open, `also` are its others;
        `sync_only` is true of what can only be synced (vfat); `mapped` are the device-mapper
        devices below, which must not be suspended while it is frozen; `disks` are the block
        devices below that stand on no other ones.

        `left_out`: a list of `LeftOut` with `path`, `device`, `type`, the `reason` in words and
        its `cause`, a `Cause`. `writable` is true of what can lose writes in a snapshot: it is
        neither read-only, pseudo, in memory nor a view of filesystems that are judged themselves.

        `unmatched`: those of `volumes` on which no filesystem lies.

        `notes`: sentences on what does not hinder but should be known.

    Raises:
        TypeError: an argument is no list of paths, a single string among others.
        PlanError: an include is no mount point or cannot be frozen, or the order cannot be decided;
            the text says what to do.
        SystemCallError: there is no mountinfo.
    """
    check_paths("include", include)
    check_paths("exclude", exclude)
    check_paths("volumes", volumes)
    return _core.make_plan(
        _core.PlanRequest(include=include, exclude=exclude, volumes=volumes), _core.PlanSources()
    )


def check_paths(name: str, paths: Sequence[Path]) -> None:
    """Raises TypeError unless `paths`, the argument `name`, is a sequence of paths."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(f"{name}: a list of paths, not one: [{os.fspath(paths)!r}]")
    for path in paths:
        if not isinstance(path, (str, bytes, os.PathLike)):
            raise TypeError(f"{name}: a list of paths, but one is {type(path).__name__}: {path!r}")
