"""All services of an agent, and the wait of its Python side.

Python waits for an event of the native loop, for a change of the network or of the host name, and
for the time at which a service is due. Services run only between backups: from the first freeze to
the last thaw the native loop holds its queue, and Python waits only for that.
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.services import netlink, power_hooks
from vmtpy.services.guest_info import GuestInfo
from vmtpy.services.options import Options, switch
from vmtpy.services.power import Power
from vmtpy.services.rpc import Rpc
from vmtpy.services.timesync import TimeSync

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from vmtpy.config import Config
    from vmtpy.transport import Ways

# Seconds between two checks whether req.done has gone to the host, after which the report of a
# backup is sent; seconds before a report that could not be sent is sent again.
ENDING, REPORT_AGAIN = 0.02, 5.0
HOST_NAME = "/proc/sys/kernel/hostname"  # polls as POLLERR | POLLPRI when it changes


class ServiceSet:
    """The services of an agent.

    Args:
        config: the agent's configuration.
        ways: the ways to the host.
        settled: called with the number of a power command when its hooks and its own command have
            ended.
        log: called with each line of the log.
        renamed: called when the names of the guest or of its operating system have changed.
    """

    def __init__(
        self,
        config: Config,
        ways: Ways,
        settled: Callable[[int], None],
        log: Callable[[str], None],
        renamed: Callable[[], None] = lambda: None,
    ) -> None:
        self._log = log
        self._renamed = renamed
        self._rpc = Rpc(ways.transports, log)
        self._announced = False
        self._resumed = 0  # the number of the last OS_Resume
        self._broadcasting = False
        self._report: bytes | None = None  # of the last backup, until the host has it
        self._report_due = 0.0
        self._reporting = config.guest_info.enabled and config.guest_info.backup
        self._guest_info: GuestInfo | None = None
        if config.guest_info.enabled:
            self._guest_info = GuestInfo(config.guest_info.interval, self._rpc, log, renamed)
        self._time = TimeSync(config.time, lambda: _core.read_host_time(ways.backdoor), log)
        self._power = Power(config.power, self._rpc, self._power_hooks, settled, log)
        self._hook_timeout = config.hooks.timeout
        self._options = Options({"broadcastIP": self._broadcast, **self._time.options()}, log)
        self._poller = select.poll()
        self._watching = False
        self._changes: socket | None = None
        self._name = -1

    @property
    def time_difference(self) -> float | None:
        """Seconds by which the guest's clock is ahead of the host's; None if unknown."""
        return self._time.difference

    def configure(self, config: Config) -> None:
        """Takes a new configuration."""
        if not config.guest_info.enabled:
            self._guest_info = None
        elif self._guest_info is None:
            interval = config.guest_info.interval
            self._guest_info = GuestInfo(interval, self._rpc, self._log, self._renamed)
            self._guest_info.broadcast(self._broadcasting)
        else:
            self._guest_info.configure(config.guest_info.interval)
        self._reporting = config.guest_info.enabled and config.guest_info.backup
        self._time.configure(config.time)
        self._power.configure(config.power)
        self._hook_timeout = config.hooks.timeout

    def wait(self, agent: _core.Agent) -> None:
        """Waits until the native loop has an event or a service has run."""
        if not self._watching:  # opened here, since an agent that never runs closes nothing
            self._watching = True
            self._poller.register(agent.event_fd, select.POLLIN)
            self._changes = self._watch_network()
            self._name = self._watch_name()
        now = time.monotonic()
        delay = max(0.0, self._due() - now)
        ready = dict(self._poller.poll(min(delay, 3600.0) * 1000 if self._announced else None))
        if agent.event_fd in ready or agent.quiet:
            return
        now = time.monotonic()
        if self._changes and self._changes.fileno() in ready:
            netlink.drain(self._changes)
            self._change(now)
        if self._name in ready:
            self._change(now)
        self._turn(now, agent)

    def announced(self) -> None:
        """Called when the agent has announced itself: the host has no facts of this guest."""
        self._announced = True
        self._rpc.forget()
        if self._guest_info:
            self._guest_info.forget()
        self._time.due = 0.0

    def command(self, name: str, arguments: str, number: int) -> bytes:
        """Runs a command that the native loop passes to Python, and returns the answer."""
        try:
            if name == "Set_Option":
                self._options.set(arguments)
                return b"OK "
            if name == "Time_Synchronize":
                return self._time.request(arguments)
            answer = self._power.request(name, number)
        except Exception as error:  # no failure of a command ends the agent
            self._log(f"{name}: {type(error).__name__}: {error}")
            return f"ERROR {name}: {error}".encode(errors="backslashreplace")
        self._resumed = number if name == "OS_Resume" else self._resumed
        return answer

    def answered(self, number: int) -> None:
        """Called when the host has the answer to a command."""
        if number == self._resumed:  # the guest may have resumed on another host
            self.announced()
        self._power.answered(number)

    def report(self, report: bytes) -> None:
        """Takes the report of a backup, which the host gets after req.done."""
        if self._reporting:
            self._report, self._report_due = report, 0.0

    def flush(self) -> None:
        """Sends a report that is still waiting, once, because the agent ends."""
        if self._report is not None:
            self._tell_report(0.0)

    def close(self) -> None:
        """Closes channels and watches."""
        self._rpc.close()
        if self._changes:
            self._changes.close()
        if self._name >= 0:
            os.close(self._name)

    def _power_hooks(self, name: str) -> list[str]:
        return power_hooks.run_power_hooks(name, self._hook_timeout, self._log)

    def _broadcast(self, value: str) -> bool:
        on = switch(value)
        if on is not None:
            self._broadcasting = on
        if on is not None and self._guest_info:
            self._guest_info.broadcast(on)
        return on is not None

    def _due(self) -> float:
        times = [self._time.due]
        if self._guest_info:
            times.append(self._guest_info.due)
        if self._report is not None:
            times.append(self._report_due)
        return min(times)

    def _turn(self, now: float, agent: _core.Agent) -> None:
        """Runs the services that are due. A failure is logged."""
        try:
            if self._report is not None and self._report_due <= now:
                self._report_due = now + ENDING
                if agent.backup_state == _core.BackupState.IDLE:
                    self._tell_report(now)
            if self._guest_info and self._guest_info.due <= now:
                self._guest_info.update(now)
            if self._time.due <= now:
                self._time.sample(now)
        except Exception as error:
            self._log(f"a service failed: {type(error).__name__}: {error}")

    def _tell_report(self, now: float) -> None:
        """Sends the report, and sends it again later unless the host accepted or refused it."""
        request = b"info-set guestinfo.vmtpy.backup " + (self._report or b"")
        self._report_due = now + REPORT_AGAIN
        if self._rpc.tell(request, "the report of the backup") is not None:
            self._report = None

    def _change(self, now: float) -> None:
        if self._guest_info:
            self._guest_info.changed(now)

    def _watch_network(self) -> socket | None:
        try:
            watch = netlink.watch()
        except OSError as error:
            self._log(
                "the kernel reports no changes of the network, so the host learns of them only at "
                f"[guest_info] interval: {error}"
            )
            return None
        self._poller.register(watch.fileno(), select.POLLIN)
        return watch

    def _watch_name(self) -> int:
        """A descriptor that is ready when the host name has changed; -1 if there is none."""
        try:
            name = os.open(HOST_NAME, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return -1
        self._poller.register(name, select.POLLPRI)
        return name
