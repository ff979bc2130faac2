"""Whom the service manager wants to be told: the environment of sd_notify(3)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import MutableMapping


class Notify(NamedTuple):
    """Whom to tell.

    Attributes:
        socket: a path, "@name" in the abstract space, or "" for nobody.
        watchdog: seconds without a sign of life after which the service is killed; 0.0: never.
    """

    socket: str = ""
    watchdog: float = 0.0


def from_environment(environ: MutableMapping[str, str] = os.environ) -> Notify:
    """Takes the service manager's variables out of the environment: they are not for children."""
    socket = environ.pop("NOTIFY_SOCKET", "")
    period = environ.pop("WATCHDOG_USEC", "")
    process = environ.pop("WATCHDOG_PID", str(os.getpid()))
    meant = period.isascii() and period.isdigit() and process == str(os.getpid())
    return Notify(socket, int(period) / 1e6 if meant else 0.0)
