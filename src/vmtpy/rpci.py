"""`vmtpy.Rpci`: sends requests to the host and returns its replies, over one channel that stays
open.
"""

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

    call() raises `vmtpy.RpcError` if the host refuses a request, and `vmtpy.ChannelError` if the
    channel breaks. Several threads may use one object; after a fork the child needs its own. The
    first call opens the channel; if the host has lost it, the next call opens it again.
    """

    def __init__(
        self,
        backdoor: _core.Backdoor | None = None,
        *,
        transport: Transport = "auto",
        dialer: _core.Dialer | None = None,
    ) -> None:
        """Prepares a conversation. The first call sends something to the host.

        Args:
            backdoor: the backdoor to use in place of this machine's.
            transport: "port", "hypercall" or "vsock" uses only that transport; "auto" uses the
                backdoor, and vsock if there is no backdoor or if the host grants a request only
                over vsock. Default: "auto".
            dialer: opens vsock connections in place of AF_VSOCK.

        Raises:
            NotVMwareError: VMware does not answer; the text says why.
            TypeError, ValueError: an argument has another type, or `transport` is another word.
        """
        ways = find_ways(transport, spare=True, backdoor=backdoor, dialer=dialer)
        self._rpci = _core.Rpci(ways.transports)

    def call(self, request: bytes, *, last: bool = False) -> bytes:
        """Sends one request, at most 64 KiB, and returns the data of the reply.

        Args:
            request: such as `info-get guestinfo.ip`.
            last: no other request follows, so the channel is closed after the reply. Over vsock
                the host is asked to close it, too, so that it releases the ports. Default: False.

        Raises:
            RpcError: the host answered `0 reason`; the attribute `reason` has its words.
            ChannelError: the channel broke, or the host violated the protocol; try again.
            MessageSizeError: the request is too large and was not sent, or the reply is too large.
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
    """What to do about a refusal; "" if no more is known than the host's words."""
    if reason.startswith(DENIED):
        return REMEDY
    if reason.startswith(NOT_PRIVILEGED):  # the core has already tried I/O privilege, if it may
        from vmtpy import surroundings

        refusal = surroundings.io_privilege(_core.io_privilege_error())
        if refusal is not None:
            return f"this host requires I/O privilege, but {refusal.why}: {refusal.remedy}"
    return ""
