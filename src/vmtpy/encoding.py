"""Values of guestinfo that are not plain: base64, or gzip in base64, as a key's companion
`KEY.encoding` says. The names are those of cloud-init's DataSourceVMware, and what people write
instead of them.
"""

from __future__ import annotations

import binascii

from vmtpy.errors import GuestInfoError

BASE64 = "base64"
GZIP = "gzip+base64"
# What a value is written as → what it is. Case and quotes do not matter.
NAMES = {
    "base64": BASE64,
    "b64": BASE64,
    "gzip+base64": GZIP,
    "gzip+b64": GZIP,
    "gz+base64": GZIP,
    "gz+b64": GZIP,
}
# 64 KiB of gzip can hold 64 MiB of zeros: a host must not have the guest unpack that.
MOST_UNPACKED = 16 * 1024 * 1024
STANDARD = rb"[A-Za-z0-9+/]*={0,2}"
URL_SAFE = rb"[A-Za-z0-9_-]*={0,2}"  # RFC 4648, section 5
MOST_SHOWN = 40  # characters of a host's text in an error


def encode(value: bytes, encoding: str) -> bytes:
    """The value as it is sent. `encoding` is one of NAMES, "" for a plain one.

    Raises:
        GuestInfoError: there is no such encoding.
    """
    if not encoding:
        return value
    if known(encoding) == GZIP:
        import gzip

        value = gzip.compress(value, mtime=0)
    return binascii.b2a_base64(value, newline=False)


def decode(value: bytes, encoding: bytes, name: str) -> bytes:
    """The value as it was meant. No encoding, or a blank one, means a plain value.

    Args:
        value: as the host has it.
        encoding: the value of `KEY.encoding`.
        name: of the value, for errors.

    Raises:
        GuestInfoError: the encoding is not known, or the value is not what it says.
    """
    text = encoding.decode("latin-1").strip(" \t\r\n\0\"'").lower()
    if not text:
        return value
    kind = NAMES.get(text)
    if kind is None:
        raise GuestInfoError(
            f"{name}.encoding is {text[:MOST_SHOWN]!r}, which vmtpy does not know; "
            f"known: {', '.join(NAMES)}. As it is: vmtpy guestinfo get --raw, "
            "or get(…, raw=True)"
        )
    unpacked = unpack(value, name)
    return unzip(unpacked, name) if kind == GZIP else unpacked


def unpack(value: bytes, name: str) -> bytes:
    """The bytes of a text in base64, of either alphabet, in lines or not, padded or not."""
    import re  # costs what most values, which are plain, need not pay

    text = b"".join(value.split())
    if not re.fullmatch(STANDARD, text):
        if not re.fullmatch(URL_SAFE, text):
            raise GuestInfoError(f"{name}: not {BASE64}, as {name}.encoding says: other characters")
        text = text.replace(b"-", b"+").replace(b"_", b"/")
    text = text.rstrip(b"=")
    try:
        unpacked = binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise GuestInfoError(f"{name}: not {BASE64}, as {name}.encoding says: {error}") from error
    if binascii.b2a_base64(unpacked, newline=False).rstrip(b"=") != text:
        raise GuestInfoError(f"{name}: not {BASE64}, as {name}.encoding says: bits left at its end")
    return unpacked


def unzip(data: bytes, name: str) -> bytes:
    """The contents of all members of a gzip file (RFC 1952), one after the other."""
    import zlib

    parts: list[bytes] = []
    room = MOST_UNPACKED + 1
    while True:
        stream = zlib.decompressobj(wbits=31)
        try:
            parts.append(stream.decompress(data, room))
        except zlib.error as error:
            raise GuestInfoError(f"{name}: not gzip, as {name}.encoding says: {error}") from error
        room -= len(parts[-1])
        if room <= 0:
            raise GuestInfoError(f"{name}: unpacked it has more than {MOST_UNPACKED} bytes")
        if not stream.eof:
            raise GuestInfoError(f"{name}: the gzip data is cut short")
        data = stream.unused_data.lstrip(b"\0")  # gzip(1) takes zeros at the end for padding, too
        if not data:
            return b"".join(parts)


def known(encoding: str) -> str:
    """The encoding's own name.

    Raises:
        GuestInfoError: there is no such encoding.
    """
    if encoding not in NAMES:
        raise GuestInfoError(f"no such encoding: {encoding!r}; known: {', '.join(NAMES)}")
    return NAMES[encoding]
