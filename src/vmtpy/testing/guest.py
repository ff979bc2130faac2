"""vmtpy's agent as the guest of an emulated host. Its disk exists in memory only."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from vmtpy import _core, _host
from vmtpy.agent import Agent
from vmtpy.config import Config, GuestInfoConfig, HooksConfig
from vmtpy.log import WARNING, Log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

    from vmtpy.hooks import ManagerT
    from vmtpy.results import RunRecord
    from vmtpy.testing.host import EmulatedHost

# No hooks of this machine, and none of its facts.
QUIET = Config(
    hooks=HooksConfig(directory="", entry_points=False), guest_info=GuestInfoConfig(enabled=False)
)


class SimulatedDisk:
    """Filesystems that are not there; a freeze stops who writes to them through write().

    Thread-safe.
    """

    def __init__(self, paths: Sequence[str] = ("/srv",)) -> None:
        """Makes them.

        Args:
            paths: their mount points. "/srv" alone.

        Raises:
            ValueError: there is none.
        """
        if not paths:
            raise ValueError("paths must name one mount point or more")
        self.native = _host.SimulatedDisk(list(paths))
        self._paths = tuple(paths)

    def write(self, path: str) -> float:
        """One write, which waits while the filesystem is frozen.

        Args:
            path: its mount point.

        Returns:
            Seconds that it had to wait.

        Raises:
            ValueError: it is none of this disk.
        """
        return self.native.write(self._check(path))

    def written(self, path: str) -> int:
        """How many writes there were.

        Args:
            path: the mount point.

        Raises:
            ValueError: it is none of this disk.
        """
        return self.native.written(self._check(path))

    def frozen(self, path: str) -> bool:
        """Whether the filesystem is frozen.

        Args:
            path: its mount point.

        Raises:
            ValueError: it is none of this disk.
        """
        return self.native.frozen(self._check(path))

    def hold(self, path: str) -> None:
        """The next freeze waits, as behind a writer that does not come to its end.

        Args:
            path: the mount point.

        Raises:
            ValueError: it is none of this disk.
        """
        self.native.hold(self._check(path))

    def let_go(self, path: str) -> None:
        """Ends what hold() began.

        Args:
            path: the mount point.

        Raises:
            ValueError: it is none of this disk.
        """
        self.native.let_go(self._check(path))

    def refuse_freeze(self, path: str, error: int) -> None:
        """FIFREEZE fails from now on.

        Args:
            path: the mount point.
            error: such as errno.EIO; 0: it does not fail any more.

        Raises:
            ValueError: it is none of this disk.
        """
        self.native.refuse_freeze(self._check(path), error)

    def thaw_by_someone_else(self, path: str) -> None:
        """Thaws, as `fsfreeze --unfreeze` of another program does.

        Args:
            path: the mount point.

        Raises:
            ValueError: it is none of this disk.
        """
        self.native.thaw_by_someone_else(self._check(path))

    def _check(self, path: str) -> str:
        if path not in self._paths:
            raise ValueError(
                f"{path!r} is not a mount point of this disk, which has {', '.join(self._paths)}"
            )
        return path


class SimulatedGuest:
    """A `vmtpy.Agent` in a thread of this process, under an emulated host::

        with EmulatedHost() as host, SimulatedGuest(host) as guest:
            result = host.backup(lambda: print(guest.disk.frozen("/srv")))  # True
            assert result.succeeded

    Hooks are those of its configuration, and those that are given to `hook`.

    Attributes:
        agent: the `vmtpy.Agent`.
        disk: what it freezes.
        log: its lines so far.
        warnings: those of them that are warnings or errors.
        records: the `vmtpy.RunRecord` of each backup so far.
    """

    def __init__(
        self,
        host: EmulatedHost,
        config: Config | None = None,
        *,
        paths: Sequence[str] = ("/srv",),
    ) -> None:
        """Makes the agent; it runs in the `with` block.

        Args:
            host: of the virtual machine.
            config: of the agent. None: the defaults without this machine's hooks and guest info.
            paths: mount points of its disk. "/srv" alone.

        Raises:
            ConfigError: the configuration cannot be.
            ValueError: there is no path.
        """
        self._host = host
        self.disk = SimulatedDisk(paths)
        self.log: list[str] = []
        self.warnings: list[str] = []
        self.records: list[RunRecord] = []
        whole = _core.Plan(self.disk.native.filesystems())
        self.agent = Agent(
            QUIET if config is None else config,
            log=Log(self._take_line),
            on_record=self.records.append,
            backdoor=host.backdoor,
            dialer=host.dialer if host.listens_on_vsock else None,
            system=self.disk.native,
            planner=lambda _: whole,
            guardian=False,
        )
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="simulated guest", daemon=True)

    def hook(self, manager: ManagerT) -> ManagerT:
        """Registers a hook, as `vmtpy.Agent.hook()`.

        Args:
            manager: a function made with contextlib.contextmanager.

        Returns:
            It.

        Raises:
            TypeError: it is no such function.
        """
        return self.agent.hook(manager)

    def stop(self) -> None:
        """Ends the agent and waits for it. What it raised is raised here. May be called again."""
        self.agent.stop()
        if self._thread.ident is not None:
            self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        self._thread.start()
        self._host.wait_until(lambda: self._host.device.tclo_seen() or not self._thread.is_alive())
        if not self._thread.is_alive():
            self.stop()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self.agent.run(stop_on=(), reload_on=())
        except BaseException as error:  # raised by stop()
            self._error = error

    def _take_line(self, level: int, line: str) -> None:
        self.log.append(line)
        if level <= WARNING:
            self.warnings.append(line)
