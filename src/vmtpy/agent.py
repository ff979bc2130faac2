"""The guest agent: starts the native loop, and answers the events that it queues for Python.

It serves `vmtpy run` and programs that embed an agent. It relies on the native loop
(csrc/agent/agent.h), on quiesce.py for backups and on vmtpy.services for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.agent_status import AgentStatus
from vmtpy.config import Config, check
from vmtpy.errors import ConfigError
from vmtpy.hooks import Hooks, ManagerT
from vmtpy.log import INFO, WARNING, Log, to_stderr
from vmtpy.quiesce import RUN_DIRECTORY, Planner, Quiesce
from vmtpy.service_manager import ServiceManager
from vmtpy.services.announce import announce, tools_state, withdraw
from vmtpy.services.service_set import ServiceSet
from vmtpy.transport import find_ways

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmtpy.results import RunRecord


class Agent:
    """A guest agent for this virtual machine.

    Args:
        config: the configuration. Default: `Config()`.
        log: called with each line of the log, never while a filesystem is frozen; or a
            `vmtpy.log.Log`, which has levels. Default: standard error.
        on_record: called with the `vmtpy.RunRecord` of each backup, after the last thaw.
        on_native_record: called with the core's record of each backup, which saves the agent
            1.5 MiB of memory compared with `on_record`.
        backdoor: the backdoor to use in place of this machine's. With a `backdoor` and no `dialer`
            the agent does not use vsock.
        dialer: opens vsock connections in place of AF_VSOCK.
        system, planner, guardian: the system calls, the planner, whether a guardian is started;
            only for simulated disks.
        service_manager: the service manager to notify. Default: none.

    Raises:
        NotVMwareError: there is no VMware host here.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        log: Callable[[str], None] | None = None,
        on_record: Callable[[RunRecord], None] | None = None,
        on_native_record: Callable[[_core.RunRecord], None] | None = None,
        backdoor: _core.Backdoor | None = None,
        dialer: _core.Dialer | None = None,
        system: _core.System | None = None,
        planner: Planner = _core.make_plan,
        guardian: bool = True,
        service_manager: ServiceManager | None = None,
    ) -> None:
        config = check(Config() if config is None else config)
        clock = _core.SteadyClock()
        self._config = config
        ways = find_ways(config.host.transport, backdoor=backdoor, dialer=dialer, clock=clock)
        self._log = log = _as_log(log)
        self._hooks = Hooks(config.hooks, config.postgresql, log=log)
        self._guardian = guardian
        self._rescued = False
        self._service_manager = service_manager or ServiceManager()
        self._on_record = on_record
        self._on_native_record = on_native_record
        self._reload: Callable[[], Config] | None = None
        self._native = _core.Agent(ways.transports, clock, self._options(config))
        self._services = ServiceSet(config, ways, self._native.settle, log, self._tell_names)
        self._status = AgentStatus(config, ways.backdoor)
        self._quiesce = Quiesce(
            config.quiesce,
            self._hooks,
            system=system or _core.real_system(),
            clock=clock,
            planner=planner,
            guardian=guardian,
            log=log,
            on_record=self._record,
        )

    def hook(self, manager: ManagerT) -> ManagerT:
        """Registers a context manager as a hook.

        It is entered before the first freeze and left after the last thaw, by a thread that the
        agent starts for it. If the backup does not succeed, `vmtpy.hooks.AbortedError` is raised
        at the `yield`. A hook that fails or exceeds its time limit stops the backup, and the host
        reads the hook's name and error, unless the configuration lists the hook as optional. This
        method is a decorator for functions made with `contextlib.contextmanager`.

        Args:
            manager: called without arguments for each backup; its name is the name of the hook.

        Returns:
            `manager`, so that this is a decorator.

        Raises:
            TypeError: `manager` cannot be called.
        """
        return self._hooks.add(manager)

    def run(
        self,
        stop_on: Sequence[int] = (),
        *,
        reload_on: Sequence[int] = (),
        reload: Callable[[], Config] | None = None,
    ) -> None:
        """Serves the host until stop() is called or one of the signals `stop_on` arrives.

        The native loop handles these signals, so that it thaws even if Python hangs. At a signal of
        `reload_on` the agent calls `reload` for a new configuration, after the backup if one is
        running. If `reload` raises ConfigError, the agent keeps its configuration.

        Args:
            stop_on: numbers of signals.
            reload_on: numbers of signals.
            reload: returns the new configuration.

        Raises:
            SystemCallError: the loop could not be started.
            TypeError: `stop_on` or `reload_on` is not a list of signals.
        """
        _check_signals("stop_on", stop_on)
        _check_signals("reload_on", reload_on)
        self.thaw_leftovers()
        self._reload = reload
        signals = [
            _core.SignalEvents(self._native.stop_fd, list(stop_on)),
            _core.SignalEvents(self._native.reload_fd, list(reload_on)),
        ]
        try:
            self._native.start()
            while self._serve(self._next_event()):
                pass
            self._services.flush()
        finally:
            self._native.request_stop()
            self._quiesce.close()
            self._services.close()
            del signals[:]

    def thaw_leftovers(self) -> None:
        """Thaws filesystems that stayed frozen when an agent and its guardian were both killed.

        run() calls it first. A program that gives up CAP_SYS_ADMIN before run() calls it earlier,
        because a thaw needs that capability.
        """
        if not self._guardian or self._rescued:
            return
        self._rescued = True
        for result in _core.thaw_from_markers(_core.real_system(), RUN_DIRECTORY):
            self._log(f"marker of an earlier agent: {result.text}")

    def stop(self) -> None:
        """Ends run(). The agent first thaws all filesystems and informs the host. Any thread may
        call it.
        """
        self._native.request_stop()

    def status(self) -> dict[str, object]:
        """The agent's state, as `vmtpy status --json` prints it. Any thread may call it."""
        return self._status.report(self._native.status(), self._services.time_difference)

    def _next_event(self) -> _core.AgentEvent:
        """Waits for the native loop's next event. Between backups the services run meanwhile."""
        while True:
            timeout = None if self._native.quiet or self._quiesce.armed else 0
            if event := self._native.next_event(timeout):
                return event
            self._services.wait(self._native)

    def _serve(self, event: _core.AgentEvent) -> bool:
        kinds = _core.AgentEvent.Kind
        if event.kind == kinds.STOPPED:
            return False
        if event.kind == kinds.COMMAND:
            answer = self._services.command(event.text, event.arguments, event.id)
            self._native.answer(event.id, answer)
        elif event.kind == kinds.ANSWERED:
            self._services.answered(event.id)
        elif event.kind == kinds.ANNOUNCED:
            self._services.announced()
        elif event.kind == kinds.START:
            self._quiesce.start(self._native, event.request)
        elif event.kind == kinds.ENDED:
            self._quiesce.ended(self._native, event.record)
        elif event.kind == kinds.RELOAD:
            self._configure()
        else:
            self._log(event.text, WARNING if event.warning else INFO)
        return True

    def _configure(self) -> None:
        """Reloads the configuration; keeps the old one if the new one has a mistake."""
        if self._reload is None:
            return
        try:
            config = self._reload()
        except ConfigError as error:
            self._status.refused = str(error)
            self._log.error(f"the new configuration was refused, and the old one is kept: {error}")
            return
        self._hooks.configure(config.hooks, config.postgresql)
        self._quiesce.configure(config.quiesce)
        self._services.configure(config)
        self._config = config
        self._native.configure(self._options(config))
        for name in self._status.configure(config):
            self._log.warning(f"the new [{name}] takes effect only after a restart of the agent")
        self._log("the configuration was reloaded")

    def _tell_names(self) -> None:
        """Gives the native loop the new names, with which it answers a host that asks for them."""
        self._native.configure(self._options(self._config))

    def _options(self, config: Config) -> _core.AgentOptions:
        return _core.AgentOptions(
            poll_min=config.poll.min,
            poll_max=config.poll.max,
            poll_busy=config.poll.busy,
            announce=announce(config.tools.version),
            withdraw=withdraw(),
            tools=tools_state(config.guest_info.enabled),
            notify_socket=self._service_manager.socket,
            watchdog=self._service_manager.watchdog,
            # Python reports to the loop while a hook freezes and before each hook that thaws, so it
            # is silent at most for one hook's thaw and for the plan.
            prepare_patience=2 * config.hooks.timeout + 60,
        )

    def _record(self, record: _core.RunRecord) -> None:
        report = self._status.record(record)
        from vmtpy.backup_report import encode

        self._services.report(encode(report))
        if self._on_native_record is not None:
            self._on_native_record(record)
        if self._on_record is not None:
            from vmtpy.results import record_of

            self._on_record(record_of(record))


def _check_signals(name: str, signals: Sequence[int]) -> None:
    if not isinstance(signals, (tuple, list)):
        raise TypeError(f"{name} must be a list of signals, not {type(signals).__name__}")
    for number in signals:
        if not isinstance(number, int):
            raise TypeError(
                f"{name} must be a list of signals, but it contains {type(number).__name__}"
            )


def _as_log(log: Callable[[str], None] | None) -> Log:
    if log is None:
        return to_stderr()
    if isinstance(log, Log):
        return log
    take = log
    return Log(lambda _, line: take(line))
