"""The services' own channel to the host. Whatever goes wrong is logged, once, and never raised: a
service tries again at its next turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.errors import ChannelError, MessageSizeError
from vmtpy.transport import DENIED, REMEDY

if TYPE_CHECKING:
    from collections.abc import Callable


class Rpc:
    """Tells the host things.

    Args:
        way: to the host.
        log: called with a line for each new trouble.
    """

    def __init__(self, way: _core.Backdoor | _core.Transports, log: Callable[[str], None]) -> None:
        self._rpci = _core.Rpci(way)
        self._log = log
        self._troubles: set[str] = set()

    def tell(self, request: bytes, what: str) -> bool | None:
        """Sends one request.

        Args:
            request: at most 64 KiB.
            what: it is, for the log.

        Returns:
            True if the host took it, False if it refused it, None if it could not be brought there.
        """
        try:
            ok, reply = self._rpci.call(request)
        except ChannelError:
            return None  # the loop has the same trouble, logs it and announces itself afterwards
        except MessageSizeError as error:
            self._complain(f"{what}: {error}")
            return False
        if not ok:
            reason = reply.decode("utf-8", "backslashreplace")
            remedy = f" ({REMEDY})" if reply.startswith(DENIED) else ""
            self._complain(f"the host refused {what}: {reason}{remedy}")
        return ok

    def forget(self) -> None:
        """After a reset: what goes wrong now is logged again."""
        self._troubles.clear()

    def close(self) -> None:
        """Closes the channel."""
        self._rpci.close()

    def _complain(self, trouble: str) -> None:
        if trouble not in self._troubles and len(self._troubles) < 100:
            self._troubles.add(trouble)
            self._log(trouble)
