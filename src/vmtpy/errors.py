"""The exception tree: VmtError at the root; leaves also inherit the class of the standard library.

Every error says what happened; `hint`, where it is not empty, says what to do about it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from vmtpy.results import RunRecord


class VmtError(Exception):
    """Root of all errors of this package.

    Attributes:
        hint: what the user can do, "" if nothing is known to help.
    """

    hint: str = ""


class NotVMwareError(VmtError, RuntimeError):
    """No VMware host answers here; the text says what was found instead.

    Raised where a conversation with the host or a fact of the host is asked for. `vmtpy.probe()`
    tells the same without an exception.
    """

    hint: str = "run this inside a VMware virtual machine, or under `vmtpy emulate -- COMMAND`"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.hint


class KernelError(VmtError, RuntimeError):
    """The kernel is older than vmtpy bears; the text names both versions."""

    hint: str = (
        "boot a later kernel: RHEL 8, Debian 10, Ubuntu 20.04, SLES 15 SP2 and what came after "
        "them have one"
    )


class ChannelError(VmtError, ConnectionError):
    """The host broke off, refused, or answered against the protocol.

    Raised by `vmtpy.Rpci.call()` and what uses it. The next call opens another channel.
    """


class MessageSizeError(VmtError, ValueError):
    """A message is larger than the wire allows.

    Nothing was sent, or the reply was refused: a request has at most 64 KiB.
    """


class RpcError(VmtError):
    """The host answered an RPC with `0 reason`.

    Attributes:
        reason: the host's words, bytes.
    """

    def __init__(self, reason: bytes) -> None:
        self.reason = reason
        super().__init__(reason.decode("utf-8", "backslashreplace"))


class NoValueError(VmtError, KeyError):
    """There is no guestinfo value under this key.

    Raised by `vmtpy.guestinfo[key]`; `vmtpy.guestinfo.get()` returns a default instead.
    """

    def __str__(self) -> str:  # KeyError would show it in quotes
        return str(self.args[0])


class GuestInfoError(VmtError, ValueError):
    """A guestinfo key or value that the protocol cannot carry, or an encoding that is not known.

    Nothing was sent, but by a get() that could not unpack what it got.
    """


class PlanError(VmtError, ValueError):
    """It cannot be decided what to freeze, or what was asked for does not exist.

    The text names the mount points and says what to do. Nothing was frozen.
    """


class ConfigError(VmtError, ValueError):
    """A configuration has an unknown key or a bad value.

    The text names the file or the attribute, the key, and what is allowed.
    """


class SystemCallError(VmtError, OSError):
    """A system call failed.

    Attributes:
        call: its name, "FIFREEZE".
        errno: its number; `strerror` and `filename` as in every OSError.
    """

    def __init__(self, call: str, path: str, code: int) -> None:
        OSError.__init__(self, code, os.strerror(code), path or None)
        self.call = call

    def __str__(self) -> str:
        where = f" {self.filename}" if self.filename else ""
        return f"{self.call}{where}: {self.strerror}"


class FreezeError(VmtError):
    """A freeze failed, was aborted, expired, or was lost; everything has been thawed.

    Attributes:
        record: the `vmtpy.RunRecord` of the run.
    """

    def __init__(self, message: str, record: RunRecord | None = None) -> None:
        super().__init__(message)
        self.record = record
