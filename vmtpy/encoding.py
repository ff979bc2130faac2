"""Values of guestinfo that are not plain: base64, or gzip in base64, as a key's companion
`KEY.encoding` says. The names are those of cloud-init's DataSourceVMware.
"""

from __future__ import annotations

import binascii

from vmtpy.errors import GuestInfoError

BASE64 = "base64"
GZIP = "gzip+base64"
# What a value is written as → what it is.
NAMES = {"base64": BASE64, "b64": BASE64, "gzip+base64": GZIP, "gz+b64": GZIP}
# 64 KiB of gzip can hold 64 MiB of zeros: a host must not have the guest unpack that.
MOST_UNPACKED = 16 * 1024 * 1024


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
    """The value as it was meant. An encoding that is not known means a plain value.

    Raises:
        GuestInfoError: it is not what its encoding says; names `name`.
    """
    kind = NAMES.get(encoding.decode("latin-1").strip().lower())
    if kind is None:
        return value
    try:
        unpacked = binascii.a2b_base64(value)
    except binascii.Error as error:
        raise GuestInfoError(f"{name}: not {BASE64}, as {name}.encoding says: {error}") from error
    return unzip(unpacked, name) if kind == GZIP else unpacked


def unzip(data: bytes, name: str) -> bytes:
    import zlib

    stream = zlib.decompressobj(wbits=31)
    try:
        value = stream.decompress(data, MOST_UNPACKED + 1)
    except zlib.error as error:
        raise GuestInfoError(f"{name}: not gzip, as {name}.encoding says: {error}") from error
    if len(value) > MOST_UNPACKED:
        raise GuestInfoError(f"{name}: unpacked it has more than {MOST_UNPACKED} bytes")
    if not stream.eof:
        raise GuestInfoError(f"{name}: the gzip data is cut short")
    return value


def known(encoding: str) -> str:
    """The encoding's own name.

    Raises:
        GuestInfoError: there is no such encoding.
    """
    if encoding not in NAMES:
        raise GuestInfoError(f"no such encoding: {encoding!r}; known: {', '.join(NAMES)}")
    return NAMES[encoding]
