"""Collects the state of a running agent for `vmtpy status`, metrics and `Agent.status()`.

The thread of status_socket.py calls report() also while the agent waits for hooks and while
filesystems are frozen, so report() imports and writes nothing.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from vmtpy import __version__, _core
from vmtpy.backdoor import PRODUCTS
from vmtpy.record import as_dict

if TYPE_CHECKING:
    from vmtpy.config import Config

# The tables of the configuration that the agent reads only at its start.
FIXED = ("host", "status", "metrics")


class AgentStatus:
    """The state of an agent.

    Args:
        config: the agent's configuration.
        backdoor: the agent's backdoor, which is asked once for facts about the host.
    """

    def __init__(self, config: Config, backdoor: _core.MeteredBackdoor) -> None:
        self._config = config
        self._backdoor = backdoor
        self._started = time.monotonic()
        self._host: dict[str, object] | None = None
        self._counts = {outcome.name.lower(): 0 for outcome in _core.Outcome if outcome.value}
        self._last: dict[str, object] | None = None
        self._backup_report: dict[str, object] | None = None
        self._last_success: float | None = None
        self.refused = ""  # why the last new configuration was refused; "" if it was not

    def record(self, record: _core.RunRecord) -> dict[str, object]:
        """Takes the record of a backup that has ended. Returns its report for guestinfo."""
        self._counts[record.outcome.name.lower()] += 1
        self._last = as_dict(record)
        if record.outcome == _core.Outcome.RELEASED and record.all_frozen:
            since_start = record.all_frozen - record.started
            self._last_success = record.started_unix_ns / 1e9 + since_start
        from vmtpy.backup_report import report  # imported with the first backup, to save memory

        self._backup_report = report(record)
        return self._backup_report

    def configure(self, config: Config) -> list[str]:
        """Takes a new configuration. Returns the changed tables that have no effect until a
        restart.
        """
        kept = {table: getattr(self._config, table) for table in FIXED}
        self._config = config._replace(**kept)
        self.refused = ""
        return [table for table in FIXED if getattr(config, table) != kept[table]]

    def report(self, native: _core.LoopStatus, difference: float | None) -> dict[str, object]:
        """The agent's state, for JSON.

        Args:
            native: the state of the native loop.
            difference: the seconds by which the guest's clock is ahead of the host's; None if not
                known.
        """
        now = time.monotonic()
        if self._host is None:
            self._host = host(self._backdoor)
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime": now - self._started,
            "frozen": native.frozen,
            "frozen_for": now - native.busy_since if native.frozen else None,
            "python_stuck_for": now - native.stuck_since if native.stuck_since else None,
            "backup_state": native.backup.name.lower(),
            "backups": {**self._counts},
            "last_backup": self._last,
            "backup_report": self._backup_report,
            "last_success": self._last_success,
            "host": self._host,
            "transport": native.transport,
            "transport_reason": native.transport_reason,
            "channel": {
                "connected": native.connected,
                "trouble": native.trouble,
                "last_poll": now - native.last_poll if native.last_poll else None,
                "polls": native.polls,
                "commands": native.commands,
                "resets": native.resets,
                "losses": native.losses,
            },
            "announced": native.announced,
            "tools_version": self._config.tools.version,
            "time_difference": difference,
            "wire": self._backdoor.counts(),
            "include": list(self._config.quiesce.include),
            "exclude": list(self._config.quiesce.exclude),
            "refused_configuration": self.refused,
            "configuration": in_force(self._config),
        }


def in_force(config: Config) -> dict[str, dict[str, object]]:
    """All values of a configuration, except the one that may contain a password."""
    tables = {name: getattr(config, name)._asdict() for name in config._fields}
    del tables["postgresql"]["dsn"]
    return tables


def host(backdoor: _core.Backdoor) -> dict[str, object]:
    """The facts that the host reports of itself."""
    found = _core.probe(backdoor, _core.read_cpu())
    hardware = _core.read_hardware(backdoor)
    return {
        "product": PRODUCTS.get(found.product, ""),
        "backdoor_version": found.version,
        "hardware_version": hardware.hardware_version,
        "uuid": hardware.uuid,
    }
