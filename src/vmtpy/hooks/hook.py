"""What a hook is, what it is called with, and how it fails. For all modules of this package."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

from vmtpy.errors import VmtError

Manager = Callable[[], AbstractContextManager[object]]
ManagerT = TypeVar("ManagerT", bound=Manager)


class HookError(VmtError):
    """A hook failed, took too long, is not trusted or was cancelled; the text names it."""


class AbortedError(VmtError):
    """Thrown into the context managers that are held open when the backup did not succeed."""


class Call(NamedTuple):
    """What a hook is called with.

    Attributes:
        timeout: seconds that it may take.
        argument: the host's script argument, "" if it gave none.
        cancelled: says whether the backup has been given up meanwhile.
        log: takes a line for the log.
        clock: seconds; counts the timeout.
    """

    timeout: float
    argument: str
    cancelled: Callable[[], bool]
    log: Callable[[str], None]
    clock: Callable[[], float]


class Hook(Protocol):
    """One hook. Both methods raise HookError."""

    @property
    def name(self) -> str: ...
    def freeze(self, call: Call) -> None: ...
    def thaw(self, call: Call, *, aborted: bool) -> None:
        """Called after each freeze(), also one that failed."""
