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
    from collections.abc import Sequence


class InForce(NamedTuple):
    """The configuration in force, and its source.

    Attributes:
        config: the configuration, with the includes and excludes of the running agent unless the
            caller named a file; the defaults if there is an `error`.
        file: the configuration file; "" for none.
        status: the running agent's status; None if no agent answers.
        trouble: why there is no status; None if there is one.
        error: the mistake in the file, or None.
        differing: keys whose values in the running agent and in the file differ: "include",
            "exclude".
    """

    config: Config
    file: str
    status: dict[str, Any] | None
    trouble: NotRunningError | None
    error: ConfigError | None = None
    differing: Sequence[str] = ()

    @property
    def refused(self) -> bool:
        """Whether an agent runs, but does not answer this user."""
        return isinstance(self.trouble, AskingRefusedError)

    @property
    def origin(self) -> str:
        """The source of the includes and excludes, for people."""
        if self.status is not None and self.differing:
            return f"the running agent, process {self.status['pid']}"
        return self.file or "the defaults"


def in_force(named: str | None) -> InForce:
    """Finds the configuration in force. `named`: a file to use in place of the agent's."""
    status, trouble = status_of(Config())
    file = named or (status or {}).get("configuration_file") or find(None)
    try:
        config, error = load(file), None
    except ConfigError as problem:
        config, error = Config(), problem
    if config.status != Config().status:
        status, trouble = status_of(config)
    differing: list[str] = []
    if status is not None and not named and "include" in status:
        quiesce = config.quiesce._replace(
            include=tuple(status["include"]), exclude=tuple(status["exclude"])
        )
        differing = [
            key
            for key in ("include", "exclude")
            if getattr(quiesce, key) != getattr(config.quiesce, key)
        ]
        config = config._replace(quiesce=quiesce)
    return InForce(config, file, status, trouble, error, differing)


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
