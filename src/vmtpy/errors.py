"""The exception tree: VmtError is the root, and its leaves also inherit from a standard class.

The text of an error says what happened; its `hint`, if not empty, says what to do about it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from vmtpy.results import RunRecord


class VmtError(Exception):
    """The root of all errors of this package.

    Attributes:
        hint: what the user can do; "" if no remedy is known.
    """

    hint: str = ""


class NotVMwareError(VmtError, RuntimeError):
    """No VMware host answers here; the text says what is there instead.

    It is raised by functions that talk to the host or ask it for a fact. `vmtpy.probe()` gives the
    same answer without an exception.
    """

    hint: str = "run this inside a VMware virtual machine, or under `vmtpy emulate -- COMMAND`"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self.hint


class KernelError(VmtError, RuntimeError):
    """The kernel is too old for vmtpy; the text names both versions."""

    hint: str = (
        "boot a later kernel, as in RHEL 8, Debian 10, Ubuntu 20.04, SLES 15 SP2 and their "
        "successors"
    )


class ChannelError(VmtError, ConnectionError):
    """The channel to the host broke, was refused, or the host violated the protocol.

    It is raised by `vmtpy.Rpci.call()` and by functions that use it. The next call opens another
    channel.
    """


class MessageSizeError(VmtError, ValueError):
    """A message is larger than the protocol allows; a request has at most 64 KiB.

    The request was not sent, or the reply was refused.
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

    It is raised by `vmtpy.guestinfo[key]`; `vmtpy.guestinfo.get()` returns a default instead.
    """

    def __str__(self) -> str:  # KeyError would show it in quotes
        return str(self.args[0])


class GuestInfoError(VmtError, ValueError):
    """The protocol cannot carry a guestinfo key or value, or a value cannot be encoded or decoded.

    Only get() sends a request before it raises this error, when it cannot decode the reply.
    """


class PlanError(VmtError, ValueError):
    """No safe plan for a freeze exists, or a path to freeze does not exist.

    The text names the mount points and says what to do. Nothing was frozen.
    """


class ConfigError(VmtError, ValueError):
    """A configuration has an unknown key or a bad value.

    The text names the file or the attribute, the key, and the values that are allowed.
    """


class SystemCallError(VmtError, OSError):
    """A system call failed.

    Attributes:
        call: the name of the call, "FIFREEZE".
        errno: the number of the error; `strerror` and `filename` are as in every OSError.
    """

    def __init__(self, call: str, path: str, code: int) -> None:
        OSError.__init__(self, code, os.strerror(code), path or None)
        self.call = call

    def __str__(self) -> str:
        where = f" {self.filename}" if self.filename else ""
        return f"{self.call}{where}: {self.strerror}"


class FreezeError(VmtError):
    """A freeze failed, was aborted, expired or was lost.

    All filesystems have been thawed, unless the text names one that could not be.

    Attributes:
        record: the `vmtpy.RunRecord` of the freeze, which names the state of each filesystem.
    """

    def __init__(self, message: str, record: RunRecord | None = None) -> None:
        super().__init__(message)
        self.record = record
