"""`Set_Option KEY VALUE`: what the host wants of the guest from now on.

The native loop has answered it already: hosts set many options that a Linux guest does not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Options:
    """The options that services have asked for.

    Args:
        handlers: option → called with its value; False if the value is none of its.
        log: called with a line for the first such value of each option.
    """

    def __init__(
        self, handlers: dict[str, Callable[[str], bool]], log: Callable[[str], None]
    ) -> None:
        self._handlers = handlers
        self._log = log
        self._refused: set[str] = set()

    def set(self, arguments: str) -> None:
        """Takes `KEY VALUE`. An option that nobody asked for, or a bad value, changes nothing."""
        key, _, value = arguments.partition(" ")
        handler = self._handlers.get(key)
        if handler is None or handler(value) or key in self._refused:
            return
        self._refused.add(key)
        self._log(f"the host sets {key} to {value!r}, which is no value of this option: ignored")


def switch(value: str) -> bool | None:
    """A value that is on or off; None for any other."""
    return {"1": True, "0": False}.get(value)
