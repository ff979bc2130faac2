"""vmtpy's agent as the guest of an emulated host, with a disk that exists in memory only.

It serves tests of hooks and of hosts, and relies on vmtpy.Agent and the native simulated disk.
"""

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

# This configuration runs no hooks of this machine and reports none of its facts.
QUIET = Config(
    hooks=HooksConfig(directory="", entry_points=False), guest_info=GuestInfoConfig(enabled=False)
)


class SimulatedDisk:
    """Filesystems that exist in memory only. A freeze of one blocks those who call write() for it.

    Several threads may use it.
    """

    def __init__(self, paths: Sequence[str] = ("/srv",)) -> None:
        """Makes the filesystems.

        Args:
            paths: their mount points. Default: "/srv" alone.

        Raises:
            ValueError: `paths` is empty.
        """
        if not paths:
            raise ValueError("paths must name one mount point or more")
        self.native = _host.SimulatedDisk(list(paths))
        self._paths = tuple(paths)

    def write(self, path: str) -> float:
        """Writes once; the call waits while the filesystem is frozen.

        Args:
            path: the mount point.

        Returns:
            The seconds for which the write had to wait.

        Raises:
            ValueError: `path` is no mount point of this disk.
        """
        return self.native.write(self._check(path))

    def written(self, path: str) -> int:
        """Returns how many writes the filesystem has had.

        Args:
            path: the mount point.

        Raises:
            ValueError: `path` is no mount point of this disk.
        """
        return self.native.written(self._check(path))

    def frozen(self, path: str) -> bool:
        """Returns whether the filesystem is frozen.

        Args:
            path: the mount point.

        Raises:
            ValueError: `path` is no mount point of this disk.
        """
        return self.native.frozen(self._check(path))

    def hold(self, path: str) -> None:
        """Makes the next freeze wait, as behind a writer that does not finish.

        Args:
            path: the mount point.

        Raises:
            ValueError: `path` is no mount point of this disk.
        """
        self.native.hold(self._check(path))

    def let_go(self, path: str) -> None:
        """Lets the freeze go on that hold() made wait.

        Args:
            path: the mount point.

        Raises:
            ValueError: `path` is no mount point of this disk.
        """
        self.native.let_go(self._check(path))

    def refuse_freeze(self, path: str, error: int) -> None:
        """Makes FIFREEZE fail from now on.

        Args:
            path: the mount point.
            error: the errno with which it fails, such as errno.EIO; 0 ends the failures.

        Raises:
            ValueError: `path` is no mount point of this disk.
        """
        self.native.refuse_freeze(self._check(path), error)

    def thaw_by_someone_else(self, path: str) -> None:
        """Thaws the filesystem, as another program does by `fsfreeze --unfreeze`.

        Args:
            path: the mount point.

        Raises:
            ValueError: `path` is no mount point of this disk.
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

    It calls the hooks of its configuration, and those that `hook()` registers.

    Attributes:
        agent: the `vmtpy.Agent`.
        disk: the `SimulatedDisk` that it freezes.
        log: the agent's log lines so far.
        warnings: those of the log lines that are warnings or errors.
        records: the `vmtpy.RunRecord` of each backup so far.
    """

    def __init__(
        self,
        host: EmulatedHost,
        config: Config | None = None,
        *,
        paths: Sequence[str] = ("/srv",),
    ) -> None:
        """Makes the agent; it runs while the `with` block lasts.

        Args:
            host: the host whose guest the agent is.
            config: the agent's configuration. Default: `Config()` without this machine's hooks and
                without its guest info.
            paths: the mount points of the agent's disk. Default: "/srv" alone.

        Raises:
            ConfigError: the configuration is not valid.
            ValueError: `paths` is empty.
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
        """Registers a hook, as `vmtpy.Agent.hook()` does.

        Args:
            manager: a function made with contextlib.contextmanager.

        Returns:
            `manager` itself, so that this method serves as a decorator.

        Raises:
            TypeError: `manager` is no such function.
        """
        return self.agent.hook(manager)

    def stop(self) -> None:
        """Ends the agent, waits for it, and raises what it raised. It may be called again."""
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
        except BaseException as error:  # stop() raises it
            self._error = error

    def _take_line(self, level: int, line: str) -> None:
        self.log.append(line)
        if level <= WARNING:
            self.warnings.append(line)
