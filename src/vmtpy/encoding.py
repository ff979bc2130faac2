"""Encodes and decodes guestinfo values: base64, or gzip in base64, as the variable `KEY.encoding`
says.

It serves _guestinfo.py. The names of encodings are those of cloud-init's DataSourceVMware, and
common spellings of them.
"""

from __future__ import annotations

import binascii

from vmtpy.errors import GuestInfoError

BASE64 = "base64"
GZIP = "gzip+base64"
# The value of KEY.encoding → the encoding. Case and quotes do not matter.
NAMES = {
    "base64": BASE64,
    "b64": BASE64,
    "gzip+base64": GZIP,
    "gzip+b64": GZIP,
    "gz+base64": GZIP,
    "gz+b64": GZIP,
}
# 64 KiB of gzip can contain 64 MiB of zeros, which a host must not make the guest decode.
MOST_UNPACKED = 16 * 1024 * 1024  # bytes
STANDARD = rb"[A-Za-z0-9+/]*={0,2}"
URL_SAFE = rb"[A-Za-z0-9_-]*={0,2}"  # RFC 4648, section 5
MOST_SHOWN = 40  # characters of a host's text in an error


def encode(value: bytes, encoding: str) -> bytes:
    """The encoded value. `encoding` is one of NAMES, or "" for none.

    Raises:
        GuestInfoError: the encoding is unknown.
    """
    if not encoding:
        return value
    if known(encoding) == GZIP:
        import gzip

        value = gzip.compress(value, mtime=0)
    return binascii.b2a_base64(value, newline=False)


def decode(value: bytes, encoding: bytes, name: str) -> bytes:
    """The decoded value. With an empty or blank encoding the value is returned as it is.

    Args:
        value: the host's value.
        encoding: the value of `KEY.encoding`.
        name: the name of the value, for errors.

    Raises:
        GuestInfoError: the encoding is unknown, or the value cannot be decoded by it.
    """
    text = encoding.decode("latin-1").strip(" \t\r\n\0\"'").lower()
    if not text:
        return value
    kind = NAMES.get(text)
    if kind is None:
        raise GuestInfoError(
            f"{name}.encoding is {text[:MOST_SHOWN]!r}, which vmtpy does not know (it knows "
            f"{', '.join(NAMES)}); `vmtpy guestinfo get --raw`, or get(…, raw=True), returns the "
            "value without decoding it"
        )
    unpacked = unpack(value, name)
    return unzip(unpacked, name) if kind == GZIP else unpacked


def unpack(value: bytes, name: str) -> bytes:
    """Decodes base64 with either alphabet, with or without line breaks and padding."""
    import re  # costs what most values, which are plain, need not pay

    text = b"".join(value.split())
    if not re.fullmatch(STANDARD, text):
        if not re.fullmatch(URL_SAFE, text):
            raise GuestInfoError(_not(name, BASE64, "it has other characters"))
        text = text.replace(b"-", b"+").replace(b"_", b"/")
    text = text.rstrip(b"=")
    try:
        unpacked = binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise GuestInfoError(_not(name, BASE64, str(error))) from error
    if binascii.b2a_base64(unpacked, newline=False).rstrip(b"=") != text:
        raise GuestInfoError(_not(name, BASE64, "bits are left at its end"))
    return unpacked


def _not(name: str, encoding: str, reason: str) -> str:
    return f"the value of {name} is not {encoding}, although {name}.encoding says so: {reason}"


def unzip(data: bytes, name: str) -> bytes:
    """Decompresses all members of a gzip file (RFC 1952), one after the other."""
    import zlib

    parts: list[bytes] = []
    room = MOST_UNPACKED + 1
    while True:
        stream = zlib.decompressobj(wbits=31)
        try:
            parts.append(stream.decompress(data, room))
        except zlib.error as error:
            raise GuestInfoError(_not(name, "gzip", str(error))) from error
        room -= len(parts[-1])
        if room <= 0:
            raise GuestInfoError(
                f"the value of {name} has more than {MOST_UNPACKED} bytes when decompressed"
            )
        if not stream.eof:
            raise GuestInfoError(f"the gzip data of {name} is cut short")
        data = stream.unused_data.lstrip(b"\0")  # gzip(1) also treats zeros at the end as padding
        if not data:
            return b"".join(parts)


def known(encoding: str) -> str:
    """The name under which cloud-init knows the encoding.

    Raises:
        GuestInfoError: the encoding is unknown.
    """
    if encoding not in NAMES:
        raise GuestInfoError(
            f"there is no encoding {encoding!r}; the encodings are {', '.join(NAMES)}"
        )
    return NAMES[encoding]
