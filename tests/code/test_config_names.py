"""A value of the configuration has one name: in the file, in Python, at the border, and in C++."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmtpy import _core
from vmtpy.config import PollConfig, QuiesceConfig

CSRC = Path(__file__).parents[2] / "csrc"

# The keys that go to the core: the class that takes them there, the header of its C++ twin, and
# what stands before the key, where one class takes several tables.
PLAN = (_core.PlanRequest, "plan/filesystem.h", "")
FREEZE = (_core.FreezeOptions, "freeze/freeze_options.h", "")
POLL = (_core.AgentOptions, "agent/host_conversation.h", "poll_")
KEYS = [
    *((key, PLAN if key in ("include", "exclude") else FREEZE) for key in QuiesceConfig._fields),
    *((key, POLL) for key in PollConfig._fields),
]


@pytest.mark.parametrize(("key", "where"), KEYS)
def test_a_key_is_called_the_same_in_the_core(key: str, where: tuple[type, str, str]) -> None:
    native, header, table = where
    assert re.search(rf"\b{table}{key}: ", native.__init__.__doc__ or "")
    assert re.search(rf"^ +\S.* {table}{key}\b[^(]*[;=]", (CSRC / header).read_text(), re.M)


@pytest.mark.parametrize("key", ["timeout", "filesystem_timeout", "already_frozen"])
def test_an_argument_of_freeze_is_called_as_the_key(key: str) -> None:
    import inspect

    import vmtpy

    parameter = inspect.signature(vmtpy.freeze).parameters[key]
    assert parameter.default == QuiesceConfig._field_defaults[key]
