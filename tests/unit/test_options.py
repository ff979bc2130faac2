"""Set_Option: known keys, bad values, missing values, unknown keys."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from support.emulated import EmulatedHost

from vmtpy import Agent
from vmtpy.services.options import Options, switch

BAD = b"ERROR Unknown or invalid option"


@pytest.mark.parametrize(
    ("arguments", "answer", "seen"),
    [
        ("broadcastIP 1", b"OK ", ["1"]),
        ("broadcastIP 0", b"OK ", ["0"]),
        ("broadcastIP", BAD, [""]),
        ("broadcastIP ", BAD, [""]),
        ("broadcastIP  1", BAD, [" 1"]),
        ("broadcastIP 1 2", BAD, ["1 2"]),
        ("broadcastip 1", BAD, []),
        ("copypaste 1", BAD, []),
        ("", BAD, []),
        (" 1", BAD, []),
        ("\udcff 1", BAD, []),
    ],
)
def test_set_option(arguments: str, answer: bytes, seen: list[str]) -> None:
    values: list[str] = []

    def handler(value: str) -> bool:
        values.append(value)
        return switch(value) is not None

    assert Options({"broadcastIP": handler}).set(arguments) == answer
    assert values == seen


def test_an_agent_that_never_runs_leaves_nothing_open() -> None:
    def descriptors() -> set[str]:
        return {entry.name for entry in Path("/proc/self/fd").iterdir()}

    before = descriptors()
    agent = Agent(backdoor=EmulatedHost().backdoor)
    assert agent.status()
    del agent
    gc.collect()
    assert descriptors() == before
