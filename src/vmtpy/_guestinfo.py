"""guestinfo: the values that guest and host exchange under names. Values are bytes, not text.

vmtpy.guestinfo.get("metadata")           # unpacked as `metadata.encoding` says; None if none
vmtpy.guestinfo.get("metadata", raw=True)  # as it is on the wire
vmtpy.guestinfo["metadata"]               # as get(); KeyError if there is none
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
# What stands for "nothing any more": a guest can delete no value. Both as cloud-init does it.
REDACTED = b"---"
NO_ENCODING = b" "


class GuestInfo:
    """The values of this virtual machine, which guest and host exchange under names.

    `vmtpy.guestinfo` is one. It can be used as a mapping: `guestinfo[key]` is get(), but raises
    `vmtpy.NoValueError`, a KeyError, where there is no value; `guestinfo[key] = value` is set();
    `key in guestinfo` asks the host. The keys cannot be listed: the host has no request for that.
    All of them raise what `vmtpy.Rpci` raises, and `vmtpy.GuestInfoError` for a key that cannot be.
    """

    def get(
        self,
        key: str | bytes,
        default: bytes | None = None,
        *,
        raw: bool = False,
        rpci: Rpci | None = None,
    ) -> bytes | None:
        """The value of a key, unpacked as `KEY.encoding` says, or `default` where there is none.

        Args:
            key: with or without the leading "guestinfo."; no blanks.
            default: returned for a key that has no value.
            raw: give it as it is on the wire, and do not ask for `KEY.encoding`. False.
            rpci: an open conversation to use; by default one is made for this call.

        Raises:
            GuestInfoError: no such key can be, its encoding is not known, or the value is not what
                its encoding says.
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
        """Sets the value of a key so that get(), or cloud-init, gets it back. A guest can neither
        delete a key nor make it empty.

        Args:
            key: as for get().
            value: text goes as UTF-8; with the key and the command it has, packed, at most 64 KiB.
            encoding: "base64" or "gzip+base64": packs it and sets `KEY.encoding`; "" for a plain
                one, which takes back an encoding that was set before.
            raw: send it as it is, and leave `KEY.encoding` alone. False.
            rpci: as for get().

        Raises:
            GuestInfoError: no such key can be, the value is empty, or there is no such encoding.
            MessageSizeError: the value is too large. Nothing was sent.
            TypeError: the key or the value is neither str nor bytes.
            NotVMwareError, ChannelError, RpcError: as vmtpy.Rpci.
        """
        name = full_name(key)
        check_type("encoding", encoding, str, "str")
        if raw and encoding:
            raise GuestInfoError(f"{os.fsdecode(name)}: a raw value is not packed as {encoding}")
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
        """Overwrites a value that others shall not read any more with `---`, as cloud-init does.

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
        """The value of a key now and after each change, without end: the host is asked repeatedly.

        Args:
            key: as for get().
            interval: seconds between two questions, from 0 to 86400.
            rpci: as for get().

        Returns:
            An iterator over the values as get() gives them, None while there is none. The host is
            asked for the first time when the first value is.

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
            raise NoValueError(f"no value under {os.fsdecode(full_name(key))}")
        return value

    def __setitem__(self, key: str | bytes, value: str | bytes) -> None:
        self.set(key, value)

    def __contains__(self, key: str | bytes) -> bool:
        return self.get(key, raw=True) is not None

    def __iter__(self) -> Iterator[str]:
        raise TypeError("a guest cannot list the keys of guestinfo")


guestinfo = GuestInfo()


def full_name(key: str | bytes) -> bytes:
    """The key as the host knows it: `guestinfo.KEY`.

    Raises:
        GuestInfoError: it is empty or holds blanks or NUL.
    """
    name = _to_bytes("key", key).removeprefix(PREFIX)
    if not name:
        raise GuestInfoError("a guestinfo key cannot be empty")
    if b"\0" in name or len(name.split()) != 1 or name.strip() != name:
        raise GuestInfoError(f"a guestinfo key has no blanks: {os.fsdecode(name)!r}")
    return PREFIX + name


def _ask(host: Rpci, name: bytes, *, last: bool = False) -> bytes | None:
    try:
        return host.call(b"info-get " + name, last=last)
    except RpcError as error:
        if error.reason == NO_VALUE:
            return None
        raise


def _setting(name: bytes, value: bytes) -> bytes:
    """The request that sets a value."""
    if not value:
        raise GuestInfoError(
            f"{os.fsdecode(name)}: a guest can neither delete a value nor set it empty"
        )
    command = b"info-set " + name + b" "
    room = MAX_REQUEST - len(command)
    if len(value) > room:
        raise MessageSizeError(
            f"{os.fsdecode(name)}: the value has {len(value)} bytes, at most {room} can be sent"
        )
    return command + value


def _to_bytes(name: str, text: str | bytes) -> bytes:
    if not isinstance(text, (str, bytes)):
        raise TypeError(f"{name} must be str or bytes, not {type(text).__name__}")
    # What came in from the command line or the file system goes out as the bytes it was.
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _conversation(rpci: Rpci | None) -> AbstractContextManager[Rpci]:
    if rpci is None:
        return Rpci()
    check_type("rpci", rpci, Rpci, "a vmtpy.Rpci or None")
    from contextlib import nullcontext

    return nullcontext(rpci)
