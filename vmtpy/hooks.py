"""What the guest does around a freeze: context managers, entered before the first filesystem is
frozen and left after the last has thawed, never in between.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

from vmtpy.errors import VmtError

Hook = Callable[[], AbstractContextManager[object]]
HookT = TypeVar("HookT", bound=Hook)


class HookError(VmtError):
    """A hook failed; the text names it."""


class AbortedError(VmtError):
    """Thrown into the hooks that are held open when the backup did not succeed."""


class Hooks:
    """The hooks of an agent, and those of them that are held open."""

    def __init__(self) -> None:
        self._hooks: list[Hook] = []
        self._open = ExitStack()

    def add(self, hook: HookT) -> HookT:
        self._hooks.append(hook)
        return hook

    def freeze(self) -> None:
        """Enters all hooks in the order in which they were added.

        Raises:
            HookError: one failed; those already entered have been left again.
        """
        for hook in self._hooks:
            try:
                self._open.enter_context(hook())
            except Exception as error:
                self.thaw(aborted=True)
                raise HookError(f"hook {_name(hook)}: {error}") from error

    def thaw(self, *, aborted: bool) -> list[str]:
        """Leaves them in reverse order, whether or not one fails. Returns the failures' texts.

        With `aborted`, each sees an `AbortedError` exception at its `yield`.
        """
        failures = []
        held, self._open = self._open.pop_all(), ExitStack()
        error = AbortedError("the backup did not succeed") if aborted else None
        try:
            held.__exit__(type(error) if error else None, error, None)
        except AbortedError:
            pass
        except Exception as failure:
            failures.append(f"hook: {failure}")
        return failures


def _name(hook: Hook) -> str:
    return getattr(hook, "__qualname__", repr(hook))
