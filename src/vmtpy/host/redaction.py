"""What a recording keeps of messages that may hold secrets: their commands, and of the rest its
length and a hash, so that the same value is seen to be the same.

The hash is salted and slow, yet a short value can be found by trying all of its kind: who passes a
recording on looks through it first.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from vmtpy import _core
from vmtpy._host import MessageKind

_ROUNDS = 10_000
_OPTIONS = b"vmbackup.startWithOpts "
# These are kept whole. Of what is not among them only the first word is.
_KEPT = {
    MessageKind.RPCI: (
        rb"(info-get |vmbackup\.eventSet |tools\.|vmx\.capability\.|vmx\.set_option |"
        rb"update\.tools\.)"
    ),
    MessageKind.TCLO_COMMAND: (
        rb"(Set_Option |Time_Synchronize |Resolution_Set |vmbackup\.(start|abort|snapshot\w+)( |$))"
    ),
    MessageKind.TCLO_REPLY: rb"(OK ATR |ERROR )",
}
# Of these more than a word is.
_BEGINNINGS = {
    MessageKind.RPCI: rb"(info-set \S+ |SetGuestInfo  \d+ )",
    MessageKind.TCLO_COMMAND: rb"(Vix_1_Relayed_Command )",
    MessageKind.TCLO_REPLY: rb"(OK )",
}
# A message has no more than 65536 bytes. A recording may come from anybody, and a value as long as
# it claims takes memory.
_MARK = re.compile(rb"<redacted (\d{1,5}) bytes [0-9a-f]{12}>")


class Redaction:
    """Redacts messages: the same value under the same salt gives the same text.

    Args:
        salt: of the recording.
    """

    def __init__(self, salt: bytes) -> None:
        self._hash = lru_cache(maxsize=1024)(lambda value: _hash(value, salt))

    def message(self, kind: MessageKind, text: bytes) -> bytes:
        """A request, a command or a reply to a command."""
        if b" " not in text or re.match(_KEPT[kind], text):
            return text
        if text.startswith(_OPTIONS) and _is_plain(text[len(_OPTIONS) :]):
            return text
        beginning = re.match(_BEGINNINGS[kind], text)
        kept = beginning[0] if beginning else text[: text.index(b" ") + 1]
        return kept + self.value(text[len(kept) :])

    def answer(self, text: bytes) -> bytes:
        """The host's to a request; why it refused one is no secret."""
        if not text.startswith(b"1 "):
            return text
        return b"1 " + self.value(text[2:])

    def value(self, value: bytes) -> bytes:
        """What stands for a value."""
        if not value:
            return value
        return b"<redacted %d bytes %s>" % (len(value), self._hash(value))


def redacted_size(text: bytes) -> int | None:
    """How long the value was that has been redacted in a message; None: none was."""
    mark = _MARK.search(text)
    return int(mark[1]) if mark else None


def _hash(value: bytes, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", value, salt, _ROUNDS).hex()[:12].encode()


def _is_plain(body: bytes) -> bool:
    """A host's start of a backup that has no argument for scripts."""
    request, error = _core.parse_start_with_options(body)
    return not error and not request.script_argument
