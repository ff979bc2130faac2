"""RPC to the host: bytes out, bytes back, over one channel that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy import _core
from vmtpy.errors import RpcError
from vmtpy.probe import find_backdoor

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Rpci:
    """A conversation with the host: the guest asks, the host answers.

        with vmtpy.Rpci() as rpci:
            rpci.call(b"info-get guestinfo.hostname")

    It may be used from several threads; after a fork the child needs one of its own. The channel is
    opened by the first call and, when the host has lost it, by the next one.
    """

    def __init__(self, backdoor: _core.Backdoor | None = None) -> None:
        """Prepares a conversation; the host hears of it with the first call.

        Args:
            backdoor: one to speak through instead of the real ports.

        Raises:
            NotVMwareError: the real ports do not answer as VMware does; says why.
        """
        self._rpci = _core.Rpci(find_backdoor() if backdoor is None else backdoor)

    def call(self, request: bytes) -> bytes:
        """Sends one request, at most 64 KiB, and returns the data of the reply.

        Raises:
            RpcError: the host answered `0 reason`; `reason` has its words.
            ChannelError: no conversation, or an answer against the protocol; try again.
            MessageSizeError: the request (nothing was sent) or the reply (it was refused) is too
                large.
        """
        ok, data = self._rpci.call(request)
        if not ok:
            raise RpcError(data)
        return data

    def close(self) -> None:
        """Closes the channel. A later call opens another one."""
        self._rpci.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
