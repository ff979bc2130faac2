"""guestinfo: the values that guest and host exchange under names. Values are bytes, not text."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

from vmtpy.errors import GuestInfoError, MessageSizeError, RpcError
from vmtpy.rpci import Rpci

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PREFIX = b"guestinfo."
MAX_REQUEST = 65536  # bytes, the whole of "info-set guestinfo.KEY VALUE"
NO_VALUE = b"No value found"


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
