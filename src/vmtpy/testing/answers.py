"""The answers and the faults of a test's emulated host, as the base class of EmulatedHost.

It serves src/vmtpy/testing/host.py and relies on the native device and vsock service.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from vmtpy import _host
from vmtpy._arguments import check_type

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTHING_WAITS = 1  # the status SUCCESS without DORECV: the host has no message for the guest
_SENDSIZE, _RECVSIZE = 1, 3  # steps of the backdoor's message channel


class HostAnswers:
    """The part of EmulatedHost that sets its answers and its faults.

    Attributes:
        device: the emulated VMware.
    """

    def __init__(self, device: _host.Device) -> None:
        self.device = device
        self._vsock: _host.VsockService | None = None

    def answer(self, prefix: str | bytes, data: str | bytes = b"", *, times: int = 0) -> None:
        """Grants the requests that begin with `prefix`, in place of the usual answer.

        Args:
            prefix: how the requests begin.
            data: what follows the "1 " of the answer. Default: nothing.
            times: how many such requests are granted; 0 means all. Default: all.

        Raises:
            TypeError: `prefix` or `data` is neither str nor bytes.
            ValueError: `times` is negative.
        """
        self.answer_raw(prefix, b"1 " + to_bytes("data", data), times=times)

    def refuse(self, prefix: str | bytes, reason: str | bytes, *, times: int = 0) -> None:
        """Refuses the requests that begin with `prefix`.

        Args:
            prefix: how the requests begin.
            reason: what follows the "0 " of the answer.
            times: as for answer().

        Raises:
            TypeError, ValueError: as answer().
        """
        self.answer_raw(prefix, b"0 " + to_bytes("reason", reason), times=times)

    def answer_raw(self, prefix: str | bytes, answer: str | bytes, *, times: int = 0) -> None:
        """Answers the requests that begin with `prefix` by any bytes, even by invalid ones.

        Args:
            prefix: how the requests begin.
            answer: the whole answer.
            times: as for answer().

        Raises:
            TypeError, ValueError: as answer().
        """
        if times < 0:
            raise ValueError(f"times must be 0 or more, not {times}")
        self.device.answer_with(to_bytes("prefix", prefix), to_bytes("answer", answer), times)

    def drop_answers(self, times: int = 1, *, after: int = 0) -> None:
        """Loses answers on their way to the guest; the host has heard the requests.

        Args:
            times: how many answers are lost; a guest may ask again. Default: 1.
            after: how many answers arrive first. Default: 0.

        Raises:
            ValueError: `times` is less than 1, or `after` is negative.
        """
        _check_counts(times, after)
        self.device.misbehave(_RECVSIZE, after=after, times=times, status=_NOTHING_WAITS)
        if self._vsock is not None:
            self._vsock.misbehave(_host.VsockFault.SILENCE, after=after, times=times)

    def refuse_messages(self, times: int = 1, *, after: int = 0) -> None:
        """Breaks off the conversation when the guest sends a message.

        Args:
            times: for how many messages; a guest may try again on a new channel. Default: 1.
            after: how many messages are taken first. Default: 0.

        Raises:
            ValueError: as drop_answers().
        """
        _check_counts(times, after)
        self.device.misbehave(_SENDSIZE, after=after, times=times, status=0)
        if self._vsock is not None:
            self._vsock.misbehave(_host.VsockFault.CLOSE, after=after, times=times)

    def reset(self) -> None:
        """Forgets all channels and closes all connections, as a host that has restarted."""
        self.device.lose_channels()
        if self._vsock is not None:
            self._vsock.drop_connections()

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Answers nothing while the `with` block lasts.

        A guest that uses the backdoor stands still meanwhile, as in a stunned virtual machine; a
        guest that uses vsock waits. So let another thread or a program ask: for the thread that has
        entered the block, a request over the backdoor is a VmtError, as it would wait forever.
        """
        self.device.stun(time.monotonic(), other_threads=True)
        try:
            yield
        finally:
            self.device.resume()


def to_bytes(name: str, text: str | bytes) -> bytes:
    """Encodes text as UTF-8. Raises TypeError for anything but str and bytes."""
    check_type(name, text, (str, bytes), "str or bytes")
    return text.encode() if isinstance(text, str) else text


def _check_counts(times: int, after: int) -> None:
    if times < 1:
        raise ValueError(f"times must be 1 or more, not {times}")
    if after < 0:
        raise ValueError(f"after must be 0 or more, not {after}")
