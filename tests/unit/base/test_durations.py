"""Durations on their way from Python: NaN, infinity and what no clock can hold are refused at once,
with the argument's name and what is allowed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

import vmtpy
from vmtpy import _core, _host, config
from vmtpy.cli import freeze as freeze_command
from vmtpy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

BAD = [math.nan, math.inf, -math.inf, -1.0, -1e-9, 1e10, 1e300]
AGENT = {"poll_min": 0.01, "poll_max": 0.5, "poll_busy": 0.002, "announce": [], "withdraw": []}


def agent_options(name: str) -> Callable[[float], object]:
    return lambda value: _core.AgentOptions(**{**AGENT, name: value})  # type: ignore[arg-type]


def session() -> _core.FreezeSession:
    disk = _host.SimulatedDisk(["/srv"])
    return _core.FreezeSession(disk, _host.ManualClock(), disk.filesystems())


def agent() -> _core.Agent:
    clock = _host.ManualClock()
    backdoor = _host.EmulatedBackdoor(_host.Device(clock))
    return _core.Agent(backdoor, clock, _core.AgentOptions(**AGENT))  # type: ignore[arg-type]


def transports(connect: float = 1.0) -> _core.Transports:
    dialer = _host.UnixDialer("@nobody")
    return _core.Transports(_core.AbsentBackdoor(), dialer, _host.ManualClock(), connect=connect)


CROSSINGS: dict[str, Callable[[float], object]] = {
    "timeout": lambda value: _core.FreezeOptions(timeout=value),
    "filesystem_timeout": lambda value: _core.FreezeOptions(filesystem_timeout=value),
    "presync_timeout": lambda value: _core.FreezeOptions(presync_timeout=value),
    "wait_for's timeout": lambda value: session().wait_for(_core.Phase.FROZEN, value),
    **{name: agent_options(name) for name in ("poll_min", "poll_max", "poll_busy")},
    **{
        name: agent_options(name)
        for name in ("watchdog", "patience", "patience_busy", "prepare_patience")
    },
    "next_event's timeout": lambda value: agent().next_event(value),
    "skip's timeout": lambda value: agent().skip(value),
    "connect": transports,
    "an Rpci's seconds": lambda value: _core.Rpci(transports()).set_patience(value),
    "a channel's seconds": lambda value: _core.VsockChannel(
        transports(), _core.Protocol.RPCI
    ).set_patience(value),
    "the manual clock's seconds": lambda value: _host.ManualClock().advance(value),
    "the deadline": lambda value: _host.Device(_host.ManualClock()).wait_for_tools(value),
    "the deadline of": lambda value: _host.Device(_host.ManualClock()).take_transcript(value),
}


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("what", CROSSINGS)
def test_no_such_duration_crosses(what: str, value: float) -> None:
    name = what.rsplit(maxsplit=1)[-1] if "of" not in what else "the deadline"
    with pytest.raises(ValueError, match=rf"{name} is .* s: it must be [0-9.]+ to [0-9.e+]+ s"):
        CROSSINGS[what](value)


@pytest.mark.parametrize("value", [*BAD, 0.0, 86401.0])
def test_a_freeze_is_refused_before_anything_is_frozen(
    value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"timeout is .*: it must be 0\.001 to 86400 seconds"):
        _core.FreezeOptions(timeout=value)
    with pytest.raises(SystemExit):
        freeze_command.main([f"--timeout={value}", "/nowhere", "--", "true"])
    assert "it must be 0.001 to 86400 seconds" in capsys.readouterr().err


DURATIONS = [
    (table, key)
    for table, default in vmtpy.Config._field_defaults.items()
    for key, value in default._asdict().items()
    if isinstance(value, float)
]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize(("table", "key"), DURATIONS)
def test_the_configuration_names_the_key_and_what_is_allowed(
    table: str, key: str, value: float
) -> None:
    with pytest.raises(ConfigError, match=rf"\[{table}\] {key} = .*seconds from [0-9.]+ to [0-9]"):
        config.parse({table: {key: value}}, "vmtpy.toml")
