"""Compares the guest's clock with the host's, reports the difference, and sets the clock if
allowed.

The clock is set only with `[time] synchronize = true`, and never while an NTP daemon runs or the
kernel reports that another program keeps the clock. As with open-vm-tools, it is set back only if
the host says so: by `Time_Synchronize 1`, by `time.synchronize.tools.startup.backward 1`, or when
somebody switches the synchronization on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.errors import SystemCallError
from vmtpy.services.options import switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy.config import TimeConfig

# Names of NTP daemons in /proc/*/comm, which has at most 15 bytes.
NTP_DAEMONS = ("chronyd", "ntpd", "openntpd", "systemd-timesyn")
STEP = 0.5  # seconds; the clock is stepped by a larger difference, and slewed by a smaller one
ENOUGH = 0.001  # seconds; a smaller difference is ignored
NOTEWORTHY = 1.0  # seconds; a difference of this size is logged
SHORT, MOST_READINGS = 0.01, 5  # seconds of a reading that need not be repeated; readings
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
        self._wanted: bool | None = None  # by the host; None: it has not said
        self._may_step_back = False  # at the next sample
        self._startup_may_step_back = False
        self._said: set[str] = set()  # the kinds of lines that need not be logged again
        self.difference: float | None = None  # seconds by which the guest is ahead; None: unknown
        self.due = 0.0  # on time.monotonic()

    def configure(self, config: TimeConfig) -> None:
        """Takes a new configuration and compares the clocks at once."""
        self._config = config
        self._said.clear()
        self.due = 0.0

    def sample(self, now: float) -> None:
        """Measures the difference, and synchronizes the clock if the host has asked for it."""
        self.due = now + self._config.interval
        self.measure()
        off = abs(self.difference or 0.0)
        if self.difference is not None and off >= NOTEWORTHY:
            word = "ahead of" if self.difference > 0 else "behind"
            self._say("off", f"this guest's clock is {off:.1f} s {word} the host's clock")
        elif self.difference is not None and off < NOTEWORTHY / 2:
            self._said.discard("off")
        if self._wanted:
            self.synchronize(backward=self._may_step_back)
            self._may_step_back = False

    def measure(self) -> float | None:
        """Measures by how many seconds the guest's clock is ahead; None without a host's time.

        The machine may be stopped between the readings of the clocks, for a snapshot for example,
        so a reading that took long is repeated, and the shortest counts.
        """
        self.difference, shortest = None, float("inf")
        for _ in range(MOST_READINGS):
            before = self._now()
            host = self._read()
            after = self._now()
            if host is None:
                break
            took = abs(after - before)  # backward if the clock was set meanwhile
            if took < shortest:
                shortest = took
                self.difference = (before + after) / 2 - host.unix_us / 1e6
            if took <= SHORT:
                break
        return self.difference

    def synchronize(self, *, backward: bool) -> None:
        """Sets the guest's clock to the host's time, if allowed.

        Args:
            backward: whether the clock may be stepped back.
        """
        if not self._config.synchronize:
            self._say(
                "forbidden",
                "the host asks to set this guest's clock, but [time] synchronize is false; set it "
                "to true, or run an NTP client",
            )
            return
        if keeper := self._setter.kept():
            line = f"the clock was not set to the host's time, because {keeper} keeps it"
            self._say("kept", line)
            return
        self._said.discard("kept")
        difference = self.measure()
        if difference is None:
            return
        if difference < STEP:
            self._said.discard("ahead")
        elif not backward:
            self._say(
                "ahead",
                f"this guest's clock is {difference:.1f} s ahead of the host's clock, and the host "
                "does not ask to set it back",
            )
            return
        try:
            self._move(-difference)
        except SystemCallError as error:
            self._say("failed", f"the clock could not be set to the host's time: {error}")
        else:
            self._said.discard("failed")

    def _move(self, by: float) -> None:
        if abs(by) >= STEP:
            self._setter.step(by)
            self._log(f"the clock was set by {by:+.3f} s to the host's time")
        elif abs(by) >= ENOUGH:
            self._setter.slew(by)

    def want(self, value: str) -> bool:
        """`synctime 0|1`: begin or stop to synchronize the clock. False for another value."""
        on = switch(value)
        if on is None:
            return False
        if on:
            # After "0" somebody has switched it on; hosts also say "1" each time the guest is new.
            self._may_step_back = self._may_step_back or self._wanted is False
            self.due = 0.0
        self._wanted = on
        return True

    def at_startup(self, value: str) -> bool:
        """`time.synchronize.tools.startup 0|1`: synchronize once, now. False for another value."""
        on = switch(value)
        if on:
            self.synchronize(backward=self._startup_may_step_back)
        return on is not None

    def back_at_startup(self, value: str) -> bool:
        """`time.synchronize.tools.startup.backward 0|1`: whether at_startup() may step back."""
        on = switch(value)
        if on is not None:
            self._startup_may_step_back = on
        return on is not None

    def request(self, argument: str) -> bytes:
        """`Time_Synchronize 0|1`: synchronize once, now; 1 also steps back. Returns the answer."""
        backward = switch(argument)
        if backward is None:
            return b"ERROR Time_Synchronize: expected 0 or 1"
        self.synchronize(backward=backward)
        return b"OK "

    def options(self) -> dict[str, Callable[[str], bool]]:
        """The host's options about the time: name → called with the value, False if it is wrong."""
        accepted = dict.fromkeys(OPTIONS, is_number)
        return {
            **accepted,
            "synctime": self.want,
            "time.synchronize.tools.startup": self.at_startup,
            "time.synchronize.tools.startup.backward": self.back_at_startup,
        }

    def _say(self, kind: str, line: str) -> None:
        """Logs a line, unless one of its kind was logged and its cause has not gone since."""
        if kind not in self._said:
            self._said.add(kind)
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
