"""/sys/kernel/rcu_expedited, which belongs to the whole machine: whoever freezes beside the tests
may have it set for a moment, so that it is back is awaited. Who must know it exactly gives the
agent a switch of its own.
"""

from __future__ import annotations

import time
from pathlib import Path

from support.loop import require_program
from support.patience import PATIENCE

RCU = Path("/sys/kernel/rcu_expedited")


def own_switch(file: Path) -> list[str]:
    """Words in front of a command, for which `file` is the switch."""
    require_program("unshare")
    return ["unshare", "--mount", "sh", "-c", f'mount --bind "$0" {RCU} && exec "$@"', str(file)]


def await_rcu_restored(timeout: float = PATIENCE) -> None:
    """Waits until the switch is off. Raises AssertionError if it stays on."""
    deadline = time.monotonic() + timeout
    while RCU.read_text() != "0\n":
        assert time.monotonic() < deadline, f"{RCU} is still {RCU.read_text()}"
        time.sleep(0.01)
