"""The checks of `vmtpy doctor`: what would make a quiesced snapshot fail here, and the remedies.

machine.py checks the agent and the machine, kernel_features.py what the kernel lacks, storage.py
the filesystems and hooks. No check freezes, starts or changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: the name of the check, as "disks".
        level: "problem": a snapshot would fail or be incomplete; "note": information; "ok".
        text: one sentence.
        remedy: what to do about it, "" if nothing need be done.
    """

    check: str
    level: Level
    text: str
    remedy: str = ""
