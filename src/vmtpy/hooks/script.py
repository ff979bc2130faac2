"""An executable as a hook: PATH freeze|thaw|freezeFail [ARGUMENT], as in open-vm-tools."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from vmtpy.hooks.hook import HookError
from vmtpy.hooks.interpreter import interpreter_trouble
from vmtpy.hooks.process import Ending, Process
from vmtpy.hooks.trust import distrust

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy.hooks.hook import Call


class Script:
    """One hook for one backup.

    Args:
        name: the name in messages and in [hooks] optional.
        freeze_path: the executable that is run before the freeze; "" for none.
        thaw_path: the executable that is run after the thaw, mostly the same; "" for none.
    """

    def __init__(self, name: str, freeze_path: str, thaw_path: str) -> None:
        self.name = name
        self._freeze_path = freeze_path
        self._thaw_path = thaw_path
        self._asked = False
        self._left: Process | None = None  # of freeze(); its background processes may still write

    def freeze(self, call: Call) -> None:
        if self._freeze_path:
            self._check(self._freeze_path)
        self._asked = True
        if self._freeze_path:
            self._left = self._run(self._freeze_path, "freeze", call, call.cancelled)

    def thaw(self, call: Call, *, aborted: bool) -> None:
        try:
            if self._asked and self._thaw_path:
                self._check(self._thaw_path)
                phase = "freezeFail" if aborted else "thaw"
                self._end(self._run(self._thaw_path, phase, call, lambda: False), phase, call)
        finally:
            if self._left is not None:
                self._end(self._left, "freeze", call)
                self._left = None

    def run(self, phase: str, call: Call) -> None:
        """Runs the executable with another first argument than freeze or thaw.

        Raises:
            HookError: the executable failed, took too long or could be changed by others.
        """
        self._check(self._freeze_path)
        self._end(self._run(self._freeze_path, phase, call, call.cancelled), phase, call)

    def _check(self, path: str) -> None:
        try:
            reason = distrust(path)
            trouble = interpreter_trouble(path)
        except OSError as error:
            raise HookError(f"hook {path}: {error.strerror}") from error
        if reason:
            raise HookError(f"hook {path} is refused: {reason}")
        if trouble:
            raise HookError(f"hook {path}: {trouble}")

    def _run(self, path: str, phase: str, call: Call, cancelled: Callable[[], bool]) -> Process:
        arguments = [phase, call.argument] if call.argument else [phase]
        try:
            process = Process(path, arguments)
        except (OSError, ValueError) as error:  # ValueError: the host's argument contains NUL
            raise HookError(f"hook {self.name} {phase}: {error}") from error
        deadline = call.clock() + call.timeout
        try:
            ending = process.wait(lambda: cancelled() or call.clock() >= deadline)
        except ChildProcessError as error:
            process.rest()
            raise HookError(
                f"hook {self.name} {phase} has ended, but its exit code is unknown, because this "
                "process ignores SIGCHLD or another part of it has waited for the hook"
            ) from error
        for line in process.lines():
            call.log(f"hook {self.name} {phase}: {line}")
        failure = _failure(ending, process.status, call, cancelled)
        if failure:
            said = next((f": {line}" for line in process.lines() if line), "")
            process.rest()
            raise HookError(f"hook {self.name} {phase} {failure}{said}")
        return process

    def _end(self, process: Process, phase: str, call: Call) -> None:
        """Logs the output of background processes."""
        for line in process.rest():
            call.log(f"hook {self.name} {phase}: {line}")


def _failure(ending: Ending, status: int, call: Call, cancelled: Callable[[], bool]) -> str:
    if ending is Ending.STOPPED:
        if cancelled():
            return "was cancelled with the backup"
        return f"was killed after {call.timeout:g} s"
    if ending is Ending.STUCK:
        return f"did not end after {call.timeout:g} s and SIGKILL"
    if os.WIFSIGNALED(status):
        return f"was killed by {_signal(os.WTERMSIG(status))}"
    code = os.waitstatus_to_exitcode(status)
    return f"failed with exit code {code}" if code else ""


def _signal(number: int) -> str:
    """The name of a signal, or its number, since most real-time signals have no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
