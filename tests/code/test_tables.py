"""ARCHITECTURE.md shows the tables that decide as they are.

`VMTPY_WRITE_DOCS=1 pytest tests/code/test_tables.py` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from vmtpy import _core

if TYPE_CHECKING:
    import enum
    from collections.abc import Callable, Iterable

    _State = TypeVar("_State", bound=enum.Enum)
    _Event = TypeVar("_Event", bound=enum.Enum)

FILE = Path(__file__).parent.parent.parent / "ARCHITECTURE.md"


def machine(
    states: Iterable[_State],
    events: Iterable[_Event],
    edge: Callable[[_State, _Event], _State | None],
) -> str:
    """Events down, states across; "·": the event has no place there."""
    states = list(states)
    lines = ["| in: | " + " | ".join(state.name for state in states) + " |"]
    lines.append("|---" * (len(states) + 1) + "|")
    for event in events:
        followers = [edge(state, event) for state in states]
        cells = [state.name if state is not None else "·" for state in followers]
        lines.append(f"| **{event.name}** | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def states() -> str:
    """The backup machine."""
    return machine(
        _core.BackupState,
        _core.BackupEvent,
        _core.backup_edge,
    )


def conversation() -> str:
    """The conversation with the host."""
    return machine(
        _core.ConversationState,
        _core.ConversationEvent,
        _core.conversation_edge,
    )


def choices() -> str:
    """The way to the host. Preferences down, how vsock stands across."""
    vsock = list(_core.VsockState)
    head = ["preference", "backdoor", *(f"vsock {one.name}" for one in vsock), "connects by itself"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for preference in _core.Preference:
        for backdoor in (True, False):
            found = [_core.choose_transport(preference, backdoor, one).name for one in vsock]
            wants = "yes" if _core.wants_vsock(preference, backdoor) else "no"
            row = [f"**{preference.name}**", "yes" if backdoor else "no", *found, wants]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("name", "table"),
    [("state", states), ("conversation", conversation), ("choice", choices)],
)
def test_the_table_in_the_architecture_is_the_cores(name: str, table: Callable[[], str]) -> None:
    begin, end = f"<!-- {name} table -->\n", f"<!-- end of {name} table -->\n"
    before, rest = FILE.read_text().split(begin)
    shown, after = rest.split(end)
    if os.environ.get("VMTPY_WRITE_DOCS"):
        FILE.write_text(before + begin + table() + end + after)
        return
    assert shown == table()
