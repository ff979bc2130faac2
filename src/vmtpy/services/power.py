"""The host's power operations: runs the hooks, reports, answers, and then runs the command.

OS_Halt and OS_Reboot run a command of the configuration after the host has the answer; OS_PowerOn,
OS_Suspend and OS_Resume only run hooks. The answer is always OK, and the report before it tells the
host the result. If a hook fails, the first request stops with status 0; when the host repeats the
request, it goes ahead with status 1. The texts are those of open-vm-tools'
services/plugins/powerOps and OpenBSD's vmt(4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmtpy.config import PowerConfig
    from vmtpy.services.rpc import Rpc

# command → (the state in the report, the argument of the hooks)
OPERATIONS = {
    "OS_Halt": (1, "halt"),
    "OS_Reboot": (2, "reboot"),
    "OS_PowerOn": (3, "poweron"),
    "OS_Resume": (4, "resume"),
    "OS_Suspend": (5, "suspend"),
}
OK = b"OK "
COMMAND_TIMEOUT = 30.0


class Power:
    """Answers the power commands.

    Args:
        config: the commands that halt and reboot.
        rpc: sends the report.
        hooks: called with "halt", "reboot" or the like; runs hooks and returns their errors.
        settled: called with the number of a request when its hooks and its command have ended.
        log: called with lines for the log.
    """

    def __init__(
        self,
        config: PowerConfig,
        rpc: Rpc,
        hooks: Callable[[str], list[str]],
        settled: Callable[[int], None],
        log: Callable[[str], None],
    ) -> None:
        self.configure(config)
        self._rpc = rpc
        self._hooks = hooks
        self._settled = settled
        self._log = log
        self._failed = ""  # the request whose hook failed; it goes ahead when it is repeated
        self._due: dict[int, str] = {}  # number of a request → operation to run after the answer

    def configure(self, config: PowerConfig) -> None:
        """Takes new commands."""
        self._actions = {"OS_Halt": config.halt, "OS_Reboot": config.reboot}

    def request(self, name: str, number: int) -> bytes:
        """Runs the hooks and reports. Returns the answer; answered() then runs the command."""
        state, hook = OPERATIONS[name]
        try:
            failures = self._hooks(hook)
        except Exception as error:  # the host waits for a report in any case
            failures = [f"the hooks could not be run: {type(error).__name__}: {error}"]
        for failure in failures:
            self._log(f"{name}: {failure}")
        again = self._failed == name
        self._failed = name if failures and not again else ""
        report = f"tools.os.statechange.status {int(not self._failed)} {state}"
        self._rpc.tell(report.encode(), f"the report of {name}")
        if self._failed:
            self._log(f"{name} was stopped, because a hook failed; a repeated request goes ahead")
        if name in self._actions and not self._failed:
            self._due[number] = name
        else:
            self._settled(number)
        return OK

    def answered(self, number: int) -> None:
        """Runs the command of a request, now that the host has the answer."""
        name = self._due.pop(number, "")
        if name:
            self._log(f"{name}: {' '.join(self._actions[name])}")
            try:
                self._run(self._actions[name])
            finally:
                self._settled(number)

    def _run(self, command: Sequence[str]) -> None:
        import subprocess

        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=COMMAND_TIMEOUT,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self._log(f"{command[0]}: {error}")
            return
        if done.returncode != 0:
            output = done.stdout[-500:].decode("utf-8", "backslashreplace").strip()
            self._log(f"{command[0]} failed with exit code {done.returncode}: {output}")
