"""What becomes of the host's options: known keys, bad values, missing values, unknown keys."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from support.emulated import EmulatedHost

from vmtpy import Agent
from vmtpy.services.options import Options, switch


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ("broadcastIP 1", ["1"]),
        ("broadcastIP 0", ["0"]),
        ("broadcastIP", [""]),
        ("broadcastIP ", [""]),
        ("broadcastIP  1", [" 1"]),
        ("broadcastIP 1 2", ["1 2"]),
        ("broadcastip 1", []),
        ("copypaste 1", []),
        ("", []),
        (" 1", []),
        ("\udcff 1", []),
    ],
)
def test_only_its_handler_sees_an_option(arguments: str, seen: list[str]) -> None:
    values: list[str] = []
    lines: list[str] = []

    def handler(value: str) -> bool:
        values.append(value)
        return switch(value) is not None

    Options({"broadcastIP": handler}, lines.append).set(arguments)
    assert values == seen
    good = not seen or seen[0] in {"0", "1"}
    assert len(lines) == (0 if good else 1)


def test_a_bad_value_is_logged_once_for_each_option() -> None:
    lines: list[str] = []
    options = Options({"a": lambda _: False, "b": lambda _: False}, lines.append)
    for arguments in ("a x", "a y", "b z"):
        options.set(arguments)
    assert lines == [
        "the host sets a to 'x', which is not allowed and was ignored",
        "the host sets b to 'z', which is not allowed and was ignored",
    ]


def test_an_agent_that_never_runs_leaves_nothing_open() -> None:
    def descriptors() -> set[str]:
        return {entry.name for entry in Path("/proc/self/fd").iterdir()}

    gc.collect()  # what earlier tests have left is not this one's
    before = descriptors()
    agent = Agent(backdoor=EmulatedHost().backdoor)
    assert agent.status()
    del agent
    gc.collect()
    assert descriptors() <= before  # an earlier test's may still be closed
