"""Handles `Set_Option KEY VALUE`, by which the host configures the guest.

The native loop has already answered the command with OK, because hosts set many options that a
Linux guest does not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Options:
    """The options that services use.

    Args:
        handlers: option → called with the value; returns False if the value is not allowed.
        log: called with a line for the first such value of each option.
    """

    def __init__(
        self, handlers: dict[str, Callable[[str], bool]], log: Callable[[str], None]
    ) -> None:
        self._handlers = handlers
        self._log = log
        self._refused: set[str] = set()

    def set(self, arguments: str) -> None:
        """Handles `KEY VALUE`. An unknown option or a value that is not allowed changes nothing."""
        key, _, value = arguments.partition(" ")
        handler = self._handlers.get(key)
        if handler is None or handler(value) or key in self._refused:
            return
        self._refused.add(key)
        self._log(f"the host sets {key} to {value!r}, which is not allowed and was ignored")


def switch(value: str) -> bool | None:
    """True for "1", False for "0", None for any other value."""
    return {"1": True, "0": False}.get(value)
