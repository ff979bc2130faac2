"""`Set_Option KEY VALUE`: what the host wants of the guest from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OK = b"OK "
UNKNOWN = b"ERROR Unknown or invalid option"  # open-vm-tools' words


class Options:
    """The options that services have asked for.

    Args:
        handlers: option → called with its value; False if the value is none of its.
    """

    def __init__(self, handlers: dict[str, Callable[[str], bool]]) -> None:
        self._handlers = handlers

    def set(self, arguments: str) -> bytes:
        """The answer to `Set_Option arguments`: an unknown key and a bad value are errors."""
        key, _, value = arguments.partition(" ")
        handler = self._handlers.get(key)
        return OK if handler and handler(value) else UNKNOWN


def switch(value: str) -> bool | None:
    """A value that is on or off; None for any other."""
    return {"1": True, "0": False}.get(value)
