"""What would be frozen, in which order, and why not the rest: `vmtpy.plan()`.

The work is native (csrc/plan/plan.h). Nothing is frozen, and no filesystem that may hang is looked
into; any user may ask, though only root can find the images of loop devices that were deleted.
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
    """Decides what to freeze on this machine.

    Args:
        include: absolute mount points, or fnmatch(3) globs over all mount points; default all. A
            filesystem named by its mount point must be one that can be frozen.
        exclude: mount points, or globs over the mount points by which filesystems would be opened.
        volumes: paths, or UUIDs of virtual disks, as a host names them; default all.

    Returns:
        A `Plan`: its `filesystems` in the order in which they are frozen, what is `left_out` with
        the reason for each, those of `volumes` that are `unmatched`, and `notes`.

    Raises:
        TypeError: an argument is no list of paths, a single string among others.
        PlanError: an include is no mount point or cannot be frozen, or the order cannot be decided;
            the text says what to do.
        SystemCallError: there is no mountinfo.
    """
    return plan_of(native_plan(include, exclude, volumes))


def native_plan(
    include: Sequence[Path] = (), exclude: Sequence[Path] = (), volumes: Sequence[Path] = ()
) -> _core.Plan:
    """The plan as the core made it, and as a session takes it. Arguments and errors as plan()."""
    check_paths("include", include)
    check_paths("exclude", exclude)
    check_paths("volumes", volumes)
    request = _core.PlanRequest(include=include, exclude=exclude, volumes=volumes)
    return _core.make_plan(request, _core.PlanSources())
