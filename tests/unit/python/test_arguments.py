"""What Python refuses before anything native is asked: plain errors that name the argument."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

import vmtpy
from vmtpy import _core, _host
from vmtpy.agent import Agent
from vmtpy.config import Config, HooksConfig, PollConfig, QuiesceConfig
from vmtpy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_PATH: list[Any] = ["/srv", b"/srv", Path("/srv")]


@pytest.mark.parametrize("path", ONE_PATH)
def test_a_single_path_is_no_list_of_paths(path: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=r"^paths must be a list of paths, not a single path: "):
        vmtpy.freeze(path)
    with pytest.raises(TypeError, match=r"^exclude must be a list of paths, not a single path: "):
        vmtpy.freeze(["/srv"], exclude=path)
    for name in ("include", "exclude", "volumes"):
        with pytest.raises(
            TypeError, match=rf"^{name} must be a list of paths, not a single path: "
        ):
            vmtpy.plan(**{name: path})


def test_what_is_no_path_is_named() -> None:
    wrong: list[Any] = ["/srv", 5]
    with pytest.raises(TypeError, match=r"^paths must be a list of paths, but it contains int: 5"):
        vmtpy.freeze(wrong)


def test_nothing_to_freeze_is_an_error_and_never_the_whole_machine() -> None:
    with pytest.raises(ValueError, match=r"^paths is empty: name the mount points"):
        vmtpy.freeze([])


WRONG_TYPES: dict[str, Callable[[], Any]] = {
    "paths must be a list of paths, not int": lambda: vmtpy.freeze(cast("Any", 5)),
    "timeout must be a number of seconds, not str": lambda: vmtpy.freeze(
        ["/srv"], cast("Any", "5")
    ),
    "timeout must be a number of seconds, not bool": lambda: vmtpy.freeze(["/srv"], timeout=True),
    "filesystem_timeout must be a number of seconds, not NoneType": lambda: vmtpy.freeze(
        ["/srv"], filesystem_timeout=cast("Any", None)
    ),
    "include must be a list of paths, not int": lambda: vmtpy.plan(cast("Any", 5)),
    "volumes must be a list of paths, but it contains NoneType": lambda: vmtpy.plan(
        volumes=[cast("Any", None)]
    ),
    "backdoor must be a backdoor or None, not str": lambda: vmtpy.probe(cast("Any", "port")),
    "backdoor must be a backdoor or None, not int": lambda: vmtpy.Rpci(cast("Any", 5)),
    "dialer must be a dialer or None, not int": lambda: vmtpy.Rpci(dialer=cast("Any", 5)),
    "request must be bytes, not str": lambda: rpci().call(cast("Any", "info-get k")),
    "backdoor must be a backdoor or None, not bytes": lambda: vmtpy.hardware.read(cast("Any", b"")),
    "backdoor must be a backdoor or None, not float": lambda: vmtpy.hardware.host_time(
        cast("Any", 1.0)
    ),
    "key must be str or bytes, not int": lambda: vmtpy.guestinfo.get(cast("Any", 5)),
    "key must be str or bytes, not NoneType": lambda: vmtpy.guestinfo[cast("Any", None)],
    "value must be str or bytes, not int": lambda: vmtpy.guestinfo.set("k", cast("Any", 42)),
    "value must be str or bytes, not NoneType": lambda: vmtpy.guestinfo.set("k", cast("Any", None)),
    "key must be str or bytes, not list": lambda: vmtpy.guestinfo.redact(cast("Any", [])),
    "key must be str or bytes, not tuple": lambda: vmtpy.guestinfo.watch(cast("Any", ())),
    "interval must be a number of seconds, not str": lambda: vmtpy.guestinfo.watch(
        "k", cast("Any", "1")
    ),
    "rpci must be a vmtpy.Rpci or None, not int": lambda: vmtpy.guestinfo.get(
        "k", rpci=cast("Any", 5)
    ),
    "encoding must be str, not bytes": lambda: vmtpy.guestinfo.set(
        "k", "v", cast("Any", b"base64")
    ),
    "manager must be a function that returns a context manager, not int": lambda: agent(
        Config()
    ).hook(cast("Any", 5)),
    "stop_on must be a list of signals, not int": lambda: agent(Config()).run(cast("Any", 15)),
    "reload_on must be a list of signals, but it contains str": lambda: agent(Config()).run(
        reload_on=[cast("Any", "HUP")]
    ),
}
WRONG_VALUES: dict[str, Callable[[], Any]] = {
    "paths: a path must not contain NUL": lambda: vmtpy.freeze(["/s\0rv"]),
    "timeout is 0 s: it must be 0.001 to 86400": lambda: vmtpy.freeze(["/srv"], 0),
    "timeout is nan s: it must be": lambda: vmtpy.freeze(["/srv"], float("nan")),
    "filesystem_timeout is inf s: it must be": lambda: vmtpy.freeze(
        ["/srv"], filesystem_timeout=float("inf")
    ),
    "already_frozen is 'no', not": lambda: vmtpy.freeze(["/srv"], already_frozen="no"),
    "transport must be one of auto, vsock, port, hypercall, not 'tcp'": lambda: vmtpy.Rpci(
        transport=cast("Any", "tcp")
    ),
    "transport must be one of auto, vsock, port, hypercall, not 5": lambda: vmtpy.Rpci(
        transport=cast("Any", 5)
    ),
    "interval is -1 s: it must be 0 to 86400": lambda: vmtpy.guestinfo.watch("k", -1),
}


@pytest.mark.parametrize("said", WRONG_TYPES)
def test_another_type_is_a_type_error_that_names_the_argument(said: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(said)}"):
        WRONG_TYPES[said]()


@pytest.mark.parametrize("said", WRONG_VALUES)
def test_a_value_out_of_range_is_a_value_error_that_names_the_argument(said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        WRONG_VALUES[said]()


def rpci() -> vmtpy.Rpci:
    return vmtpy.Rpci(_host.EmulatedBackdoor(_host.Device(_core.SteadyClock())))


def agent(config: Any) -> Agent:  # noqa: ANN401
    device = _host.Device(_core.SteadyClock())
    return Agent(config, backdoor=_host.EmulatedBackdoor(device), guardian=False)


@pytest.mark.parametrize(
    ("config", "error", "said"),
    [
        ({"quiesce": {}}, TypeError, "^config must be a vmtpy.Config, not dict"),
        (
            Config(quiesce={"timeout": 5}),
            TypeError,
            "^Config.quiesce must be a QuiesceConfig, not dict",
        ),
        (
            Config(hooks=QuiesceConfig()),
            TypeError,
            "^Config.hooks must be a HooksConfig, not Quiesce",
        ),
        (
            Config(quiesce=QuiesceConfig(timeout=-1)),
            ConfigError,
            "^Config.quiesce timeout = -1: the value must be a number of seconds from 0.1 to 240",
        ),
        (
            Config(quiesce=QuiesceConfig(timeout=float("inf"))),
            ConfigError,
            "^Config.quiesce timeout = inf: the value must be a number of seconds from 0.1 to 240",
        ),
        (
            Config(quiesce=QuiesceConfig(include="/srv")),
            ConfigError,
            "include = '/srv': the value must be a",
        ),
        (
            Config(poll=PollConfig(busy="fast")),
            ConfigError,
            "^Config.poll busy = 'fast': the value must be",
        ),
        (
            Config(hooks=HooksConfig(legacy="no")),
            ConfigError,
            "legacy = 'no': the value must be true or",
        ),
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
