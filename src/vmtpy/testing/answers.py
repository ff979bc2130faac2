"""What the emulated host of a test answers, and how it fails."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from vmtpy import _host
from vmtpy._arguments import check_type

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTHING_WAITS = 1  # a status of SUCCESS without DORECV: the host has no message for the guest
_SENDSIZE, _RECVSIZE = 1, 3  # steps of the backdoor's message channel


class HostAnswers:
    """The part of EmulatedHost that is about answers.

    Attributes:
        device: the emulated VMware.
    """

    def __init__(self, device: _host.Device) -> None:
        self.device = device
        self._vsock: _host.VsockService | None = None

    def answer(self, prefix: str | bytes, data: str | bytes = b"", *, times: int = 0) -> None:
        """Grants requests that begin so, in place of the usual answer.

        Args:
            prefix: of the requests.
            data: what follows the "1 " of the answer. Nothing.
            times: for so many of them; 0: for all.

        Raises:
            TypeError: `prefix` or `data` is neither str nor bytes.
            ValueError: `times` is negative.
        """
        self.answer_raw(prefix, b"1 " + to_bytes("data", data), times=times)

    def refuse(self, prefix: str | bytes, reason: str | bytes, *, times: int = 0) -> None:
        """Refuses requests that begin so.

        Args:
            prefix: of the requests.
            reason: what follows the "0 " of the answer.
            times: as for answer().

        Raises:
            TypeError, ValueError: as answer().
        """
        self.answer_raw(prefix, b"0 " + to_bytes("reason", reason), times=times)

    def answer_raw(self, prefix: str | bytes, answer: str | bytes, *, times: int = 0) -> None:
        """Sends any bytes as the answer, even such as no host should send.

        Args:
            prefix: of the requests.
            answer: the whole of it.
            times: as for answer().

        Raises:
            TypeError, ValueError: as answer().
        """
        if times < 0:
            raise ValueError(f"times must be 0 or more, not {times}")
        self.device.answer_with(to_bytes("prefix", prefix), to_bytes("answer", answer), times)

    def drop_answers(self, times: int = 1, *, after: int = 0) -> None:
        """Loses answers to requests on their way to the guest. It has heard the requests.

        Args:
            times: so many of them; a guest may ask again. 1.
            after: so many arrive first. 0.

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
            times: so many messages; a guest may try again on a new channel. 1.
            after: so many are taken first. 0.

        Raises:
            ValueError: as drop_answers().
        """
        _check_counts(times, after)
        self.device.misbehave(_SENDSIZE, after=after, times=times, status=0)
        if self._vsock is not None:
            self._vsock.misbehave(_host.VsockFault.CLOSE, after=after, times=times)

    def reset(self) -> None:
        """Forgets all channels and closes all connections, as a host does that has restarted."""
        self.device.lose_channels()
        if self._vsock is not None:
            self._vsock.drop_connections()

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Answers nothing while the `with` block lasts: a guest at the backdoor stands still, as in
        a stunned virtual machine; over vsock it waits.
        """
        self.device.stun(time.monotonic())
        try:
            yield
        finally:
            self.device.resume()


def to_bytes(name: str, text: str | bytes) -> bytes:
    """Text as UTF-8; raises TypeError for what is neither str nor bytes."""
    check_type(name, text, (str, bytes), "str or bytes")
    return text.encode() if isinstance(text, str) else text


def _check_counts(times: int, after: int) -> None:
    if times < 1:
        raise ValueError(f"times must be 1 or more, not {times}")
    if after < 0:
        raise ValueError(f"after must be 0 or more, not {after}")
