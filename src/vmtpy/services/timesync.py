"""Compares the guest's clock with the host's, reports the difference, and sets the clock if
allowed.

The clock is set only with `[time] synchronize = true`, and never while an NTP daemon runs or the
kernel reports that another program keeps the clock.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.services.options import switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy.config import TimeConfig

# Names of NTP daemons in /proc/*/comm, which has at most 15 bytes.
NTP_DAEMONS = ("chronyd", "ntpd", "openntpd", "systemd-timesyn")
STEP = 0.5  # seconds; the clock is stepped by a larger difference, and slewed by a smaller one
ENOUGH = 0.001  # seconds; a smaller difference is ignored
NOTEWORTHY = 1.0  # seconds; a difference of this size is logged
OPTIONS = (
    "synctime",
    "synctime.period",
    "time.synchronize.tools.enable",
    "time.synchronize.tools.startup",
    "time.synchronize.tools.percentCorrection",
    "time.synchronize.tools.slewCorrection",
)


class Setter:
    """Sets the clock of this machine."""

    def kept(self) -> str:
        """The program that keeps the clock; "" if none does."""
        return ntp_daemon() or ("another program" if _core.wall_clock_is_kept() else "")

    def step(self, by: float) -> None:
        _core.step_wall_clock(round(by * 1e6))

    def slew(self, by: float) -> None:
        _core.slew_wall_clock(round(by * 1e6))


class TimeSync:
    """Measures the difference of the clocks, and synchronizes them if allowed.

    Args:
        config: whether the clock may be set, and how often to compare.
        read: returns the host's time; None if the host does not know it.
        log: called with lines for the log.
        setter: sets the clock. Default: this machine's clock.
        now: returns the guest's time.
    """

    def __init__(
        self,
        config: TimeConfig,
        read: Callable[[], _core.HostTime | None],
        log: Callable[[str], None],
        *,
        setter: Setter | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._read = read
        self._log = log
        self._setter = setter or Setter()
        self._now = now
        self._wanted = False  # by the host
        self._said = ""
        self.difference: float | None = None  # seconds by which the guest is ahead; None: unknown
        self.due = 0.0  # on time.monotonic()

    def configure(self, config: TimeConfig) -> None:
        """Takes a new configuration and compares the clocks at once."""
        self._config = config
        self.due = 0.0

    def sample(self, now: float) -> None:
        """Measures the difference, and synchronizes the clock if the host has asked for it."""
        self.due = now + self._config.interval
        self.measure()
        if self.difference is not None and abs(self.difference) >= NOTEWORTHY:
            word = "ahead of" if self.difference > 0 else "behind"
            seconds = f"{abs(self.difference):.1f} s"
            self._say(f"this guest's clock is {seconds} {word} the host's clock")
        if self._wanted:
            self.synchronize()

    def measure(self) -> float | None:
        """Measures by how many seconds the guest's clock is ahead; None without a host's time."""
        before = self._now()
        host = self._read()
        after = self._now()
        self.difference = None if host is None else (before + after) / 2 - host.unix_us / 1e6
        return self.difference

    def synchronize(self) -> bool:
        """Sets the guest's clock to the host's time, if allowed. Returns whether it was allowed."""
        if not self._config.synchronize:
            self._say(
                "the host asks to set this guest's clock, but [time] synchronize is false; set it "
                "to true, or run an NTP client"
            )
            return False
        if keeper := self._setter.kept():
            self._say(f"the clock was not set to the host's time, because {keeper} keeps it")
            return False
        difference = self.measure()
        if difference is None:
            return False
        if abs(difference) >= STEP:
            self._log(f"the clock was set by {-difference:+.3f} s to the host's time")
            self._setter.step(-difference)
        elif abs(difference) >= ENOUGH:
            self._setter.slew(-difference)
        return True

    def want(self, value: str) -> bool:
        """`synctime 0|1`: begin or stop to synchronize the clock. False for another value."""
        on = switch(value)
        if on is None:
            return False
        self._wanted = on
        if on:
            self.due = 0.0
        return True

    def at_startup(self, value: str) -> bool:
        """`time.synchronize.tools.startup 0|1`: synchronize once, now. False for another value."""
        on = switch(value)
        if on:
            self.synchronize()
        return on is not None

    def request(self, argument: str) -> bytes:
        """`Time_Synchronize 0|1`: synchronize once, now. Returns the answer."""
        if switch(argument) is None:
            return b"ERROR Time_Synchronize: expected 0 or 1"
        self.synchronize()
        return b"OK "

    def options(self) -> dict[str, Callable[[str], bool]]:
        """The host's options about the time: name → called with the value, False if it is wrong."""
        accepted = dict.fromkeys(OPTIONS, is_number)
        return {
            **accepted,
            "synctime": self.want,
            "time.synchronize.tools.startup": self.at_startup,
        }

    def _say(self, line: str) -> None:
        """Logs a line, unless the last one was of the same kind."""
        kind = line.partition(" is ")[0]
        if kind != self._said:
            self._said = kind
            self._log(line)


def is_number(value: str) -> bool:
    return value.isascii() and value.isdigit()


def ntp_daemon(proc: str = "/proc") -> str:
    """The name of an NTP daemon that runs here; "" if there is none."""
    for name in os.listdir(proc):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            comm = Path(f"{proc}/{name}/comm").read_text("utf-8", "replace").strip()
        except OSError:  # the process has ended meanwhile
            continue
        if comm in NTP_DAEMONS:
            return "systemd-timesyncd" if comm == "systemd-timesyn" else comm
    return ""
