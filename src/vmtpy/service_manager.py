"""Reads the service manager's variables for sd_notify(3) from the environment of `vmtpy run`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import MutableMapping


class ServiceManager(NamedTuple):
    """Where and how often the agent notifies the service manager.

    Attributes:
        socket: the path of the socket, "@name" in the abstract namespace, or "" for none.
        watchdog: seconds without a notification after which the service manager kills the agent;
            0.0 for never.
    """

    socket: str = ""
    watchdog: float = 0.0


def from_environment(environ: MutableMapping[str, str] = os.environ) -> ServiceManager:
    """Reads the variables and removes them, so that children of the agent do not inherit them."""
    socket = environ.pop("NOTIFY_SOCKET", "")
    period = environ.pop("WATCHDOG_USEC", "")
    process = environ.pop("WATCHDOG_PID", str(os.getpid()))
    meant = period.isascii() and period.isdigit() and process == str(os.getpid())
    return ServiceManager(socket, int(period) / 1e6 if meant else 0.0)
