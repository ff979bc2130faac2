"""`vmtpy-toolbox-cmd config`: reads and changes vmtpy's settings under the names of tools.conf.

It translates them as `vmtpy migrate` does. After a change a running agent reloads its
configuration.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vmtpy import config, config_edit
from vmtpy.config import Config, parse
from vmtpy.errors import VmtError
from vmtpy.migrate import Outcome, configuration, settings
from vmtpy.status_socket import NotRunningError, ask
from vmtpy.toolbox.codes import EX_TEMPFAIL, EX_UNAVAILABLE, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = Path(config.FILE)


class Counterpart(NamedTuple):
    """vmtpy's counterpart of a setting of tools.conf.

    Attributes:
        places: the tables and keys to which the setting may be written.
        shown: returns the value in a configuration in the notation of tools.conf.
    """

    places: tuple[tuple[str, str], ...]
    shown: Callable[[Config], str]


def word(value: bool) -> str:
    return "true" if value else "false"


COUNTERPARTS = {
    ("vmbackup", "excludedFileSystems"): Counterpart(
        (("quiesce", "exclude"),), lambda config: ",".join(config.quiesce.exclude)
    ),
    ("vmbackup", "ignoreFrozenFileSystems"): Counterpart(
        (("quiesce", "already_frozen"),),
        lambda config: word(config.quiesce.already_frozen == "accept"),
    ),
    ("vmbackup", "execScripts"): Counterpart(
        (("hooks", "legacy"),), lambda config: word(config.hooks.legacy)
    ),
    ("guestinfo", "poll-interval"): Counterpart(
        (("guest_info", "interval"), ("guest_info", "enabled")),
        lambda config: f"{config.guest_info.interval * config.guest_info.enabled:.0f}",
    ),
}


def main(words: list[str], quiet: bool) -> int:
    """Runs get, set or remove.

    Returns:
        0; 69 if there is no configuration file, 75 if the file cannot be read or written.
    """
    for number, name in enumerate(("config section", "config key"), 1):
        if len(words) <= number:
            raise UsageError(f"Missing {name}")
    action, section, key = words[:3]
    if action not in ("get", "set", "remove"):
        raise UsageError(f"Unknown subcommand '{action}'")
    if action == "set" and len(words) == 3:
        raise UsageError("Missing config value")
    there = FILE.exists()
    try:
        if action == "get":
            print(shown(section, key))
        elif action == "set":
            change(section, key, words[3])
        else:
            change(section, key, None)
    except VmtError as error:
        if not quiet:
            verb = "reading" if action == "get" else "writing"
            print(f"Error {verb} config: {error}", file=sys.stderr)
        return EX_TEMPFAIL
    return 0 if there or action == "set" else EX_UNAVAILABLE


def shown(section: str, key: str) -> str:
    """The line that `config get` prints: the value in the file, not the default."""
    counterpart = COUNTERPARTS.get((section, key))
    text = read()
    tables = config_edit.tables(text)
    if counterpart is None or not any(
        name in tables.get(table, {}) for table, name in counterpart.places
    ):
        return f"[{section}] {key} UNSET"
    return f"[{section}] {key} = {counterpart.shown(parse(tables, str(FILE)))}"


def change(section: str, key: str, value: str | None) -> None:
    """Writes a value to the file; None removes the key.

    Raises:
        VmtError: the key has no counterpart, the value is not allowed, or the file cannot be
            written.
    """
    counterpart = COUNTERPARTS.get((section, key))
    if counterpart is None:
        if value is None:
            return
        raise VmtError(f"[{section}] {key} has no counterpart in vmtpy; see `vmtpy migrate`")
    old = text = read()
    for table, name in counterpart.places:
        text = config_edit.remove_key(text, table, name)
    if value is not None:
        for table, name, made in translated(section, key, value):
            text = config_edit.set_key(text, table, name, made)
    checked = parse(config_edit.tables(text), str(FILE))
    if text != old:
        mode = FILE.stat().st_mode & 0o777 if FILE.exists() else 0o644
        configuration.write(FILE, text, mode=mode, force=True)
        reload(checked.status.socket)


def translated(section: str, key: str, value: str) -> list[tuple[str, str, object]]:
    """The tables, keys and values of vmtpy for a setting.

    Raises:
        VmtError: the value has no counterpart.
    """
    if key == "execScripts":
        return [("hooks", "legacy", value.strip() in settings.TRUE)]
    outcome = Outcome()
    settings.translate({section: {key: value}}, outcome)
    for fate in outcome.fates:
        if value.strip() and not fate.becomes:
            raise VmtError(f"[{section}] {key} = {value}: {fate.note}")
    return [(setting.table, setting.key, setting.value) for setting in outcome.settings]


def read() -> str:
    try:
        return FILE.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise VmtError(f"{FILE}: {error}") from error


def reload(socket: str) -> None:
    """Makes a running agent reload its configuration, as `systemctl reload vmtpy` does.

    Args:
        socket: on which the agent tells its process number; "" if it does not.
    """
    with suppress(NotRunningError, OSError, KeyError):
        os.kill(ask(socket)["pid"], signal.SIGHUP)
