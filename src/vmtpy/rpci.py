"""RPC to the host: bytes out, bytes back, over one channel that is kept."""

from __future__ import annotations

from vmtpy import _core
from vmtpy.errors import RpcError
from vmtpy.transport import DENIED, REMEDY, find_ways

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from vmtpy.transport import Transport

NOT_PRIVILEGED = b"Guest is not privileged"


class Rpci:
    """A conversation with the host: the guest asks, the host answers::

        with vmtpy.Rpci() as rpci:
            rpci.call(b"info-get guestinfo.hostname")

    call() raises `vmtpy.RpcError` where the host refuses, and `vmtpy.ChannelError` where it breaks
    off. It may be used from several threads; after a fork the child needs one of its
    own. The channel is opened by the first call and, when the host has lost it, by the next one.
    """

    def __init__(
        self,
        backdoor: _core.Backdoor | None = None,
        *,
        transport: Transport = "auto",
        dialer: _core.Dialer | None = None,
    ) -> None:
        """Prepares a conversation; the host hears of it with the first call.

        Args:
            backdoor: one to speak through instead of this machine's.
            transport: "port", "hypercall", "vsock" for that alone; "auto": the backdoor, and vsock
                where there is none, or for what the host grants only there.
            dialer: one to connect over vsock with, instead of AF_VSOCK.

        Raises:
            NotVMwareError: VMware does not answer; the text says why.
            TypeError, ValueError: an argument is of another type, or `transport` another word.
        """
        ways = find_ways(transport, spare=True, backdoor=backdoor, dialer=dialer)
        self._rpci = _core.Rpci(ways.transports)

    def call(self, request: bytes, *, last: bool = False) -> bytes:
        """Sends one request, at most 64 KiB, and returns the data of the reply.

        Args:
            request: such as `info-get guestinfo.ip`.
            last: no other request follows. The channel is closed after the reply; over vsock the
                host is told to close it, too, so that it can release the ports. Default: False.

        Raises:
            RpcError: the host answered `0 reason`; `reason` has its words.
            ChannelError: no conversation, or an answer against the protocol; try again.
            MessageSizeError: the request (nothing was sent) or the reply (it was refused) is too
                large.
            TypeError: the request is not bytes.
        """
        if not isinstance(request, bytes):
            raise TypeError(f"request must be bytes, not {type(request).__name__}")
        ok, data = self._rpci.call(request, last=last)
        if not ok:
            error = RpcError(data)
            error.hint = _hint(data)
            raise error
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


def _hint(reason: bytes) -> str:
    """What to do about a refusal, where more is known than the host's words."""
    if reason.startswith(DENIED):
        return REMEDY
    if reason.startswith(NOT_PRIVILEGED):  # and the core has asked again with it, if it may
        from vmtpy import surroundings

        refusal = surroundings.io_privilege(_core.io_privilege_error())
        if refusal is not None:
            return f"this host asks for I/O privilege, but {refusal.why}: {refusal.remedy}"
    return ""
