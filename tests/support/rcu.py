"""/sys/kernel/rcu_expedited, which belongs to the whole machine: whoever freezes beside the tests
may have it set for a moment, so that it is back is awaited.
"""

from __future__ import annotations

import time
from pathlib import Path

from support.patience import PATIENCE

RCU = Path("/sys/kernel/rcu_expedited")


def await_rcu_restored(timeout: float = PATIENCE) -> None:
    """Waits until the switch is off. Raises AssertionError if it stays on."""
    deadline = time.monotonic() + timeout
    while RCU.read_text() != "0\n":
        assert time.monotonic() < deadline, f"{RCU} is still {RCU.read_text()}"
        time.sleep(0.01)
