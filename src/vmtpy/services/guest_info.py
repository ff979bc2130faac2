"""Reports facts of this guest to the host: names, uptime, network interfaces, disks, statistics.

A fact is reported when it has changed. All are reported again when the host has lost them: after
the channel was opened, after a reset and after a resume. The keys are those of open-vm-tools'
lib/include/guestInfo.h.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from vmtpy.errors import VmtError
from vmtpy.services import disks, nics, os_info, statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy.services.rpc import Rpc

HOST_NAME, DISKS_OLD, OS_FULL_NAME, OS_NAME, UPTIME, STATISTICS = 1, 3, 5, 6, 7, 8
NICS_OLD, NICS, OS_DETAILS = 9, 10, 11
# Seconds to wait after a change of the network, since changes come in bursts; the fewest seconds
# between two looks, since routers and machines with many containers change without a pause.
SETTLING, PAUSE = 0.1, 1.0
# Uptime and disks change all the time, and each report costs 5 traps, so they are reported only in
# every second interval.
SLOW = 2


class GuestInfo:
    """Reports the facts to the host.

    Args:
        interval: seconds between two reports.
        rpc: sends requests to the host.
        log: called with lines for the log.
        renamed: called when the names of the guest or of its operating system have changed.
    """

    def __init__(
        self,
        interval: float,
        rpc: Rpc,
        log: Callable[[str], None],
        renamed: Callable[[], None] = lambda: None,
    ) -> None:
        self._interval = interval
        self._rpc = rpc
        self._log = log
        self._renamed = renamed
        self._known: tuple[str, os_info.OsInfo] | None = None  # the names at the last look
        self._sent: dict[str, bytes] = {}
        self._refused: set[str] = set()
        self._broadcast = False
        self._troubles: set[str] = set()
        self._statistics = statistics.Statistics()
        # On time.monotonic().
        self._looked = -PAUSE
        self._look_due = 0.0
        self._uptime_due = 0.0
        self._disks_due = 0.0
        self._statistics_due = 0.0

    @property
    def due(self) -> float:
        """The time at which update() must be called, on time.monotonic()."""
        return min(self._look_due, self._statistics_due)

    def configure(self, interval: float) -> None:
        """Takes a new interval and reports at once."""
        self._interval = interval
        self._look_due = self._disks_due = 0.0

    def forget(self) -> None:
        """Makes the next update() report all facts again, because the host has lost them."""
        self._sent.clear()
        self._refused.clear()
        self._troubles.clear()
        self._look_due = self._uptime_due = self._disks_due = 0.0

    def changed(self, now: float) -> None:
        """Schedules a report soon, because the network or the host name has changed."""
        self._look_due = min(self._look_due, max(now + SETTLING, self._looked + PAUSE))

    def broadcast(self, on: bool) -> None:
        """Sets whether the agent keeps the primary address in guestinfo.ip."""
        self._broadcast = on
        self._sent.pop("ip", None)
        self._look_due = 0.0

    def update(self, now: float) -> None:
        """Reads the facts that are due, and reports those that have changed."""
        if self._look_due <= now:
            self._looked, self._look_due = now, now + self._interval
            self._look(now)
        if self._statistics_due <= now:
            self._statistics_due = now + statistics.INTERVAL
            if str(STATISTICS) not in self._refused:
                self._sent.pop(str(STATISTICS), None)  # equal statistics are also reported
                self._tell(STATISTICS, self._statistics.take(now))

    def _look(self, now: float) -> None:
        for look in (self._names, self._uptime, self._network, self._disks):
            try:
                if look(now) is None:  # the host is away; all is reported when it is back
                    return
            except (OSError, VmtError) as error:  # VmtError: a stack of disks cannot be followed
                self._complain(f"the guest information could not be read: {error}")

    def _names(self, _now: float) -> bool | None:
        name, system = os.uname().nodename, os_info.read()
        if self._known != (name, system):
            self._known = (name, system)
            self._renamed()
        facts = {
            HOST_NAME: os.fsencode(name),
            OS_FULL_NAME: system.full_name.encode(),
            OS_NAME: system.name.encode(),
            OS_DETAILS: os_info.encode(system),
        }
        here = all(self._tell(key, value) is not None for key, value in facts.items())
        return True if here else None

    def _uptime(self, now: float) -> bool | None:
        if now < self._uptime_due:
            return True
        hundredths = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 100)
        told = self._tell(UPTIME, str(hundredths).encode())
        if told is not None:
            self._uptime_due = now + SLOW * self._interval
        return told

    def _network(self, _now: float) -> bool | None:
        network = nics.read()
        told = self._tell(NICS, nics.encode(network))
        if told is False:
            told = self._tell(NICS_OLD, nics.encode(network, nics.MOST_ADDRESSES_OLD))
        address = nics.primary_address(network)
        if self._broadcast and address and told is not None:
            told = self._send("ip", b"info-set guestinfo.ip " + address.encode(), "guestinfo.ip")
        return told

    def _disks(self, now: float) -> bool | None:
        if now < self._disks_due:
            return True
        self._disks_due = now + SLOW * self._interval
        found = disks.read()
        told = self._send("disks", b"SetGuestDiskInfo " + disks.encode(found), "SetGuestDiskInfo")
        if told is False:
            told = self._tell(DISKS_OLD, disks.encode_old(found))
        return told

    def _tell(self, key: int, value: bytes) -> bool | None:
        return self._send(str(key), b"SetGuestInfo  %d %s" % (key, value), f"SetGuestInfo {key}")

    def _send(self, name: str, request: bytes, what: str) -> bool | None:
        """Sends a fact if it has changed. True: the host has it. False: it refused. None: it is
        away.
        """
        if name in self._refused:
            return False
        if self._sent.get(name) == request:
            return True
        told = self._rpc.tell(request, what)
        if told:
            self._sent[name] = request
        elif told is False:
            self._refused.add(name)  # it is not sent again before the next reset
        return told

    def _complain(self, trouble: str) -> None:
        if trouble not in self._troubles:
            self._troubles.add(trouble)
            self._log(trouble)
