"""The guest agent: starts the native loop and answers its events. See ARCHITECTURE.md."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vmtpy import __version__, _core
from vmtpy.config import Config
from vmtpy.hooks import Hooks, HookT
from vmtpy.quiesce import RUN_DIRECTORY, Planner, Quiesce

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# RPCI texts: open-vm-tools' services/vmtoolsd and vmt(4). 2147483647 is the version number of tools
# that the administrator keeps himself; 36 says that NVMe disks may be quiesced too.
ANNOUNCE = (
    f"log vmtpy {__version__}: guest agent started",
    "vmx.capability.unified_loop toolbox",
    "tools.capability.features 36=1",
    "tools.set.version 2147483647",
)
WITHDRAW = ("log vmtpy: guest agent stopped",)


def log_to_stderr(line: str) -> None:
    """The log of an agent that was given none: a line on stderr, which services keep."""
    print(f"vmtpy: {line}", file=sys.stderr, flush=True)


class Agent:
    """A guest agent for this virtual machine.

    Args:
        config: what to freeze and how often to poll; the defaults of `Config`.
        log: called with each line of the log, never while something is frozen; stderr.
        on_record: called with the record of each run, after the last thaw.
        backdoor: the way to the host; default: VMware's ports.
        os, planner, guardian: what is frozen, how it is planned and whether the guardian watches;
            for simulated disks only.

    Raises:
        NotVMwareError: there is no VMware host here.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        log: Callable[[str], None] = log_to_stderr,
        on_record: Callable[[_core.RunRecord], None] | None = None,
        backdoor: _core.Backdoor | None = None,
        os: _core.Os | None = None,
        planner: Planner = _core.make_plan,
        guardian: bool = True,
    ) -> None:
        config = config or Config()
        if backdoor is None:
            from vmtpy.probe import host_ports

            backdoor = host_ports()
        clock = _core.SteadyClock()
        self._log = log
        self._hooks = Hooks()
        self._guardian = guardian
        self._native = _core.Agent(
            backdoor,
            clock,
            _core.AgentOptions(
                poll_min=config.poll.min,
                poll_max=config.poll.max,
                poll_busy=config.poll.busy,
                announce=list(ANNOUNCE),
                withdraw=list(WITHDRAW),
            ),
        )
        self._quiesce = Quiesce(
            config.quiesce,
            self._hooks,
            os=os or _core.real_os(),
            clock=clock,
            planner=planner,
            guardian=guardian,
            log=log,
            on_record=on_record,
        )

    def hook(self, hook: HookT) -> HookT:
        """Registers a context manager: entered before the first freeze, left after the last thaw.

        A decorator for functions made with `contextlib.contextmanager`. If the backup does not
        succeed, `vmtpy.hooks.AbortedError` is raised at the `yield`. A hook that fails stops the
        backup, and the host is told its name and its error.
        """
        return self._hooks.add(hook)

    def run(self, stop_on: Sequence[int] = ()) -> None:
        """Serves the host until stop(), or until one of the signals `stop_on` arrives.

        Those signals are handled natively: what is frozen is thawed even if Python is stuck.
        """
        if self._guardian:
            self._thaw_leftovers()
        signals = _core.StopSignals(self._native.stop_fd, list(stop_on)) if stop_on else None
        try:
            self._native.start()
            while self._serve(self._native.next_event()):
                pass
        finally:
            self._native.request_stop()
            del signals

    def stop(self) -> None:
        """Ends run(), from any thread; what is frozen is thawed first and the host is told."""
        self._native.request_stop()

    def _serve(self, event: _core.AgentEvent | None) -> bool:
        kinds = _core.AgentEvent.Kind
        if event is None or event.kind == kinds.STOPPED:
            return False
        if event.kind == kinds.START:
            self._quiesce.start(self._native, event.request)
        elif event.kind == kinds.ENDED:
            self._quiesce.ended(self._native, event.record)
        else:
            self._log(event.text)
        return True

    def _thaw_leftovers(self) -> None:
        for found in _core.thaw_from_markers(_core.real_os(), RUN_DIRECTORY):
            self._log(f"marker of an earlier run: {found.text}")
