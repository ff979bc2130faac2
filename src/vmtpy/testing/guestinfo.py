"""The host's side of guestinfo, as a mapping.

It serves src/vmtpy/testing/host.py; the native device holds the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy._arguments import check_type

if TYPE_CHECKING:
    from vmtpy import _host

_PREFIX = "guestinfo."


class HostGuestInfo:
    """The host's side of guestinfo: `host.guestinfo[key]`.

    A key may have the leading "guestinfo." or leave it out. Values are bytes; text is stored as
    UTF-8. A key can be set and read back, but not deleted, as on a real host.
    """

    def __init__(self, device: _host.Device) -> None:
        self._device = device

    def get(self, key: str, default: bytes | None = None) -> bytes | None:
        """Returns the value of a key as it is on the wire.

        Args:
            key: a key as the mapping takes it.
            default: what is returned where the key has no value. Default: None.

        Raises:
            TypeError: the key is no str.
        """
        check_type("key", key, str, "str")
        value = self._device.guestinfo(key.removeprefix(_PREFIX))
        return default if value is None else value

    def __getitem__(self, key: str) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: str | bytes) -> None:
        check_type("key", key, str, "str")
        check_type("value", value, (str, bytes), "str or bytes")
        if not key or key.split() != [key]:
            raise ValueError(f"a guestinfo key must not contain blanks or be empty: {key!r}")
        self._device.set_guestinfo(key.removeprefix(_PREFIX), value)

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None
