"""The configuration in force: that of the running agent, or the file that an agent would read.

It serves the commands that tell what an agent will do: `vmtpy plan`, `doctor` and `config show`. It
relies on the running agent's status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vmtpy.config import Config, find, load
from vmtpy.errors import ConfigError
from vmtpy.status_socket import AskingRefusedError, NotRunningError, ask

if TYPE_CHECKING:
    from collections.abc import Collection


class InForce(NamedTuple):
    """The configuration in force, and its source.

    Attributes:
        config: the configuration of the running agent, unless no agent answers or the caller named
            a file. What the agent does not tell is from the file, and is the default if there is
            an `error`.
        file: the configuration file; "" for none.
        status: the running agent's status; None if no agent answers.
        trouble: why there is no status; None if there is one.
        error: the mistake in the file, or None.
        told: the tables and keys that the running agent has told; empty if `config` is that of the
            file.
        differing: the tables and keys whose values in the running agent and in the file differ; in
            place of a file with an `error` the defaults are compared.
    """

    config: Config
    file: str
    status: dict[str, Any] | None
    trouble: NotRunningError | None
    error: ConfigError | None = None
    told: Collection[tuple[str, str]] = ()
    differing: Collection[tuple[str, str]] = ()

    @property
    def refused(self) -> bool:
        """Whether an agent runs, but does not answer this user."""
        return isinstance(self.trouble, AskingRefusedError)

    @property
    def origin(self) -> str:
        """The source of the includes and excludes, for people."""
        lists = (("quiesce", "include"), ("quiesce", "exclude"))
        if any(key in self.differing for key in lists):
            return self.agent
        return self.file or "the defaults"

    @property
    def agent(self) -> str:
        """The running agent, for people."""
        return f"the running agent, process {self.status['pid']}" if self.status else ""


def in_force(named: str | None) -> InForce:
    """Finds the configuration in force. `named`: a file to use in place of the agent's."""
    status, trouble = status_of(Config())
    file = named or (status or {}).get("configuration_file") or find(None)
    try:
        config, error = load(file), None
    except ConfigError as problem:
        config, error = Config(), problem
    if config.status != Config().status and (named or status is None):
        status, trouble = status_of(config)
    values = {} if named or status is None else told(status, config)
    running = config
    for (table, key), value in values.items():
        changed = getattr(running, table)._replace(**{key: value})
        running = running._replace(**{table: changed})
    differing = [
        (table, key)
        for (table, key), value in values.items()
        if getattr(getattr(config, table), key) != value
    ]
    return InForce(running, file, status, trouble, error, values.keys(), differing)


def told(status: dict[str, Any], known: Config) -> dict[tuple[str, str], Any]:
    """The values that the running agent tells, by table and key. An agent of another version may
    have others than `known`.
    """
    return {
        (table, key): tuple(value) if isinstance(value, list) else value
        for table, values in status.get("configuration", {}).items()
        for key, value in values.items()
        if key in getattr(getattr(known, table, None), "_fields", ())
    }


def status_of(config: Config) -> tuple[dict[str, Any] | None, NotRunningError | None]:
    """The running agent's status, or why there is none."""
    if not config.status.socket:
        return None, NotRunningError(
            "the agent cannot be asked for its status, because [status] socket is empty"
        )
    try:
        return ask(config.status.socket), None
    except NotRunningError as error:
        return None, error
