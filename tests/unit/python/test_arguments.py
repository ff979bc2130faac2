"""What Python refuses before anything native is asked: plain errors that name the argument."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vmtpy
from vmtpy import _core, _host
from vmtpy.agent import Agent
from vmtpy.config import Config, HooksConfig, PollConfig, QuiesceConfig
from vmtpy.errors import ConfigError

ONE_PATH: list[Any] = ["/srv", b"/srv", Path("/srv")]


@pytest.mark.parametrize("path", ONE_PATH)
def test_a_single_path_is_no_list_of_paths(path: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=r"^paths: a list of paths, not one: "):
        vmtpy.freeze(path)
    with pytest.raises(TypeError, match=r"^exclude: a list of paths, not one: "):
        vmtpy.freeze(["/srv"], exclude=path)
    for name in ("include", "exclude", "volumes"):
        with pytest.raises(TypeError, match=rf"^{name}: a list of paths, not one: "):
            vmtpy.plan(**{name: path})


def test_what_is_no_path_is_named() -> None:
    wrong: list[Any] = ["/srv", 5]
    with pytest.raises(TypeError, match=r"^paths: a list of paths, but one is int: 5"):
        vmtpy.freeze(wrong)


def test_nothing_to_freeze_is_an_error_and_never_the_whole_machine() -> None:
    with pytest.raises(ValueError, match=r"^paths: empty; name the mount points"):
        vmtpy.freeze([])


def agent(config: Any) -> Agent:  # noqa: ANN401
    device = _host.Device(_core.SteadyClock())
    return Agent(config, backdoor=_host.EmulatedBackdoor(device), guardian=False)


@pytest.mark.parametrize(
    ("config", "error", "said"),
    [
        ({"quiesce": {}}, TypeError, "^config: a vmtpy.Config, not dict"),
        (Config(quiesce={"timeout": 5}), TypeError, "^Config.quiesce: a QuiesceConfig, not dict"),
        (Config(hooks=QuiesceConfig()), TypeError, "^Config.hooks: a HooksConfig, not Quiesce"),
        (
            Config(quiesce=QuiesceConfig(timeout=-1)),
            ConfigError,
            "^Config.quiesce timeout = -1: must be a number of seconds from 0.1 to 240",
        ),
        (
            Config(quiesce=QuiesceConfig(timeout=float("inf"))),
            ConfigError,
            "^Config.quiesce timeout = inf: must be a number of seconds from 0.1 to 240",
        ),
        (Config(quiesce=QuiesceConfig(include="/srv")), ConfigError, "include = '/srv': must be a"),
        (Config(poll=PollConfig(busy="fast")), ConfigError, "^Config.poll busy = 'fast': must be"),
        (Config(hooks=HooksConfig(legacy="no")), ConfigError, "legacy = 'no': must be true or"),
    ],
)
def test_a_configuration_made_by_a_program_is_checked_like_a_file(
    config: Any,  # noqa: ANN401
    error: type[Exception],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        agent(config)


def test_a_configuration_of_good_values_is_taken() -> None:
    agent(Config(quiesce=QuiesceConfig(timeout=5, include=("/srv",)), poll=PollConfig(max=0.5)))
