"""The interface of a hook, its arguments and its errors, for all modules of this package."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

from vmtpy.errors import VmtError

Manager = Callable[[], AbstractContextManager[object]]
ManagerT = TypeVar("ManagerT", bound=Manager)


class HookError(VmtError):
    """A hook failed, took too long, could be changed by others or was cancelled.

    The text names the hook.
    """


class AbortedError(VmtError):
    """The backup failed. It is raised at the `yield` of each context manager that is held open."""


class Call(NamedTuple):
    """The arguments of a hook.

    Attributes:
        timeout: how many seconds the hook may take.
        argument: the host's script argument; "" if the host gave none.
        cancelled: returns whether the backup has been cancelled.
        log: writes a line to the log.
        clock: returns the time in seconds by which the timeout is measured.
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
        """Called after each freeze(), even after one that failed."""
