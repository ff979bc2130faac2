"""The configuration that counts on this machine: the running agent's, or what an agent would read.

For commands that say what will happen: `vmtpy plan`, `vmtpy doctor`, `vmtpy config show`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vmtpy.config import Config, find, load
from vmtpy.errors import ConfigError
from vmtpy.status_socket import ONLY_ROOT, NotRunningError, ask

if TYPE_CHECKING:
    from collections.abc import Sequence


class InForce(NamedTuple):
    """The configuration that counts, and where it is from.

    Attributes:
        config: with the includes and excludes of the running agent, unless a file was named.
        file: "" for none.
        status: of the running agent; None, with the reason in `trouble`, if it cannot be had.
        trouble: "" if there is a status.
        error: of the file; `config` has the defaults then.
        differing: what the running agent has otherwise than the file: "include", "exclude".
    """

    config: Config
    file: str
    status: dict[str, Any] | None
    trouble: str
    error: ConfigError | None = None
    differing: Sequence[str] = ()

    @property
    def refused(self) -> bool:
        """Whether there is an agent that does not answer this user."""
        return self.status is None and self.trouble.startswith(ONLY_ROOT)

    @property
    def origin(self) -> str:
        """Where the includes and excludes are from, for people."""
        if self.status is not None and self.differing:
            return f"the running agent, process {self.status['pid']}"
        return self.file or "the defaults"


def in_force(named: str | None) -> InForce:
    """Looks for it. `named`: a configuration file that is to count instead of the agent's."""
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


def status_of(config: Config) -> tuple[dict[str, Any] | None, str]:
    """The running agent's status; None and the reason if it cannot be had."""
    if not config.status.socket:
        return None, "[status] socket is empty: the agent cannot be asked"
    try:
        return ask(config.status.socket), ""
    except NotRunningError as error:
        return None, str(error)
