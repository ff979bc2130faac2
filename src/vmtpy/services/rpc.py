"""The services' own channel to the host. A failure is logged once and never raised, and the service
tries again when it is next due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.errors import ChannelError, MessageSizeError
from vmtpy.transport import DENIED, REMEDY

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_WORDS = 400  # bytes of the host's words in the log


class Rpc:
    """Sends requests to the host.

    Args:
        way: the way to the host.
        log: called with a line for each new failure.
    """

    def __init__(self, way: _core.Backdoor | _core.Transports, log: Callable[[str], None]) -> None:
        self._rpci = _core.Rpci(way)
        self._log = log
        self._troubles: set[str] = set()

    def tell(self, request: bytes, what: str) -> bool | None:
        """Sends one request.

        Args:
            request: at most 64 KiB.
            what: a name of the request, for the log.

        Returns:
            True if the host accepted the request, False if it refused it, None if the request could
            not be sent.
        """
        try:
            ok, reply = self._rpci.call(request)
        except ChannelError:
            return None  # the loop has the same trouble and logs it
        except MessageSizeError as error:
            self._complain(f"{what}: {error}")
            return False
        if not ok:
            reason = one_line(reply)
            remedy = f" ({REMEDY})" if reply.startswith(DENIED) else ""
            self._complain(f"the host refused {what}: {reason}{remedy}")
        return ok

    def forget(self) -> None:
        """Forgets which failures were logged, after a reset by the host."""
        self._troubles.clear()

    def close(self) -> None:
        """Closes the channel."""
        self._rpci.close()

    def _complain(self, trouble: str) -> None:
        if trouble not in self._troubles and len(self._troubles) < 100:
            self._troubles.add(trouble)
            self._log(trouble)


def one_line(words: bytes) -> str:
    """The host's words for the log: one short line, without control characters."""
    text = words[:MOST_WORDS].decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else " " for letter in text)
