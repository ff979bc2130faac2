"""Checks /sys/kernel/rcu_expedited, which belongs to the whole machine.

Another program that freezes may set it for a moment, so tests wait until it is restored. A test
that must know the exact value gives the agent its own switch.
"""

from __future__ import annotations

import time
from pathlib import Path

from support.loop import require_program
from support.patience import PATIENCE

RCU = Path("/sys/kernel/rcu_expedited")


def own_switch(file: Path) -> list[str]:
    """The words in front of a command that make `file` its switch."""
    require_program("unshare")
    return ["unshare", "--mount", "sh", "-c", f'mount --bind "$0" {RCU} && exec "$@"', str(file)]


def await_rcu_restored(timeout: float = PATIENCE) -> None:
    """Waits until the switch is off. Raises AssertionError if it stays on."""
    deadline = time.monotonic() + timeout
    while RCU.read_text() != "0\n":
        assert time.monotonic() < deadline, f"{RCU} is still {RCU.read_text()}"
        time.sleep(0.01)
