"""The agent's configuration: a TOML file in, named tuples out. (The module dataclasses would cost
the agent 1.5 MiB.)

Every error names the file, the key and what is allowed. All durations are seconds.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated, Any, NamedTuple, get_type_hints

from vmtpy import files
from vmtpy.errors import ConfigError

FILE = "/etc/vmtpy/vmtpy.toml"  # is read where it is there and no other one is named


class Range(NamedTuple):
    """A number between two bounds, both allowed."""

    low: float
    high: float


class Items(NamedTuple):
    """A list of strings; `words` say which."""

    words: str


class Text(NamedTuple):
    """A string; `words` say what `pattern` demands."""

    words: str
    pattern: str = ".*"


PATHS = Items('paths or globs, like ["/srv", "/var/lib/*"]')
PATH_OR_NONE = Text('an absolute path, or "" for none', r"(/.+)?")
PROM_OR_NONE = Text('an absolute path that ends in .prom, or "" for none', r"(/.+\.prom)?")
ADDRESS_OR_NONE = Text(
    'an address and a port like "127.0.0.1:9273", or "" for none', r"(\S+:[0-9]{1,5})?"
)
COMMAND = Items('a program and its arguments, like ["systemctl", "reboot"]')


class QuiesceConfig(NamedTuple):
    """`[quiesce]`: what is frozen for a snapshot and for how long at most.

    Attributes:
        timeout: how long a filesystem may stay frozen, counted from the first freeze.
        filesystem_timeout: how long the freeze of one filesystem may take.
        include: mount points or globs to keep to; empty: every freezable local filesystem.
        exclude: globs of mount points to leave out.
        expedite_rcu: whether /sys/kernel/rcu_expedited is set while freezing: a freeze takes
            milliseconds instead of tens of them.
        already_frozen: what a filesystem is that someone else has frozen: an "error", or to
            "accept": it is taken as it is, and its thaw left to them.
        stall_goal: how long a freeze may hold writers. Where more is dirty than the disk takes in
            that time, they are slowed down until it is not.
        converge: how they are: "auto" by a bound on the dirty pages of the disk (Linux 6.2 and
            later), "global" by one on those of the machine, "off" not at all. What cannot be frozen
            within `filesystem_timeout` then is not frozen, and the backup refused.
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
        transport: "auto" is vsock where the host listens there, else the backdoor; the others
            are for that alone. Counts from the start.
    """

    transport: Annotated[
        str, Text('"auto", "vsock", "port" or "hypercall"', "auto|vsock|port|hypercall")
    ] = "auto"


class PollConfig(NamedTuple):
    """`[poll]`: how often the host is asked for commands. Over vsock it need not be.

    Attributes:
        min: delay after a command; it doubles while the host has nothing to say.
        max: where the doubling ends; 0.6: with the guest information, four traps a second.
        busy: delay during a backup.
    """

    min: Annotated[float, Range(0.001, 1.0)] = 0.01
    max: Annotated[float, Range(0.01, 60.0)] = 0.6
    busy: Annotated[float, Range(0.0005, 0.005)] = 0.002


class GuestInfoConfig(NamedTuple):
    """`[guest_info]`: what the host is told of this guest: names, addresses, disks, uptime.

    Attributes:
        enabled: whether it is told at all; if not, the uptime is told all the same.
        interval: time between two looks; a changed network or host name is told at once,
            uptime and disks only every second time.
        backup: whether it is also told the record of each backup, after its end, as
            guestinfo.vmtpy.backup.
    """

    enabled: bool = True
    interval: Annotated[float, Range(1.0, 3600.0)] = 15.0
    backup: bool = True


class PowerConfig(NamedTuple):
    """`[power]`: what the host's power operations do here.

    Attributes:
        halt: the command that powers off.
        reboot: the command that restarts.
    """

    halt: Annotated[tuple[str, ...], COMMAND] = ("systemctl", "poweroff")
    reboot: Annotated[tuple[str, ...], COMMAND] = ("systemctl", "reboot")


class TimeConfig(NamedTuple):
    """`[time]`: the guest's clock against the host's.

    Attributes:
        synchronize: whether the guest's clock is set when the host asks for it and no NTP daemon
            keeps it; otherwise the difference is only reported.
        interval: time between two looks at the host's clock.
    """

    synchronize: bool = False
    interval: Annotated[float, Range(1.0, 3600.0)] = 60.0


class ToolsConfig(NamedTuple):
    """`[tools]`: what the agent says of itself.

    Attributes:
        version: what vSphere shows as the version of tools; 2147483647 is "guest managed": the
            administrator keeps them up to date.
    """

    version: Annotated[int, Range(0, 2147483647)] = 2147483647


class HooksConfig(NamedTuple):
    """`[hooks]`: what is asked before the first freeze and after the last thaw.

    Attributes:
        directory: where the executables are.
        legacy: whether to run open-vm-tools', too: /usr/sbin/pre-freeze-script,
            /usr/sbin/post-thaw-script and /etc/vmware-tools/backupScripts.d.
        entry_points: whether to call entry points of installed packages, too, of the group
            `vmtpy.hooks`.
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
    """`[postgresql]`: a checkpoint before the freeze; needs the extra `vmtpy[postgresql]`.

    Attributes:
        dsn: libpq's connection string; without one there is no checkpoint.
    """

    dsn: Annotated[str, Text('a connection string like "host=/run/postgresql user=vmtpy"')] = ""


class StatusConfig(NamedTuple):
    """`[status]`: how `vmtpy status` reaches the agent.

    Attributes:
        socket: a Unix socket that only root can open.
    """

    socket: Annotated[str, PATH_OR_NONE] = "/run/vmtpy/status"


class MetricsConfig(NamedTuple):
    """`[metrics]`: for Prometheus; docs/monitoring.md names them.

    Attributes:
        textfile: a file for node_exporter's textfile collector.
        listen: where to answer HTTP.
        interval: time between two writings of the textfile.
    """

    textfile: Annotated[str, PROM_OR_NONE] = ""
    listen: Annotated[str, ADDRESS_OR_NONE] = ""
    interval: Annotated[float, Range(1.0, 3600.0)] = 15.0


class Config(NamedTuple):
    """All tables of the file, and what `vmtpy.Agent` takes: `Config(poll=PollConfig(max=2))`.

    Each attribute is the table of its name, with the defaults of the file; man vmtpy.toml, or
    `vmtpy config example`, describes the keys. Nothing is checked here: `vmtpy.Agent` raises
    ConfigError for a bad value, and TypeError for a table that is none.
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
    """The file that counts: the one that was named, else FILE if it is there, else "".

    A FILE that is there and cannot be read is an error, which load() raises.
    """
    return named or (FILE if os.path.lexists(FILE) else "")


def load(path: files.Path) -> Config:
    """Reads a configuration file; "" for none: the defaults.

    Raises:
        ConfigError: it cannot be read, is not TOML, has an unknown key or a bad value.
    """
    return parse(read(path), str(path)) if path else Config()


def read(path: files.Path) -> dict[str, Any]:
    """The tables of a file, unchecked.

    Raises:
        ConfigError: it cannot be read or is not TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        tables: dict[str, Any] = tomllib.loads(files.read(path).decode())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return tables


def parse(tables: dict[str, Any], name: str, *, together: bool = True) -> Config:
    """Checks what TOML gave; `name` is the file's, for errors.

    Without `together` each value is only judged by itself.
    """
    for key, value in tables.items():
        if key not in Config._fields:
            allowed = ", ".join(f"[{table}]" for table in Config._fields)
            raise ConfigError(f"{name}: unknown key {key!r}; allowed: {allowed}")
        if not isinstance(value, dict):
            raise ConfigError(f"{name}: {key} must be a table: [{key}]")
    config = Config(
        **{
            key: _table(default, tables[key], f"{name}: [{key}]")
            for key, default in Config._field_defaults.items()
            if key in tables
        }
    )
    if together and config.poll.min > config.poll.max:
        raise ConfigError(
            f"{name}: [poll] min = {config.poll.min} is more than max = {config.poll.max}"
        )
    return config


def check(config: Config) -> Config:
    """The configuration that a program made, when it is one that a file could give.

    Raises:
        TypeError: a part of it is no table of the right class.
        ConfigError: a value is not allowed.
    """
    if not isinstance(config, Config):
        raise TypeError(f"config: a vmtpy.Config, not {type(config).__name__}")
    for key, default in Config._field_defaults.items():
        table = getattr(config, key)
        if not isinstance(table, type(default)):
            expected, given = type(default).__name__, type(table).__name__
            raise TypeError(f"Config.{key}: a {expected}, not {given}")
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
        raise ConfigError(f"{where}: must be true or false")
    if isinstance(rule, Range):
        kinds = (int,) if isinstance(default, int) else (int, float)
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        if is_number and rule.low <= value <= rule.high:  # type: ignore[operator]
            return type(default)(value)  # type: ignore[call-arg]
        kind = "whole number" if isinstance(default, int) else "number of seconds"
        raise ConfigError(f"{where}: must be a {kind} from {rule.low:.12g} to {rule.high:.12g}")
    if isinstance(rule, Text):
        if isinstance(value, str) and re.fullmatch(rule.pattern, value):
            return value
        raise ConfigError(f"{where}: must be {rule.words}")
    is_texts = isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    if is_texts and (value or not default):  # a program is not left away
        return tuple(value)  # type: ignore[arg-type]
    raise ConfigError(f"{where}: must be a list of {rule.words}")
