"""The guest agent: starts the native loop and answers its events. See ARCHITECTURE.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.config import Config, check
from vmtpy.errors import ConfigError
from vmtpy.hooks import Hooks, ManagerT
from vmtpy.log import INFO, WARNING, Log, to_stderr
from vmtpy.notify import Notify
from vmtpy.quiesce import RUN_DIRECTORY, Planner, Quiesce
from vmtpy.services.announce import announce, tools_state, withdraw
from vmtpy.services.services import Services
from vmtpy.status import Story
from vmtpy.transport import find_ways

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmtpy.results import RunRecord


class Agent:
    """A guest agent for this virtual machine.

    Args:
        config: what to freeze and how often to poll; the defaults of `Config`.
        log: called with each line of the log, never while something is frozen; or a
            `vmtpy.log.Log`, which knows levels; stderr.
        on_record: called with the `vmtpy.RunRecord` of each run, after the last thaw.
        on_native_record: the same with the core's record, which saves the agent 1.5 MiB.
        backdoor: one to use instead of this machine's; without a `dialer`, alone.
        dialer: one to connect over vsock with, instead of AF_VSOCK.
        os, planner, guardian: what is frozen, how it is planned and whether the guardian watches;
            for simulated disks only.
        notify: the service manager to be told; nobody.

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
        os: _core.Os | None = None,
        planner: Planner = _core.make_plan,
        guardian: bool = True,
        notify: Notify | None = None,
    ) -> None:
        config = check(Config() if config is None else config)
        clock = _core.SteadyClock()
        ways = find_ways(config.host.transport, backdoor=backdoor, dialer=dialer, clock=clock)
        self._log = log = _as_log(log)
        self._hooks = Hooks(config.hooks, config.postgresql, log=log)
        self._guardian = guardian
        self._rescued = False
        self._notify = notify or Notify()
        self._on_record = on_record
        self._on_native_record = on_native_record
        self._reload: Callable[[], Config] | None = None
        self._native = _core.Agent(ways.transports, clock, self._options(config))
        self._services = Services(config, ways, self._native.settle, log)
        self._story = Story(config, ways.backdoor)
        self._quiesce = Quiesce(
            config.quiesce,
            self._hooks,
            os=os or _core.real_os(),
            clock=clock,
            planner=planner,
            guardian=guardian,
            log=log,
            on_record=self._record,
        )

    def hook(self, manager: ManagerT) -> ManagerT:
        """Registers a context manager: entered before the first freeze, left after the last thaw.

        A decorator for functions made with `contextlib.contextmanager`. A thread of its own enters
        it, waits and leaves it. If the backup does not succeed, `vmtpy.hooks.AbortedError` is
        raised at the `yield`. A hook that fails or exceeds the time limit stops the backup, and
        the host is told its name and its error; unless the configuration calls it optional.

        Args:
            manager: called without arguments for each backup; its name is that of the hook.

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
        """Serves the host until stop(), or until one of the signals `stop_on` arrives.

        Those signals are handled natively: what is frozen is thawed even if Python is stuck. At
        the signals `reload_on`, and not during a backup, `reload` gives a new configuration; if it
        raises ConfigError, the old one stays.

        Args:
            stop_on: numbers of signals.
            reload_on: numbers of signals.
            reload: makes the new configuration.

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
        """Thaws what an agent left frozen that was killed together with its guardian.

        run() begins with it. Whoever gives up rights before calls it first, for it needs them.
        """
        if not self._guardian or self._rescued:
            return
        self._rescued = True
        for found in _core.thaw_from_markers(_core.real_os(), RUN_DIRECTORY):
            self._log(f"marker of an earlier run: {found.text}")

    def stop(self) -> None:
        """Ends run(), from any thread; what is frozen is thawed first and the host is told."""
        self._native.request_stop()

    def status(self) -> dict[str, object]:
        """How the agent is, as `vmtpy status --json` has it. From any thread, at any time."""
        return self._story.report(self._native.status(), self._services.time_difference)

    def _next_event(self) -> _core.AgentEvent:
        """The native loop's next event. Between backups the services run while it is waited for."""
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
        """Takes a new configuration, or keeps the old one."""
        if self._reload is None:
            return
        try:
            config = self._reload()
        except ConfigError as error:
            self._story.refused = str(error)
            self._log.error(f"the configuration stays as it was: {error}")
            return
        self._hooks.configure(config.hooks, config.postgresql)
        self._quiesce.configure(config.quiesce)
        self._services.configure(config)
        self._native.configure(self._options(config))
        for name in self._story.configure(config):
            self._log.warning(f"the new [{name}] counts from the next start only")
        self._log("configuration reloaded")

    def _options(self, config: Config) -> _core.AgentOptions:
        return _core.AgentOptions(
            poll_min=config.poll.min,
            poll_max=config.poll.max,
            poll_busy=config.poll.busy,
            announce=announce(config.tools.version),
            withdraw=withdraw(),
            tools=tools_state(config.guest_info.enabled),
            notify_socket=self._notify.socket,
            watchdog=self._notify.watchdog,
            # Python shows that it is alive while a hook freezes, and before each that thaws: it is
            # silent for one thaw at most, and for the plan.
            prepare_patience=2 * config.hooks.timeout + 60,
        )

    def _record(self, record: _core.RunRecord) -> None:
        report = self._story.record(record)
        from vmtpy.backup_report import encode

        self._services.report(encode(report))
        if self._on_native_record is not None:
            self._on_native_record(record)
        if self._on_record is not None:
            from vmtpy.results import record_of

            self._on_record(record_of(record))


def _check_signals(name: str, signals: Sequence[int]) -> None:
    if not isinstance(signals, (tuple, list)):
        raise TypeError(f"{name}: a list of signals, not {type(signals).__name__}")
    for number in signals:
        if not isinstance(number, int):
            raise TypeError(f"{name}: a list of signals, but one is {type(number).__name__}")


def _as_log(log: Callable[[str], None] | None) -> Log:
    if log is None:
        return to_stderr()
    if isinstance(log, Log):
        return log
    take = log
    return Log(lambda _, line: take(line))
