"""A context manager as a hook: one thread for each backup enters, holds and leaves it.

Database drivers require that the thread that entered a context also leaves it. Python code that
hangs cannot be killed, but its thread can be abandoned, so that the backup and the other hooks go
on.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from vmtpy.hooks.hook import AbortedError, HookError

if TYPE_CHECKING:
    from vmtpy.hooks.hook import Call, Manager

LOOK = 0.02  # seconds between two checks of the time limit and of the cancellation


class ContextHook:
    """Runs one context manager as a hook, in a new thread for each backup."""

    def __init__(self, name: str, manager: Manager) -> None:
        self.name = name
        self._manager = manager
        self._visit: _Visit | None = None

    def freeze(self, call: Call) -> None:
        if self._visit is not None and not self._visit.left.is_set():
            raise HookError(f"hook {self.name} is still busy with an earlier backup")
        deadline = call.clock() + call.timeout
        visit = self._visit = _Visit(self._manager)
        try:
            threading.Thread(target=visit.live, name=f"hook {self.name}", daemon=True).start()
        except Exception as error:  # no thread lives, so nobody would ever end this visit
            self._visit = None
            raise HookError(f"hook {self.name}: {error}") from error
        if not _wait(visit.entered, call, deadline) and visit.abandon():
            why = f"was not ready after {call.timeout:g} s"
            if call.cancelled():
                why = "was cancelled with the backup"
            raise HookError(f"hook {self.name} {why}")
        if not visit.held:
            raise HookError(f"hook {self.name}: {_text(visit.failure)}")

    def thaw(self, call: Call, *, aborted: bool) -> None:
        visit = self._visit
        if visit is None or not visit.held or visit.leaving:
            return  # `leaving`: an earlier backup waited in vain, and freeze() has reported that
        deadline = call.clock() + call.timeout
        visit.leave(aborted=aborted)
        if not _wait(visit.left, call, deadline):
            raise HookError(f"hook {self.name} had not ended {call.timeout:g} s after the thaw")
        if visit.failure is not None:
            raise HookError(f"hook {self.name} after the thaw: {_text(visit.failure)}")


class _Visit:
    """The thread of one backup, and its state. A visit is either `held` or abandoned, never both.

    Attributes:
        entered: set when the context manager has been entered or has failed.
        left: set when the thread ends.
        held: whether the context manager is entered and the backup knows that.
        failure: the exception of the context manager, except the AbortedError of this class.
    """

    def __init__(self, manager: Manager) -> None:
        self.entered = threading.Event()
        self.left = threading.Event()
        self.held = False
        self.failure: BaseException | None = None
        self._manager = manager
        self._abandoned = False
        self._aborted = False
        self._leave = threading.Event()
        self._lock = threading.Lock()

    def live(self) -> None:
        """Runs in the thread: enters the context manager, waits and leaves it."""
        try:
            with self._manager():
                self._hold()
                self._leave.wait()
                if self._aborted:
                    raise AbortedError("the backup did not succeed")
        except AbortedError as error:
            if not (self._aborted or self._abandoned):  # it is the hook's own
                self.failure = error
        except BaseException as error:  # also SystemExit, which would end only this thread
            self.failure = error
        finally:
            self.entered.set()
            self.left.set()

    def _hold(self) -> None:
        with self._lock:
            if self._abandoned:
                raise AbortedError("the backup did not wait for this hook")
            self.held = True
        self.entered.set()

    def abandon(self) -> bool:
        """Makes the thread leave the context manager as soon as it has entered it.

        Returns:
            False if the context manager is held or has failed, and is not abandoned.
        """
        with self._lock:
            self._abandoned = not self.entered.is_set() and not self.held
            return self._abandoned

    @property
    def leaving(self) -> bool:
        """Whether leave() has been called."""
        return self._leave.is_set()

    def leave(self, *, aborted: bool) -> None:
        self._aborted = aborted
        self._leave.set()


def _wait(event: threading.Event, call: Call, deadline: float) -> bool:
    while not event.wait(LOOK):
        if call.clock() >= deadline or call.cancelled():
            return False
    return True


def _text(failure: BaseException | None) -> str:
    return str(failure) or type(failure).__name__
