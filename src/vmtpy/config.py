"""The agent's configuration: reads a TOML file and returns named tuples, or names the mistakes.

Every error names the file, the key and the values that are allowed. All durations are in seconds.
The tables are named tuples because importing dataclasses costs the agent 1.5 MiB. `vmtpy config
example` and docs/configuration.md are made from the docstrings of this module.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

from vmtpy.errors import ConfigError

FILE = "/etc/vmtpy/vmtpy.toml"  # the agent reads it, if it exists, unless --config names another


class Range(NamedTuple):
    """A number from `low` to `high`."""

    low: float
    high: float


class Items(NamedTuple):
    """A list of strings that match `pattern`, which `words` describe."""

    words: str
    pattern: str = ".+"


class Text(NamedTuple):
    """A string that matches `pattern`, which `words` describe."""

    words: str
    pattern: str = ".*"


# fnmatch(3) lets a glob's first character also match the "/" of a mount point.
PATHS = Items('absolute paths or globs, like ["/srv", "/var/lib/*"]', r"[/*?\[].*")
PATH_OR_NONE = Text('an absolute path, or "" for none', r"(/.+)?")
PROM_OR_NONE = Text('an absolute path that ends in .prom, or "" for none', r"(/.+\.prom)?")
PORT = "([0-9]{1,4}|[0-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
ADDRESS_OR_NONE = Text(
    'an address and a port up to 65535 like "127.0.0.1:9273", or "" for none', rf"(\S+:{PORT})?"
)
COMMAND = Items('a program and its arguments, like ["systemctl", "reboot"]')


class QuiesceConfig(NamedTuple):
    """`[quiesce]`: what is frozen for a snapshot, and for how long at most.

    Attributes:
        timeout: how long a filesystem may stay frozen, counted from the first freeze.
        filesystem_timeout: how long the freeze of one filesystem may take.
        include: mount points or globs to freeze; empty: all local filesystems that can be frozen.
        exclude: mount points or globs to leave out.
        expedite_rcu: whether vmtpy sets /sys/kernel/rcu_expedited while it freezes, which makes
            each freeze tens of milliseconds shorter.
        already_frozen: what to do if another program has frozen a filesystem: "error" fails the
            backup; "accept" counts it as frozen and leaves its thaw to that program.
        stall_goal: how long a freeze may hold writers. If more pages are dirty than the disk
            writes in that time, vmtpy first slows the writers down.
        converge: how vmtpy slows writers down: "auto" by a limit on the dirty pages of the disk
            (Linux 6.2 and later), "global" by a limit on those of the whole machine, "off" not at
            all. If a filesystem still cannot be frozen within `filesystem_timeout`, the backup is
            refused and nothing is frozen.
    """

    timeout: Annotated[float, Range(0.1, 240.0)] = 30.0
    filesystem_timeout: Annotated[float, Range(0.1, 240.0)] = 2.0
    include: Annotated[tuple[str, ...], PATHS] = ()
    exclude: Annotated[tuple[str, ...], PATHS] = ()
    expedite_rcu: bool = True
    already_frozen: Annotated[str, Text('"error" or "accept"', "error|accept")] = "error"
    stall_goal: Annotated[float, Range(0.001, 240.0)] = 0.1
    converge: Annotated[str, Text('"auto", "off" or "global"', "auto|off|global")] = "auto"


class HostConfig(NamedTuple):
    """`[host]`: how the host is reached.

    Attributes:
        transport: "auto" uses vsock if the host listens on it, else the backdoor; each other value
            uses only the transport of that name. A change takes effect at the next start.
    """

    transport: Annotated[
        str, Text('"auto", "vsock", "port" or "hypercall"', "auto|vsock|port|hypercall")
    ] = "auto"


class PollConfig(NamedTuple):
    """`[poll]`: how often the agent asks the host for commands; over vsock it need not ask.

    Attributes:
        min: the delay after a command; it doubles while the host has no command.
        max: the largest delay; with 0.6 and the guest information the agent causes four traps a
            second.
        busy: the delay during a backup.
    """

    min: Annotated[float, Range(0.001, 1.0)] = 0.01
    max: Annotated[float, Range(0.01, 60.0)] = 0.6
    busy: Annotated[float, Range(0.0005, 0.005)] = 0.002


class GuestInfoConfig(NamedTuple):
    """`[guest_info]`: what the agent reports to the host: names, addresses, disks, uptime.

    Attributes:
        enabled: whether the agent reports all of this; if false, it reports only the uptime.
        interval: the time between two reports. A change of the network or of the host name is
            reported at once, uptime and disks only in every second interval.
        backup: whether the agent sets guestinfo.vmtpy.backup to the report of each backup after
            its end.
    """

    enabled: bool = True
    interval: Annotated[float, Range(1.0, 3600.0)] = 15.0
    backup: bool = True


class PowerConfig(NamedTuple):
    """`[power]`: what the host's power operations run in this guest.

    Attributes:
        halt: the command that powers this machine off.
        reboot: the command that restarts this machine.
    """

    halt: Annotated[tuple[str, ...], COMMAND] = ("systemctl", "poweroff")
    reboot: Annotated[tuple[str, ...], COMMAND] = ("systemctl", "reboot")


class TimeConfig(NamedTuple):
    """`[time]`: comparing the guest's clock with the host's, and setting it.

    Attributes:
        synchronize: whether the agent sets the guest's clock when the host asks for it and no NTP
            daemon keeps the clock; it is set back only if the host asks for that. If false, the
            agent only reports the difference.
        interval: the time between two comparisons.
    """

    synchronize: bool = False
    interval: Annotated[float, Range(1.0, 3600.0)] = 60.0


class ToolsConfig(NamedTuple):
    """`[tools]`: how the agent announces itself to the host.

    Attributes:
        version: the version of VMware Tools that vSphere shows; 2147483647 means "guest managed":
            the administrator keeps the tools up to date.
    """

    version: Annotated[int, Range(0, 2147483647)] = 2147483647


class HooksConfig(NamedTuple):
    """`[hooks]`: what the agent runs before the first freeze and after the last thaw.

    Attributes:
        directory: the directory with the executable hooks.
        legacy: whether to also run the scripts of open-vm-tools: /usr/sbin/pre-freeze-script,
            /usr/sbin/post-thaw-script and those in /etc/vmware-tools/backupScripts.d.
        entry_points: whether to also call the entry points of installed Python packages in the
            group `vmtpy.hooks`.
        timeout: how long one hook may take.
        optional: names of hooks (file names, functions, entry points, "postgresql") whose failure
            is logged and does not fail the backup.
    """

    directory: Annotated[str, PATH_OR_NONE] = "/etc/vmtpy/hooks.d"
    legacy: bool = False
    entry_points: bool = False
    timeout: Annotated[float, Range(0.1, 600.0)] = 60.0
    optional: Annotated[tuple[str, ...], Items('names, like ["10-cache"]')] = ()


class PostgresqlConfig(NamedTuple):
    """`[postgresql]`: a checkpoint before the freeze; it needs the extra `vmtpy[postgresql]`.

    Attributes:
        dsn: libpq's connection string; if it is empty, there is no checkpoint.
    """

    dsn: Annotated[str, Text('a connection string like "host=/run/postgresql user=vmtpy"')] = ""


class StatusConfig(NamedTuple):
    """`[status]`: where `vmtpy status` reaches the agent.

    Attributes:
        socket: a Unix socket that only root can open.
    """

    socket: Annotated[str, PATH_OR_NONE] = "/run/vmtpy/status"


class MetricsConfig(NamedTuple):
    """`[metrics]`: metrics for Prometheus, which docs/monitoring.md lists.

    Attributes:
        textfile: the file that the agent writes for node_exporter's textfile collector.
        listen: the address on which the agent serves the metrics over HTTP.
        interval: the time between two writings of the textfile.
    """

    textfile: Annotated[str, PROM_OR_NONE] = ""
    listen: Annotated[str, ADDRESS_OR_NONE] = ""
    interval: Annotated[float, Range(1.0, 3600.0)] = 15.0


class Config(NamedTuple):
    """All tables of the file, for `vmtpy.Agent`: `Config(poll=PollConfig(max=2))`.

    Each attribute is the table of that name, with the defaults of the file; `vmtpy config example`
    describes the keys. This class checks nothing: `vmtpy.Agent` raises ConfigError for a value that
    is not allowed, and TypeError for an attribute that is not a table.
    """

    quiesce: QuiesceConfig = QuiesceConfig()
    host: HostConfig = HostConfig()
    poll: PollConfig = PollConfig()
    guest_info: GuestInfoConfig = GuestInfoConfig()
    power: PowerConfig = PowerConfig()
    time: TimeConfig = TimeConfig()
    tools: ToolsConfig = ToolsConfig()
    hooks: HooksConfig = HooksConfig()
    postgresql: PostgresqlConfig = PostgresqlConfig()
    status: StatusConfig = StatusConfig()
    metrics: MetricsConfig = MetricsConfig()


def find(named: str | None) -> str:
    """The configuration file: `named`, else FILE if it exists, else "".

    For a FILE that exists and cannot be read, load() raises an error.
    """
    return named or (FILE if os.path.lexists(FILE) else "")


def load(path: str | os.PathLike[str]) -> Config:
    """Reads a configuration file. For a `path` of "" it returns the defaults.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has an unknown key or a bad value.
    """
    return parse(read(path), str(path)) if path else Config()


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a file; keys and values are not checked.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        tables: dict[str, Any] = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return tables


def parse(tables: dict[str, Any], name: str, *, together: bool = True) -> Config:
    """Checks the tables of a file and returns the configuration.

    Args:
        tables: what TOML gave.
        name: the name of the file, for errors.
        together: also compare values with each other.

    Raises:
        ConfigError: a key is unknown, or a value is not allowed.
    """
    for key, value in tables.items():
        if key not in Config._fields:
            allowed = ", ".join(f"[{table}]" for table in Config._fields)
            raise ConfigError(f"{name}: unknown key {key!r}; allowed: {allowed}")
        if not isinstance(value, dict):
            raise ConfigError(f"{name}: {key} must be a table: write [{key}]")
    config = Config(
        **{
            key: _table(default, tables[key], f"{name}: [{key}]")
            for key, default in Config._field_defaults.items()
            if key in tables
        }
    )
    if together and config.poll.min > config.poll.max:
        raise ConfigError(
            f"{name}: [poll] min = {config.poll.min} must not be more than max = {config.poll.max}"
        )
    return config


def check(config: Config) -> Config:
    """Checks a configuration that a program made, and returns it.

    Raises:
        TypeError: `config` or one of its attributes has the wrong class.
        ConfigError: a value is not allowed.
    """
    if not isinstance(config, Config):
        raise TypeError(f"config must be a vmtpy.Config, not {type(config).__name__}")
    for key, default in Config._field_defaults.items():
        table = getattr(config, key)
        if not isinstance(table, type(default)):
            expected, given = type(default).__name__, type(table).__name__
            raise TypeError(f"Config.{key} must be a {expected}, not {given}")
        changed = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in table._asdict().items()
            if value != default._asdict()[name]
        }
        if changed:
            _table(default, changed, f"Config.{key}")
    return config


def _table(default: Any, values: dict[str, Any], where: str) -> Any:  # noqa: ANN401
    hints = get_type_hints(type(default), include_extras=True)
    for key in values:
        if key not in hints:
            raise ConfigError(f"{where} has no key {key!r}; allowed: {', '.join(hints)}")
    return default._replace(
        **{
            key: _value(hints[key], getattr(default, key), value, f"{where} {key} = {value!r}")
            for key, value in values.items()
        }
    )


def _value(hint: Any, default: object, value: object, where: str) -> object:  # noqa: ANN401
    (rule,) = getattr(hint, "__metadata__", (None,))
    if rule is None:
        if isinstance(value, bool):
            return value
        raise ConfigError(f"{where}: the value must be true or false")
    if isinstance(rule, Range):
        kinds = (int,) if isinstance(default, int) else (int, float)
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        if is_number and rule.low <= value <= rule.high:  # type: ignore[operator]
            return type(default)(value)  # type: ignore[call-arg]
        kind = "whole number" if isinstance(default, int) else "number of seconds"
        allowed = f"{rule.low:.12g} to {rule.high:.12g}"
        raise ConfigError(f"{where}: the value must be a {kind} from {allowed}")
    if isinstance(rule, Text):
        if _fits(value, rule.pattern):
            return value
        raise ConfigError(f"{where}: the value must be {rule.words}")
    is_texts = isinstance(value, list) and all(
        _fits(item, rule.pattern, re.DOTALL) for item in value
    )
    if is_texts and (value or not default):  # a command must not be empty
        return tuple(value)  # type: ignore[arg-type]
    raise ConfigError(f"{where}: the value must be a list of {rule.words}")


def _fits(value: object, pattern: str, flags: int = 0) -> bool:
    """Whether it is a text that matches. No path and no argument of a command can contain NUL."""
    if not isinstance(value, str) or "\0" in value:
        return False
    return re.fullmatch(pattern, value, flags) is not None
