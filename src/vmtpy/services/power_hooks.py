"""Runs the administrator's programs for power operations, in /etc/vmtpy/power.d.

They run in the order of their names, each with the operation (halt, reboot, poweron, suspend,
resume) as its argument. The rules for files, owners and time limits are those of a backup's hooks.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY = "/etc/vmtpy/power.d"


def run_power_hooks(
    name: str, timeout: float, log: Callable[[str], None], directory: str = DIRECTORY
) -> list[str]:
    """Runs all hooks, even if one fails. Returns the errors.

    Args:
        name: the operation.
        timeout: seconds that one hook may take.
        log: called with each line of output.
        directory: the directory of the hooks; it need not exist.
    """
    if not os.path.lexists(directory):
        return []
    from vmtpy.hooks import Call, HookError
    from vmtpy.hooks.directory import scripts_in

    call = Call(timeout, "", lambda: False, log, time.monotonic)
    failures = []
    try:
        for script in scripts_in(directory, log):
            try:
                script.run(name, call)
            except HookError as error:
                failures.append(str(error))
    except HookError as error:  # an error of the directory
        failures.append(str(error))
    return failures
