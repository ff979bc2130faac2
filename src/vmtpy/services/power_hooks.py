"""Programs of the administrator that run at power operations: /etc/vmtpy/power.d.

Each is called with the operation's name (halt, reboot, poweron, suspend, resume), in the order of
their names. What counts as one, whom it must belong to and how its time is limited is as for the
hooks of a backup.
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
    """Runs all hooks, whether or not one fails. Returns the failures' texts.

    Args:
        name: of the operation.
        timeout: seconds that one may take.
        log: called with what they say.
        directory: where they are; none if it does not exist.
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
    except HookError as error:  # the directory's own
        failures.append(str(error))
    return failures
