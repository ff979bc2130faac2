"""`vmtpy.plan()`: which filesystems would be frozen, in which order, and why not the others.

It relies on the native plan (csrc/plan/plan.h), which freezes nothing and opens no filesystem that
may hang. Any user may call it, but only root sees deleted images of loop devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy._arguments import check_paths
from vmtpy.results import Cause, Filesystem, LeftOut, Plan, plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmtpy._arguments import Path

__all__ = ["Cause", "Filesystem", "LeftOut", "Plan", "plan"]


def plan(
    include: Sequence[Path] = (),
    exclude: Sequence[Path] = (),
    volumes: Sequence[Path] = (),
) -> Plan:
    """Plans a freeze of this machine.

    Args:
        include: absolute mount points, or fnmatch(3) globs over all mount points; default all. A
            filesystem that is named by its mount point must be one that can be frozen.
        exclude: mount points, or globs over the mount points by which vmtpy opens filesystems;
            default none.
        volumes: paths, or UUIDs of virtual disks, by which a host names volumes; default all.

    Returns:
        A `Plan`: the `filesystems` in the order in which they are frozen, the filesystems that are
        `left_out` with the reason for each, the `volumes` that are `unmatched`, and `notes`.

    Raises:
        TypeError: an argument is not a list of paths; a single string is not a list.
        PlanError: an include is not a mount point or cannot be frozen, or no safe order exists; the
            text says what to do.
        SystemCallError: /proc/self/mountinfo cannot be read.
    """
    return plan_of(native_plan(include, exclude, volumes))


def native_plan(
    include: Sequence[Path] = (), exclude: Sequence[Path] = (), volumes: Sequence[Path] = ()
) -> _core.Plan:
    """The core's plan, which a session accepts. Arguments and errors are those of plan()."""
    check_paths("include", include)
    check_paths("exclude", exclude)
    check_paths("volumes", volumes)
    request = _core.PlanRequest(include=include, exclude=exclude, volumes=volumes)
    return _core.make_plan(request, _core.PlanSources())
