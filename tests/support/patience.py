"""How soon "at once" must be on this machine at this moment.

A machine with more to do than it has processors gives each process its turn later. The bounds are
those of an idle machine; where others run beside the tests they grow with the load that the kernel
counts. Both are far below what they tell apart: a thaw at a death, and one at the limit.
"""

from __future__ import annotations

import os


def at_once(seconds: float = 0.1) -> float:
    """The bound for what takes milliseconds: `seconds`, times the load where that is above one."""
    return seconds * max(1.0, os.getloadavg()[0])
