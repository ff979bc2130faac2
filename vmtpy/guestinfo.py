"""guestinfo: the values that guest and host exchange under names. Values are bytes, not text.

vmtpy.guestinfo.get("answer")      # as it is on the wire; None if there is none
vmtpy.guestinfo["metadata"]        # unpacked as `metadata.encoding` says; KeyError if none
vmtpy.guestinfo["answer"] = b"42"
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from types import ModuleType
from typing import TYPE_CHECKING

from vmtpy import encoding as encodings
from vmtpy.errors import GuestInfoError, MessageSizeError, NoValueError, RpcError
from vmtpy.rpci import Rpci

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

PREFIX = b"guestinfo."
MAX_REQUEST = 65536  # bytes, the whole of "info-set guestinfo.KEY VALUE"
NO_VALUE = b"No value found"
# What stands for "nothing any more": a guest can delete no value. Both as cloud-init does it.
REDACTED = b"---"
NO_ENCODING = b" "


def get(
    key: str | bytes, default: bytes | None = None, *, rpci: Rpci | None = None
) -> bytes | None:
    """The value of a key, or `default` where there is none.

    Args:
        key: with or without the leading "guestinfo."; no blanks.
        default: returned for a key that has no value.
        rpci: an open conversation to use; by default one is made for this call.

    Raises:
        GuestInfoError: no such key can be.
        NotVMwareError, ChannelError, RpcError: as vmtpy.Rpci.
    """
    request = b"info-get " + full_name(key)
    with _conversation(rpci) as host:
        try:
            return host.call(request)
        except RpcError as error:
            if error.reason == NO_VALUE:
                return default
            raise


def set(  # noqa: A001 (used as guestinfo.set)
    key: str | bytes, value: str | bytes, *, rpci: Rpci | None = None
) -> None:
    """Sets the value of a key. A guest can neither delete a key nor make it empty.

    Args:
        key: as for get().
        value: text goes as UTF-8; with the key and the command it has at most 64 KiB.
        rpci: as for get().

    Raises:
        GuestInfoError: no such key can be, or the value is empty.
        MessageSizeError: the value is too large. Nothing was sent.
        NotVMwareError, ChannelError, RpcError: as vmtpy.Rpci.
    """
    name = full_name(key)
    value = _to_bytes(value)
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
    with _conversation(rpci) as host:
        host.call(command + value)


def load(
    key: str | bytes, default: bytes | None = None, *, rpci: Rpci | None = None
) -> bytes | None:
    """The value of a key, unpacked if `KEY.encoding` says base64 or gzip+base64.

    Args:
        key, default, rpci: as for get().

    Raises:
        GuestInfoError: as get(), or the value is not what its encoding says.
        NotVMwareError, ChannelError, RpcError: as vmtpy.Rpci.
    """
    name = full_name(key)
    with _conversation(rpci) as host:
        value = get(name, rpci=host)
        if value is None:
            return default
        encoding = get(name + b".encoding", b"", rpci=host) or b""
    return encodings.decode(value, encoding, os.fsdecode(name))


def store(
    key: str | bytes, value: str | bytes, encoding: str = "", *, rpci: Rpci | None = None
) -> None:
    """Sets the value of a key so that load(), or cloud-init, gets it back.

    Args:
        key, value, rpci: as for set().
        encoding: "base64" or "gzip+base64": packs it and sets `KEY.encoding`; "" for a plain one.

    Raises:
        GuestInfoError: as set(), or there is no such encoding.
        MessageSizeError: it is too large, as packed. Nothing was sent.
        NotVMwareError, ChannelError, RpcError: as vmtpy.Rpci.
    """
    name = full_name(key)
    packed = encodings.encode(_to_bytes(value), encoding)
    with _conversation(rpci) as host:
        set(name, packed, rpci=host)
        if encoding:
            set(name + b".encoding", encodings.known(encoding), rpci=host)
        elif get(name + b".encoding", NO_ENCODING, rpci=host) != NO_ENCODING:
            set(name + b".encoding", NO_ENCODING, rpci=host)


def redact(key: str | bytes, *, rpci: Rpci | None = None) -> None:
    """Overwrites a value that others shall not read any more with "---", as cloud-init does.

    Raises:
        NotVMwareError, ChannelError, RpcError, GuestInfoError: as set().
    """
    name = full_name(key)
    with _conversation(rpci) as host:
        set(name, REDACTED, rpci=host)
        set(name + b".encoding", NO_ENCODING, rpci=host)


def watch(
    key: str | bytes, interval: float = 1.0, *, rpci: Rpci | None = None
) -> Iterator[bytes | None]:
    """The value of a key now and after each change, without end. The host is asked again and again.

    Args:
        key, rpci: as for get().
        interval: seconds between two questions.

    Yields:
        The value as load() gives it, None while there is none.
    """
    import time

    with _conversation(rpci) as host:
        before: object = host  # equal to no value
        while True:
            value = load(key, rpci=host)
            if value != before:
                before = value
                yield value
            time.sleep(interval)


def full_name(key: str | bytes) -> bytes:
    """The key as the host knows it: `guestinfo.KEY`.

    Raises:
        GuestInfoError: it is empty or holds blanks or NUL.
    """
    name = _to_bytes(key).removeprefix(PREFIX)
    if not name:
        raise GuestInfoError("a guestinfo key cannot be empty")
    if b"\0" in name or len(name.split()) != 1 or name.strip() != name:
        raise GuestInfoError(f"a guestinfo key has no blanks: {os.fsdecode(name)!r}")
    return PREFIX + name


def _to_bytes(text: str | bytes) -> bytes:
    # What came in from the command line or the file system goes out as the bytes it was.
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _conversation(rpci: Rpci | None) -> AbstractContextManager[Rpci]:
    return Rpci() if rpci is None else nullcontext(rpci)


class _Mapping(ModuleType):
    """The module itself as a mapping: guestinfo[key]. It cannot be listed, the host has no way."""

    def __getitem__(self, key: str | bytes) -> bytes:
        value = load(key)
        if value is None:
            raise NoValueError(f"no value under {os.fsdecode(full_name(key))}")
        return value

    def __setitem__(self, key: str | bytes, value: str | bytes) -> None:
        store(key, value)

    def __contains__(self, key: str | bytes) -> bool:
        return get(key) is not None

    def __iter__(self) -> Iterator[str]:
        raise TypeError("a guest cannot list the keys of guestinfo")


sys.modules[__name__].__class__ = _Mapping
