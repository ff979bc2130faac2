"""`vmtpy.guestinfo`: the variables that guest and host share. Values are bytes, not text.

vmtpy.guestinfo.get("metadata")           # decoded by metadata.encoding; None without a value
vmtpy.guestinfo.get("metadata", raw=True)  # not decoded
vmtpy.guestinfo["metadata"]               # like get(), but raises KeyError without a value
vmtpy.guestinfo["answer"] = b"42"
"""

from __future__ import annotations

import os

from vmtpy import encoding as encodings
from vmtpy._arguments import check_seconds, check_type
from vmtpy.errors import GuestInfoError, MessageSizeError, NoValueError, RpcError
from vmtpy.rpci import Rpci

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

PREFIX = b"guestinfo."
MAX_REQUEST = 65536  # bytes, the whole of "info-set guestinfo.KEY VALUE"
NO_VALUE = b"No value found"
# Replacements for deleted values, as cloud-init writes them, since a guest cannot delete a value.
REDACTED = b"---"
NO_ENCODING = b" "


class GuestInfo:
    """The guestinfo variables of this virtual machine. `vmtpy.guestinfo` is an instance.

    It can be used as a mapping: `guestinfo[key]` is get(), but raises `vmtpy.NoValueError`, a
    KeyError, if there is no value; `guestinfo[key] = value` is set(); `key in guestinfo` asks the
    host. The keys cannot be listed, since the host has no request for that. All methods raise the
    errors of `vmtpy.Rpci`, and `vmtpy.GuestInfoError` for a key that is not allowed.
    """

    def get(
        self,
        key: str | bytes,
        default: bytes | None = None,
        *,
        raw: bool = False,
        rpci: Rpci | None = None,
    ) -> bytes | None:
        """The value of a key, decoded as `KEY.encoding` says, or `default` if there is no value.

        Args:
            key: the key, with or without the leading "guestinfo."; it has no spaces.
            default: the result for a key without a value. Default: None.
            raw: return the value without decoding it and without asking for `KEY.encoding`.
                Default: False.
            rpci: an open conversation to use. Default: a new one for this call.

        Raises:
            GuestInfoError: the key is not allowed, its encoding is not known, or the value cannot
                be decoded by its encoding.
            TypeError: the key is neither str nor bytes.
            NotVMwareError, ChannelError, RpcError: as vmtpy.Rpci.
        """
        name = full_name(key)
        with _conversation(rpci) as host:
            value = _ask(host, name, last=raw and rpci is None)
            if value is None:
                return default
            if raw:
                return value
            encoding = _ask(host, name + b".encoding", last=rpci is None) or b""
        return encodings.decode(value, encoding, os.fsdecode(name))

    def set(
        self,
        key: str | bytes,
        value: str | bytes,
        encoding: str = "",
        *,
        raw: bool = False,
        rpci: Rpci | None = None,
    ) -> None:
        """Sets the value of a key so that get() and cloud-init read the same value. A guest can
        neither delete a value nor set it empty.

        Args:
            key: as for get().
            value: the value; text is sent as UTF-8. The encoded value, the key and the command
                have at most 64 KiB together.
            encoding: "base64" or "gzip+base64" encodes the value and sets `KEY.encoding`; "", the
                default, sends the value as it is, and clears an encoding that was set before.
            raw: send the value as it is, and do not change `KEY.encoding`. Default: False.
            rpci: as for get().

        Raises:
            GuestInfoError: the key is not allowed, the value is empty, or the encoding is unknown.
            MessageSizeError: the value is too large. Nothing was sent.
            TypeError: the key or the value is neither str nor bytes.
            NotVMwareError, ChannelError, RpcError: as vmtpy.Rpci.
        """
        name = full_name(key)
        check_type("encoding", encoding, str, "str")
        if raw and encoding:
            raise GuestInfoError(
                f"{os.fsdecode(name)}: raw=True and encoding={encoding!r} exclude each other"
            )
        request = _setting(name, encodings.encode(_to_bytes("value", value), encoding))
        with _conversation(rpci) as host:
            host.call(request, last=raw and rpci is None)
            if raw:
                return
            if encoding:
                host.call(_setting(name + b".encoding", encodings.known(encoding).encode()))
            elif (_ask(host, name + b".encoding") or NO_ENCODING) != NO_ENCODING:
                host.call(_setting(name + b".encoding", NO_ENCODING))

    def redact(self, key: str | bytes, *, rpci: Rpci | None = None) -> None:
        """Overwrites a value with `---`, as cloud-init does, so that nobody can read it any more.

        Args:
            key: as for get().
            rpci: as for get().

        Raises:
            NotVMwareError, ChannelError, RpcError, GuestInfoError, TypeError: as set().
        """
        name = full_name(key)
        with _conversation(rpci) as host:
            self.set(name, REDACTED, raw=True, rpci=host)
            self.set(name + b".encoding", NO_ENCODING, raw=True, rpci=host)

    def watch(
        self, key: str | bytes, interval: float = 1.0, *, rpci: Rpci | None = None
    ) -> Iterator[bytes | None]:
        """Yields the value of a key now and after each change, without end, by asking repeatedly.

        Args:
            key: as for get().
            interval: the seconds between two requests, from 0 to 86400. Default: 1.
            rpci: as for get().

        Returns:
            An iterator over the values as get() returns them; None while there is no value. The
            first request is sent when the first value is read from the iterator.

        Raises:
            GuestInfoError, TypeError: as get(), at once.
            ValueError: `interval` is out of range.
            NotVMwareError, ChannelError, RpcError: as get(), from the iterator.
        """
        full_name(key)
        check_seconds("interval", interval, 0.0, 86400.0)
        return self._changes(key, interval, rpci)

    def _changes(
        self, key: str | bytes, interval: float, rpci: Rpci | None
    ) -> Iterator[bytes | None]:
        import time

        with _conversation(rpci) as host:
            before: object = host  # equal to no value
            while True:
                value = self.get(key, rpci=host)
                if value != before:
                    before = value
                    yield value
                time.sleep(interval)

    def __getitem__(self, key: str | bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise NoValueError(f"{os.fsdecode(full_name(key))} has no value")
        return value

    def __setitem__(self, key: str | bytes, value: str | bytes) -> None:
        self.set(key, value)

    def __contains__(self, key: str | bytes) -> bool:
        return self.get(key, raw=True) is not None

    def __iter__(self) -> Iterator[str]:
        raise TypeError("a guest cannot list the keys of guestinfo")


guestinfo = GuestInfo()


def full_name(key: str | bytes) -> bytes:
    """The host's name of a key: `guestinfo.KEY`.

    Raises:
        GuestInfoError: the key is empty, or contains spaces or NUL.
    """
    name = _to_bytes("key", key).removeprefix(PREFIX)
    if not name:
        raise GuestInfoError("a guestinfo key cannot be empty")
    if b"\0" in name or len(name.split()) != 1 or name.strip() != name:
        raise GuestInfoError(f"a guestinfo key must not contain spaces: {os.fsdecode(name)!r}")
    return PREFIX + name


def _ask(host: Rpci, name: bytes, *, last: bool = False) -> bytes | None:
    try:
        return host.call(b"info-get " + name, last=last)
    except RpcError as error:
        if error.reason == NO_VALUE:
            return None
        raise


def _setting(name: bytes, value: bytes) -> bytes:
    """The RPCI request that sets a value."""
    if not value:
        raise GuestInfoError(
            f"{os.fsdecode(name)}: a guest can neither delete a value nor set it empty"
        )
    command = b"info-set " + name + b" "
    room = MAX_REQUEST - len(command)
    if len(value) > room:
        raise MessageSizeError(
            f"{os.fsdecode(name)}: the value has {len(value)} bytes, but at most {room} can be sent"
        )
    return command + value


def _to_bytes(name: str, text: str | bytes) -> bytes:
    if not isinstance(text, (str, bytes)):
        raise TypeError(f"{name} must be str or bytes, not {type(text).__name__}")
    # Text from the command line or a file name is sent as its original bytes.
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _conversation(rpci: Rpci | None) -> AbstractContextManager[Rpci]:
    if rpci is None:
        return Rpci()
    check_type("rpci", rpci, Rpci, "a vmtpy.Rpci or None")
    from contextlib import nullcontext

    return nullcontext(rpci)
