"""A context manager as a hook: entered, held and left by a thread of its own, since database
drivers want to be left by the thread that entered them, and since Python code that hangs cannot be
killed, only left behind. Whatever it waits for, the other hooks and the backup do not wait with it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from vmtpy.hooks.hook import AbortedError, HookError

if TYPE_CHECKING:
    from vmtpy.hooks.hook import Call, Manager

LOOK = 0.02  # seconds between two looks at the clock and at the cancellation


class ContextHook:
    """Drives one context manager, a thread for each backup."""

    def __init__(self, name: str, manager: Manager) -> None:
        self.name = name
        self._manager = manager
        self._visit: _Visit | None = None

    def freeze(self, call: Call) -> None:
        if self._visit is not None and not self._visit.left.is_set():
            raise HookError(f"hook {self.name}: still busy with an earlier backup")
        deadline = call.clock() + call.timeout
        visit = self._visit = _Visit(self._manager)
        threading.Thread(target=visit.live, name=f"hook {self.name}", daemon=True).start()
        if not _wait(visit.entered, call, deadline) and visit.abandon():
            why = "cancelled" if call.cancelled() else f"not ready after {call.timeout:g} s"
            raise HookError(f"hook {self.name}: {why}")
        if not visit.held:
            raise HookError(f"hook {self.name}: {_text(visit.failure)}")

    def thaw(self, call: Call, *, aborted: bool) -> None:
        visit = self._visit
        if visit is None or not visit.held or visit.leaving:
            return  # leaving: an earlier backup has waited for it in vain, and freeze() said so
        deadline = call.clock() + call.timeout
        visit.leave(aborted=aborted)
        if not _wait(visit.left, call, deadline):
            raise HookError(f"hook {self.name}: not through {call.timeout:g} s after the thaw")
        if visit.failure is not None:
            raise HookError(f"hook {self.name} after the thaw: {_text(visit.failure)}")


class _Visit:
    """One backup's thread. Either `held` or abandoned, never both.

    Attributes:
        entered: it is held, or has failed.
        left: the thread has nothing more to do.
        failure: what the context manager raised, other than the AbortedError thrown into it.
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
        """The thread, from the entering to the leaving."""
        try:
            with self._manager():
                self._hold()
                self._leave.wait()
                if self._aborted:
                    raise AbortedError("the backup did not succeed")
        except AbortedError:
            pass
        except BaseException as error:  # SystemExit as well: nobody else would see it
            self.failure = error
        finally:
            self.entered.set()
            self.left.set()

    def _hold(self) -> None:
        with self._lock:
            if self._abandoned:
                raise AbortedError("the backup has ended without it")
            self.held = True
        self.entered.set()

    def abandon(self) -> bool:
        """Lets it go as soon as it has been entered. False if it is held, or has failed."""
        with self._lock:
            self._abandoned = not self.entered.is_set() and not self.held
            return self._abandoned

    @property
    def leaving(self) -> bool:
        """It has been asked to leave."""
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
