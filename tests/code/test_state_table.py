"""ARCHITECTURE.md shows the backup machine's table as it is.

`VMTPY_WRITE_DOCS=1 pytest tests/code/test_state_table.py` writes it anew.
"""

from __future__ import annotations

import os
from pathlib import Path

from vmtpy import _core

FILE = Path(__file__).parent.parent.parent / "ARCHITECTURE.md"
BEGIN, END = "<!-- state table -->\n", "<!-- end of state table -->\n"


def render() -> str:
    """Events down, states across; where an event has no place, nothing happens."""
    states = list(_core.BackupState.__members__.values())
    lines = ["| in: | " + " | ".join(state.name for state in states) + " |"]
    lines.append("|---" * (len(states) + 1) + "|")
    for event in _core.BackupEvent.__members__.values():
        found = [_core.backup_edge(state, event) for state in states]
        cells = [one.name if one is not None else "·" for one in found]
        lines.append(f"| **{event.name}** | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def test_the_table_in_the_architecture_is_the_machines() -> None:
    before, rest = FILE.read_text().split(BEGIN)
    table, after = rest.split(END)
    if os.environ.get("VMTPY_WRITE_DOCS"):
        FILE.write_text(before + BEGIN + render() + END + after)
        return
    assert table == render()
