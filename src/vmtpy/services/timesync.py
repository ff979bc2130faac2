"""The guest's clock against the host's: measured, reported, and set only where that is wanted.

A clock has one keeper. Where an NTP daemon runs, or the kernel says that its clock is kept, it is
never touched; nor without `[time] synchronize = true`.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from vmtpy import _core, files
from vmtpy.services.options import switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy.config import TimeConfig

# Names of NTP daemons as /proc/*/comm has them: at most 15 bytes.
NTP_DAEMONS = ("chronyd", "ntpd", "openntpd", "systemd-timesyn")
STEP = 0.5  # seconds: a larger difference is stepped, a smaller one slewed
ENOUGH = 0.001  # a smaller one is left alone
NOTEWORTHY = 1.0
OPTIONS = (
    "synctime",
    "synctime.period",
    "time.synchronize.tools.enable",
    "time.synchronize.tools.startup",
    "time.synchronize.tools.percentCorrection",
    "time.synchronize.tools.slewCorrection",
)


class Setter:
    """The clock of this machine: moved for real."""

    def kept(self) -> str:
        """Who keeps it, "" if nobody does."""
        return ntp_daemon() or ("another program" if _core.wall_clock_is_kept() else "")

    def step(self, by: float) -> None:
        _core.step_wall_clock(round(by * 1e6))

    def slew(self, by: float) -> None:
        _core.slew_wall_clock(round(by * 1e6))


class TimeSync:
    """Samples the difference; synchronizes if it may.

    Args:
        config: whether it may, and how often to look.
        read: gives the host's time, None if it does not know it.
        log: called with lines for the log.
        setter: the clock that is moved.
        now: the guest's time.
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
        """Takes a new configuration; a look at once."""
        self._config = config
        self.due = 0.0

    def sample(self, now: float) -> None:
        """Measures; and synchronizes, if the host has asked for it."""
        self.due = now + self._config.interval
        self.measure()
        if self.difference is not None and abs(self.difference) >= NOTEWORTHY:
            word = "ahead of" if self.difference > 0 else "behind"
            self._say(f"this guest's clock is {abs(self.difference):.1f} s {word} the host's")
        if self._wanted:
            self.synchronize()

    def measure(self) -> float | None:
        """Seconds by which the guest's clock is ahead of the host's, None if it cannot be known."""
        before = self._now()
        host = self._read()
        after = self._now()
        self.difference = None if host is None else (before + after) / 2 - host.unix_us / 1e6
        return self.difference

    def synchronize(self) -> bool:
        """Moves the guest's clock to the host's, if that may be. False if it was left alone."""
        if not self._config.synchronize:
            self._say("the host wants the time synchronized; [time] synchronize is not set")
            return False
        if keeper := self._setter.kept():
            self._say(f"the time is not synchronized with the host: {keeper} keeps it")
            return False
        difference = self.measure()
        if difference is None:
            return False
        if abs(difference) >= STEP:
            self._log(f"clock set by {-difference:+.3f} s to the host's time")
            self._setter.step(-difference)
        elif abs(difference) >= ENOUGH:
            self._setter.slew(-difference)
        return True

    def want(self, value: str) -> bool:
        """`synctime 0|1`: keep the clock with the host's, or stop it."""
        on = switch(value)
        if on is None:
            return False
        self._wanted = on
        if on:
            self.due = 0.0
        return True

    def at_startup(self, value: str) -> bool:
        """`time.synchronize.tools.startup 0|1`: once, now."""
        on = switch(value)
        if on:
            self.synchronize()
        return on is not None

    def request(self, argument: str) -> bytes:
        """The answer to `Time_Synchronize 0|1`: once, now."""
        if switch(argument) is None:
            return b"ERROR Time_Synchronize: expected 0 or 1"
        self.synchronize()
        return b"OK "

    def options(self) -> dict[str, Callable[[str], bool]]:
        """The options that are about the time."""
        accepted = dict.fromkeys(OPTIONS, is_number)
        return {
            **accepted,
            "synctime": self.want,
            "time.synchronize.tools.startup": self.at_startup,
        }

    def _say(self, line: str) -> None:
        """A line that is not said twice in a row."""
        kind = line.partition(" is ")[0]
        if kind != self._said:
            self._said = kind
            self._log(line)


def is_number(value: str) -> bool:
    return value.isascii() and value.isdigit()


def ntp_daemon(proc: str = "/proc") -> str:
    """The name of an NTP daemon that runs here, "" if none does."""
    for name in os.listdir(proc):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            comm = files.read_text(f"{proc}/{name}/comm").strip()
        except OSError:  # it has ended meanwhile
            continue
        if comm in NTP_DAEMONS:
            return "systemd-timesyncd" if comm == "systemd-timesyn" else comm
    return ""
