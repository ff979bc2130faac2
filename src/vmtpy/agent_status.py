"""How a running agent is, for `vmtpy status`: collected here, served on a Unix socket.

A thread of its own answers, so that it can be asked while the agent waits for hooks, and while
everything is frozen: it imports and writes nothing then.
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

# These are looked at only at the start.
FIXED = ("host", "status", "metrics")


class AgentStatus:
    """What an agent remembers of itself.

    Args:
        config: of the agent.
        backdoor: that it uses; it is asked once for facts about the host.
    """

    def __init__(self, config: Config, backdoor: _core.MeteredBackdoor) -> None:
        self._config = config
        self._backdoor = backdoor
        self._started = time.monotonic()
        self._host: dict[str, object] | None = None
        self._counts = {one.name.lower(): 0 for one in _core.Outcome if one.value}
        self._last: dict[str, object] | None = None
        self._backup_report: dict[str, object] | None = None
        self._last_success: float | None = None
        self.refused = ""  # why the last configuration was not taken

    def record(self, record: _core.RunRecord) -> dict[str, object]:
        """A backup has ended. Returns its report, as guestinfo has it."""
        self._counts[record.outcome.name.lower()] += 1
        self._last = as_dict(record)
        if record.outcome == _core.Outcome.RELEASED and record.all_frozen:
            since_start = record.all_frozen - record.started
            self._last_success = record.started_unix_ns / 1e9 + since_start
        from vmtpy.backup_report import report  # an agent that has made no backup does without

        self._backup_report = report(record)
        return self._backup_report

    def configure(self, config: Config) -> list[str]:
        """A new configuration counts. Returns the tables that have changed in vain."""
        changed = [one for one in FIXED if getattr(config, one) != getattr(self._config, one)]
        self._config = config
        self.refused = ""
        return changed

    def report(self, native: _core.LoopStatus, difference: float | None) -> dict[str, object]:
        """All of it, as JSON has it."""
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
        }


def host(backdoor: _core.Backdoor) -> dict[str, object]:
    """What the host says of itself."""
    found = _core.probe(backdoor, _core.read_cpu())
    hardware = _core.read_hardware(backdoor)
    return {
        "product": PRODUCTS.get(found.product, ""),
        "backdoor_version": found.version,
        "hardware_version": hardware.hardware_version,
        "uuid": hardware.uuid,
    }
