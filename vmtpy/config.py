"""The agent's configuration: a TOML file in, frozen dataclasses out.

Every error names the file, the key and what is allowed. All durations are seconds.
"""

from __future__ import annotations

import re
import sys
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from vmtpy import files
from vmtpy.errors import ConfigError

PATHS = 'paths or globs, like ["/srv", "/var/lib/*"]'


def seconds(default: float, low: float, high: float) -> Any:  # noqa: ANN401 (as dataclasses.field)
    """A field that holds a duration between two bounds, both allowed."""
    return field(default=default, metadata={"low": low, "high": high})


def number(default: int, low: int, high: int) -> Any:  # noqa: ANN401
    """A field that holds a whole number between two bounds, both allowed."""
    return field(default=default, metadata={"low": low, "high": high})


def command(*default: str) -> Any:  # noqa: ANN401
    """A field that holds a program and its arguments."""
    items = 'a program and its arguments, like ["systemctl", "reboot"]'
    return field(default=default, metadata={"items": items})


def texts(items: str) -> Any:  # noqa: ANN401
    """A field that holds a list of strings; `items` says in words which."""
    return field(default=(), metadata={"items": items})


def text(default: str, allowed: str, pattern: str = ".*") -> Any:  # noqa: ANN401
    """A field that holds a string; `allowed` says in words what `pattern` demands."""
    return field(default=default, metadata={"allowed": allowed, "pattern": pattern})


@dataclass(frozen=True, slots=True)
class QuiesceConfig:
    """`[quiesce]`: what is frozen for a snapshot and for how long at most.

    Attributes:
        timeout: how long a filesystem may stay frozen, counted from the first freeze. 30.
        filesystem_timeout: how long the freeze of one filesystem may take. 2.
        include: mount points or globs to keep to; empty: every freezable local filesystem.
        exclude: globs of mount points to leave out.
        expedite_rcu: set /sys/kernel/rcu_expedited while freezing: milliseconds instead of tens.
        already_frozen: what to do with a filesystem that someone else has frozen: "error", or
            "accept" to take it as it is and leave its thaw to them.
    """

    timeout: float = seconds(30.0, 0.1, 240.0)
    filesystem_timeout: float = seconds(2.0, 0.1, 240.0)
    include: tuple[str, ...] = texts(PATHS)
    exclude: tuple[str, ...] = texts(PATHS)
    expedite_rcu: bool = True
    already_frozen: str = text("error", '"error" or "accept"', "error|accept")


@dataclass(frozen=True, slots=True)
class PollConfig:
    """`[poll]`: how often the host is asked for commands.

    Attributes:
        min: delay after a command; it doubles while the host has nothing to say. 0.01.
        max: where the doubling ends. 0.55: with the guest information, four traps a second.
        busy: delay during a backup. 0.002.
    """

    min: float = seconds(0.01, 0.001, 1.0)
    max: float = seconds(0.55, 0.01, 60.0)
    busy: float = seconds(0.002, 0.0005, 0.005)


@dataclass(frozen=True, slots=True)
class GuestInfoConfig:
    """`[guest_info]`: what the host is told of this guest: names, addresses, disks, uptime.

    Attributes:
        enabled: tell it at all. True.
        interval: between two looks; a changed network or host name is told at once. 15.
    """

    enabled: bool = True
    interval: float = seconds(15.0, 1.0, 3600.0)


@dataclass(frozen=True, slots=True)
class PowerConfig:
    """`[power]`: what the host's power operations do here.

    Attributes:
        halt: the command that powers off. ["systemctl", "poweroff"].
        reboot: the command that restarts. ["systemctl", "reboot"].
    """

    halt: tuple[str, ...] = command("systemctl", "poweroff")
    reboot: tuple[str, ...] = command("systemctl", "reboot")


@dataclass(frozen=True, slots=True)
class TimeConfig:
    """`[time]`: the guest's clock against the host's.

    Attributes:
        synchronize: set the guest's clock when the host asks for it and no NTP daemon keeps it;
            otherwise the difference is only reported. False.
        interval: between two looks at the host's clock. 60.
    """

    synchronize: bool = False
    interval: float = seconds(60.0, 1.0, 3600.0)


@dataclass(frozen=True, slots=True)
class ToolsConfig:
    """`[tools]`: what the agent says of itself.

    Attributes:
        version: of the tools; 2147483647: the administrator keeps them up to date himself.
    """

    version: int = number(2147483647, 0, 2147483647)


@dataclass(frozen=True, slots=True)
class HooksConfig:
    """`[hooks]`: what is asked before the first freeze and after the last thaw.

    Attributes:
        directory: executables; "" for none. /etc/vmtpy/hooks.d.
        legacy: also open-vm-tools' /usr/sbin/pre-freeze-script, /usr/sbin/post-thaw-script and
            /etc/vmware-tools/backupScripts.d.
        entry_points: also the entry points of installed packages in the group `vmtpy.hooks`.
        timeout: how long one hook may take. 60.
        optional: names of hooks (file names, functions, entry points, "postgresql") whose failure
            is logged and does not fail the backup.
    """

    directory: str = text("/etc/vmtpy/hooks.d", 'an absolute path, or "" for none', r"(/.*)?")
    legacy: bool = False
    entry_points: bool = False
    timeout: float = seconds(60.0, 0.1, 600.0)
    optional: tuple[str, ...] = texts('names, like ["10-cache"]')


@dataclass(frozen=True, slots=True)
class PostgresqlConfig:
    """`[postgresql]`: a checkpoint before the freeze; needs the extra `vmtpy[postgresql]`.

    Attributes:
        dsn: libpq's connection string; "": off.
    """

    dsn: str = text("", 'a connection string like "host=/run/postgresql user=vmtpy"')


@dataclass(frozen=True, slots=True)
class StatusConfig:
    """`[status]`: how `vmtpy status` reaches the agent.

    Attributes:
        socket: a Unix socket that only root can open; "" for none. /run/vmtpy/status.
    """

    socket: str = text("/run/vmtpy/status", 'an absolute path, or "" for none', r"(/.+)?")


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """`[metrics]`: for Prometheus; needs the extra `vmtpy[metrics]`.

    Attributes:
        textfile: written for node_exporter's textfile collector, "….prom"; "": off.
        listen: where to answer HTTP; "": off.
        interval: between two writings of the textfile. 15.
    """

    textfile: str = text("", 'an absolute path that ends in .prom, or "" for none', r"(/.+\.prom)?")
    listen: str = text(
        "", 'an address and a port like "127.0.0.1:9273", or "" for none', r"(\S+:[0-9]{1,5})?"
    )
    interval: float = seconds(15.0, 1.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Config:
    """All tables of the file."""

    quiesce: QuiesceConfig = QuiesceConfig()
    poll: PollConfig = PollConfig()
    guest_info: GuestInfoConfig = GuestInfoConfig()
    power: PowerConfig = PowerConfig()
    time: TimeConfig = TimeConfig()
    tools: ToolsConfig = ToolsConfig()
    hooks: HooksConfig = HooksConfig()
    postgresql: PostgresqlConfig = PostgresqlConfig()
    status: StatusConfig = StatusConfig()
    metrics: MetricsConfig = MetricsConfig()


def load(path: files.Path) -> Config:
    """Reads a configuration file.

    Raises:
        ConfigError: it cannot be read, is not TOML, has an unknown key or a bad value.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        tables = tomllib.loads(files.read(path).decode())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return parse(tables, str(path))


def parse(tables: dict[str, Any], name: str) -> Config:
    """Checks what TOML gave; `name` is the file's, for errors."""
    kinds = {one.name: type(one.default) for one in fields(Config)}
    for key, value in tables.items():
        if key not in kinds:
            allowed = ", ".join(f"[{kind}]" for kind in kinds)
            raise ConfigError(f"{name}: unknown key {key!r}; allowed: {allowed}")
        if not isinstance(value, dict):
            raise ConfigError(f"{name}: {key} must be a table: [{key}]")
    config = Config(
        **{
            key: _table(kind, tables[key], f"{name}: [{key}]")
            for key, kind in kinds.items()
            if key in tables
        }
    )
    if config.poll.min > config.poll.max:
        raise ConfigError(
            f"{name}: [poll] min = {config.poll.min} is more than max = {config.poll.max}"
        )
    return config


def _table(kind: type[Any], values: dict[str, Any], where: str) -> Any:  # noqa: ANN401
    known = {one.name: one for one in fields(kind)}
    checked = {}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where} has no key {key!r}; allowed: {', '.join(known)}")
        default = known[key].default
        assert default is not MISSING
        checked[key] = _value(
            default, value, dict(known[key].metadata), f"{where} {key} = {value!r}"
        )
    return kind(**checked)


def _value(default: object, value: object, facts: dict[str, Any], where: str) -> object:
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise ConfigError(f"{where}: must be true or false")
    if isinstance(default, int):
        low, high = facts["low"], facts["high"]
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ConfigError(f"{where}: must be a whole number from {low} to {high}")
    if isinstance(default, float):
        low, high = facts["low"], facts["high"]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and low <= value <= high:
            return float(value)  # type: ignore[arg-type]
        raise ConfigError(f"{where}: must be a number of seconds from {low:g} to {high:g}")
    if isinstance(default, str):
        if isinstance(value, str) and re.fullmatch(facts["pattern"], value):
            return value
        raise ConfigError(f"{where}: must be {facts['allowed']}")
    is_texts = isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    if is_texts and (value or not default):  # a program is not left away
        return tuple(value)  # type: ignore[arg-type]
    raise ConfigError(f"{where}: must be a list of {facts['items']}")
