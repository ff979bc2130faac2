"""`with vmtpy.freeze(["/srv"]) as session:` freezes filesystems safely, with or without VMware.

It relies on the native session (csrc/freeze/session.h), which keeps all time limits: the
filesystems are thawed at the limit at the latest, even if the body is slow, hangs or is killed.
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy._arguments import check_paths, check_seconds
from vmtpy._plan import native_plan
from vmtpy.errors import FreezeError
from vmtpy.results import Outcome, RunRecord, record_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from vmtpy._arguments import Path

__all__ = ["Freeze", "freeze"]

_ALLOWED = (0.001, 86400.0)  # seconds
_LONG = 3600.0  # seconds; a wait that takes longer is repeated
_HINTS = {
    errno.EBUSY: "if a dead program has left the filesystem frozen, thaw it: `vmtpy thaw` or "
    "`fsfreeze --unfreeze`",
    errno.EPERM: "freezing needs root (CAP_SYS_ADMIN)",
    errno.EACCES: "freezing needs root (CAP_SYS_ADMIN)",
}


def freeze(
    paths: Sequence[Path],
    timeout: float = 30.0,
    *,
    exclude: Sequence[Path] = (),
    filesystem_timeout: float = 2.0,
    already_frozen: str = "error",
) -> Freeze:
    """Freezes filesystems for the body of a `with` statement.

    Dirty pages of all filesystems are written first, in parallel. Then the filesystems are frozen;
    one that lies on another (a loop image) is frozen before that. No program can write to them
    until the body ends, including this program.

    Args:
        paths: mount points or globs over mount points, as in `vmtpy.plan(include=…)`; at least one.
        timeout: seconds from the first freeze after which all filesystems are thawed even if the
            body still runs; default 30.
        exclude: mount points or globs to leave out; default none.
        filesystem_timeout: seconds in which each filesystem must be frozen, else the freeze fails
            and all are thawed, since a process may be inside a write that does not end; default 2.
        already_frozen: "error" to fail if another program has frozen one of the filesystems, or
            "accept" to count it as frozen and leave its thaw to that program; default "error".

    Returns:
        A context manager that can be entered once. `record` is the `RunRecord`, complete after the
        body; `frozen` is true while all filesystems are frozen.

    Raises:
        TypeError: `paths` or `exclude` is not a list of paths (a single string is not one), or a
            duration is not a number.
        ValueError: `paths` is empty, a duration is not from 0.001 to 86400 seconds, or
            `already_frozen` is another word.
        PlanError: a path is not a mount point or cannot be frozen.
        SystemCallError: /proc/self/mountinfo cannot be read.
        FreezeError: on entering: a filesystem could not be frozen, and the others have been thawed.
            On leaving: the filesystems were not frozen until the body ended (the limit passed, or
            another program thawed one), or a filesystem could not be thawed. It never replaces an
            exception of the body.
    """
    if already_frozen not in ("error", "accept"):
        raise ValueError(f'already_frozen is {already_frozen!r}, not "error" or "accept"')
    check_seconds("timeout", timeout, *_ALLOWED)
    check_seconds("filesystem_timeout", filesystem_timeout, *_ALLOWED)
    check_paths("paths", paths)
    if not paths:
        raise ValueError("paths is empty: name the mount points to freeze, or globs over them")
    made = native_plan(include=paths, exclude=exclude)
    options = _core.FreezeOptions(
        timeout=timeout,
        filesystem_timeout=filesystem_timeout,
        already_frozen=_core.AlreadyFrozen[already_frozen.upper()],
    )
    return Freeze(_core.FreezeSession(_core.real_system(), None, made.filesystems, options))


class Freeze:
    """A freeze for the body of one `with` statement, made by `vmtpy.freeze()`.

    The filesystems are frozen when the body is entered and thawed when it ends. Entering and
    leaving raise `vmtpy.FreezeError` as described there. Any thread may read the attributes.

    Attributes:
        frozen: whether all filesystems are frozen at this moment.
        record: the `vmtpy.RunRecord`; the facts so far while the body runs, complete after it.
    """

    def __init__(self, session: _core.FreezeSession) -> None:
        self._session = session
        self._dont_write_bytecode = sys.dont_write_bytecode

    def __enter__(self) -> Freeze:
        # An import in the body that writes its .pyc to a frozen filesystem would wait for the thaw.
        sys.dont_write_bytecode = True
        try:
            self._session.start()
            self._wait(_core.Phase.FROZEN)
        except BaseException:
            self._end("the program was interrupted while vmtpy was freezing")
            raise
        if not self.frozen:
            self._end("not all filesystems were frozen")
            raise self._error()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._end(f"the body ended with {kind.__name__}")
            return
        self._end()
        record = self.record
        if record.outcome != Outcome.RELEASED or record.error:
            raise self._error()

    @property
    def frozen(self) -> bool:
        """Whether all filesystems are frozen at this moment."""
        return self._session.phase() == _core.Phase.FROZEN

    @property
    def record(self) -> RunRecord:
        """The `RunRecord`; the facts so far while the body runs."""
        return record_of(self._session.record())

    def _end(self, reason: str = "") -> None:
        """Thaws, and returns when all is thawed, even if a signal arrives meanwhile."""
        if reason:
            self._session.abort(reason)
        else:
            self._session.release()
        # This native wait runs no signal handlers, which could raise before the last thaw.
        self._session.wait_until_ended()
        sys.dont_write_bytecode = self._dont_write_bytecode

    def _wait(self, phase: _core.Phase) -> None:
        while not self._session.wait_for(phase, _LONG):
            pass

    def _error(self) -> FreezeError:
        record = self.record
        error = FreezeError(record.error, record)
        error.hint = _HINTS.get(record.code, "")
        return error
