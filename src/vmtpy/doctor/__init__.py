"""What would keep a quiesced snapshot from working here, each with its remedy.

machine.py looks at the agent and the machine, storage.py at filesystems and hooks. Nothing is
frozen, started or changed to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: a word for what was looked at.
        level: "problem": a snapshot would fail, or not be what it should; "note": good to know.
        text: one sentence.
        remedy: what to do, "" if nothing need be done.
    """

    check: str
    level: Level
    text: str
    remedy: str = ""
