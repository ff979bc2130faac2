"""The hooks of an agent: executables and context managers, called before the first freeze and after
the last thaw, and never while a filesystem is frozen.

They freeze in this order: the scripts of open-vm-tools (if configured), the hooks directory by
name, entry points (if configured), `@agent.hook` as registered, PostgreSQL. They thaw in reverse
order, and each hook that was called to freeze is called to thaw. Modules for hooks are imported
only when there are hooks, to save the agent's memory.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vmtpy.config import HooksConfig, PostgresqlConfig
from vmtpy.hooks.hook import AbortedError, Call, Hook, HookError, Manager, ManagerT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["AbortedError", "Call", "Hook", "HookError", "Hooks", "Manager", "ManagerT"]


class Hooks:
    """The hooks of an agent, and those that have frozen and must still thaw."""

    def __init__(
        self,
        config: HooksConfig | None = None,
        postgresql: PostgresqlConfig | None = None,
        *,
        log: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config or HooksConfig()
        self._log = log
        self._clock = clock
        self._registered: list[Hook] = []
        self._entry_points: list[Hook] | None = None
        self._postgresql = _postgresql(postgresql, self._config.timeout)
        self._held: list[Hook] = []

    def add(self, manager: ManagerT) -> ManagerT:
        """Registers a context manager under the name of its function, and returns it.

        Raises:
            TypeError: `manager` cannot be called.
        """
        if not callable(manager):
            raise TypeError(
                "manager must be a function that returns a context manager, not "
                f"{type(manager).__name__}"
            )
        from vmtpy.hooks.context import ContextHook

        name = getattr(manager, "__name__", repr(manager))
        self._registered.append(ContextHook(name, manager))
        return manager

    def configure(self, config: HooksConfig, postgresql: PostgresqlConfig) -> None:
        """Takes a new configuration. It must not be called between freeze() and thaw()."""
        self._config = config
        self._postgresql = _postgresql(postgresql, config.timeout)

    def freeze(self, argument: str = "", cancelled: Callable[[], bool] = lambda: False) -> None:
        """Calls all hooks to freeze, one after the other.

        Args:
            argument: the host's script argument, for executables.
            cancelled: called at least every 32 ms while a hook runs, by which the native loop sees
                that Python works; returns whether the backup has been cancelled.

        Raises:
            HookError: a required hook failed, or the backup was cancelled. The hooks that had been
                called to freeze have been called to thaw.
        """
        call = self._call(argument, cancelled)
        try:
            for hook in self._all():
                self._freeze_one(hook, call)
        except BaseException:
            self.thaw(aborted=True, argument=argument, alive=cancelled)
            raise

    def thaw(
        self, *, aborted: bool, argument: str = "", alive: Callable[[], object] = lambda: None
    ) -> None:
        """Calls the hooks that have frozen to thaw, in reverse order, and logs failures.

        Args:
            aborted: whether the backup failed.
            argument: the host's script argument, for executables.
            alive: called before each hook, by which the native loop sees that Python works.
        """
        call = self._call(argument, lambda: False)
        interrupted: BaseException | None = None
        while self._held:
            alive()
            hook = self._held.pop()
            try:
                hook.thaw(call, aborted=aborted)
            except HookError as error:
                self._log(str(error))
            except Exception as error:  # no failure of a hook ends the agent
                self._log(f"hook {hook.name} after the thaw: {type(error).__name__}: {error}")
            except BaseException as error:  # KeyboardInterrupt: the other hooks must still thaw
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def _freeze_one(self, hook: Hook, call: Call) -> None:
        if call.cancelled():
            raise HookError(f"the backup was cancelled before hook {hook.name} ran")
        self._held.append(hook)
        try:
            hook.freeze(call)
        except HookError as error:
            if hook.name not in self._config.optional or call.cancelled():
                raise
            self._log(f"{error}; the hook is optional, so the backup goes on")
            self._held.pop()
            try:
                hook.thaw(call, aborted=True)
            except HookError as failure:
                self._log(str(failure))

    def _all(self) -> Iterator[Hook]:
        from vmtpy.hooks.directory import executables

        yield from executables(self._config, self._log)
        if self._config.entry_points:
            if self._entry_points is None:
                self._entry_points = _entry_points()
            yield from self._entry_points
        yield from self._registered
        yield from self._postgresql

    def _call(self, argument: str, cancelled: Callable[[], bool]) -> Call:
        return Call(self._config.timeout, argument, cancelled, self._log, self._clock)


def _entry_points() -> list[Hook]:
    """The hooks of installed packages, by name.

    Each is loaded in the hook's thread, so that a slow or broken import fails only that hook.
    """
    from importlib import metadata

    from vmtpy.hooks.context import ContextHook

    points = sorted(metadata.entry_points(group="vmtpy.hooks"), key=lambda point: point.name)
    return [ContextHook(point.name, lambda point=point: point.load()()) for point in points]  # type: ignore[misc]


def _postgresql(config: PostgresqlConfig | None, timeout: float) -> list[Hook]:
    if config is None or not config.dsn:
        return []
    from vmtpy.hooks.context import ContextHook

    def manager() -> AbstractContextManager[object]:
        from vmtpy.hooks.postgresql import checkpointed

        return checkpointed(config.dsn, timeout)

    return [ContextHook("postgresql", manager)]
