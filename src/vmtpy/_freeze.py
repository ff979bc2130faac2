"""`with vmtpy.freeze(["/srv"]) as session:` a safe freeze for anyone, with or without VMware.

All that has a clock on it is native (csrc/freeze/session.h): the body may be slow, stuck or killed,
and the filesystems are thawed all the same, by the limit at the latest.
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
_LONG = 3600.0  # seconds; waits of this length are repeated
_HINTS = {
    errno.EBUSY: "if a program that has died left it frozen: `vmtpy thaw` or `fsfreeze --unfreeze`",
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

    Dirty pages are written before, in parallel; then all are frozen, those that lie on others (loop
    images) first. Nobody can write to them until the body has ended; also this program cannot.

    Args:
        paths: mount points or globs over them, as `vmtpy.plan(include=…)`; at least one.
        timeout: seconds after which everything is thawed whatever the body does; default 30.
        exclude: mount points or globs to leave out; default none.
        filesystem_timeout: seconds in which each filesystem must be frozen, else the whole is given
            up: a process may be inside a write that does not end; default 2.
        already_frozen: "error", or "accept" to take a filesystem that someone else has frozen, and
            leave it to them.

    Returns:
        A context manager, for use once. `record` is the `RunRecord`, complete after the body;
        `frozen` is true while everything is frozen.

    Raises:
        TypeError: `paths` or `exclude` is not a list of paths (a single string is not one), or a
            duration is not a number.
        ValueError: `paths` is empty, a duration is not from 0.001 to 86400 seconds, or
            `already_frozen` is another word.
        PlanError: a path is no mount point or cannot be frozen.
        SystemCallError: there is no mountinfo.
        FreezeError: entering: it could not be frozen, and what was has been thawed. Leaving: the
            body was not covered to its end (the limit struck, someone else thawed) or a filesystem
            could not be thawed. An exception of the body's own is never replaced.
    """
    if already_frozen not in ("error", "accept"):
        raise ValueError(f'already_frozen is {already_frozen!r}, not "error" or "accept"')
    check_seconds("timeout", timeout, *_ALLOWED)
    check_seconds("filesystem_timeout", filesystem_timeout, *_ALLOWED)
    check_paths("paths", paths)
    if not paths:
        raise ValueError("paths: empty; name the mount points to freeze, or globs over them")
    made = native_plan(include=paths, exclude=exclude)
    options = _core.FreezeOptions(
        limit=timeout,
        filesystem_budget=filesystem_timeout,
        accept_frozen=already_frozen == "accept",
    )
    return Freeze(_core.FreezeSession(_core.real_os(), None, made.filesystems, options))


class Freeze:
    """A freeze for the body of one `with` statement. `vmtpy.freeze()` makes it.

    Filesystems are frozen when the body is entered and thawed when it ends. Entering and leaving
    raise `vmtpy.FreezeError`, as freeze() says. Its attributes may be read by any thread.

    Attributes:
        frozen: everything is frozen at this moment.
        record: the `vmtpy.RunRecord`, what is known so far; complete after the body.
    """

    def __init__(self, session: _core.FreezeSession) -> None:
        self._session = session
        self._dont_write_bytecode = sys.dont_write_bytecode

    def __enter__(self) -> Freeze:
        # An import in the body that wrote its .pyc to a frozen filesystem would stop this program.
        sys.dont_write_bytecode = True
        try:
            self._session.start()
            self._wait(_core.Phase.FROZEN)
        except BaseException:
            self._end("interrupted while freezing")
            raise
        if not self.frozen:
            self._end("not frozen")
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
        """Everything is frozen at this moment."""
        return self._session.phase() == _core.Phase.FROZEN

    @property
    def record(self) -> RunRecord:
        """The `RunRecord`; what is known so far while the body runs."""
        return record_of(self._session.record())

    def _end(self, reason: str = "") -> None:
        """Thaws; returns when that is done, also if it is interrupted meanwhile."""
        if reason:
            self._session.abort(reason)
        else:
            self._session.release()
        # Not _wait(): a signal's handler, which may raise, has to wait for the last thaw.
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
