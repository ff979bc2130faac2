"""ARCHITECTURE.md shows the tables that decide as they are.

`VMTPY_WRITE_DOCS=1 pytest tests/code/test_tables.py` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vmtpy import _core

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = Path(__file__).parent.parent.parent / "ARCHITECTURE.md"


def states() -> str:
    """The backup machine. Events down, states across; "·": the event has no place there."""
    states = list(_core.BackupState.__members__.values())
    lines = ["| in: | " + " | ".join(state.name for state in states) + " |"]
    lines.append("|---" * (len(states) + 1) + "|")
    for event in _core.BackupEvent.__members__.values():
        found = [_core.backup_edge(state, event) for state in states]
        cells = [one.name if one is not None else "·" for one in found]
        lines.append(f"| **{event.name}** | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def choices() -> str:
    """The way to the host. Preferences down, how vsock stands across."""
    vsock = list(_core.VsockState.__members__.values())
    head = ["preference", "backdoor", *(f"vsock {one.name}" for one in vsock), "connects by itself"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for preference in _core.Preference.__members__.values():
        for backdoor in (True, False):
            found = [_core.choose_transport(preference, backdoor, one).name for one in vsock]
            wants = "yes" if _core.wants_vsock(preference, backdoor) else "no"
            row = [f"**{preference.name}**", "yes" if backdoor else "no", *found, wants]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("name", "table"), [("state", states), ("choice", choices)])
def test_the_table_in_the_architecture_is_the_cores(name: str, table: Callable[[], str]) -> None:
    begin, end = f"<!-- {name} table -->\n", f"<!-- end of {name} table -->\n"
    before, rest = FILE.read_text().split(begin)
    shown, after = rest.split(end)
    if os.environ.get("VMTPY_WRITE_DOCS"):
        FILE.write_text(before + begin + table() + end + after)
        return
    assert shown == table()
