"""Parses open-vm-tools' tools.conf, a key file of GLib, by GLib's rules.

It serves `vmtpy migrate` and the agent, for whose memory it does without configparser.
"""

from __future__ import annotations

from vmtpy.errors import VmtError

Sections = dict[str, dict[str, str]]
ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
BLANKS = " \t\v\f\r"
NOT_UTF8 = "\ufffd"  # Python's replacement for bytes that are not UTF-8


class ToolsConfError(VmtError, ValueError):
    """GLib refuses a line, so that open-vm-tools ignores the whole file."""


def parse(text: str) -> Sections:
    """The sections with their keys and values. Blanks at the end of a line belong to the value.

    Args:
        text: the file, in which NOT_UTF8 replaces other bytes; values with NOT_UTF8 are ignored.

    Raises:
        ToolsConfError: open-vm-tools would ignore this file and use its defaults.
    """
    sections: Sections = {}
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        words = line.lstrip(BLANKS).removesuffix("\r")
        whole = words.rstrip(BLANKS)
        name, sign, value = words.partition("=")
        if not whole or whole.startswith("#"):
            continue
        if whole.startswith("[") and whole.endswith("]") and len(whole) > 2:
            section = whole[1:-1]
            sections.setdefault(section, {})
        elif not sign or not name or not section:
            raise ToolsConfError(
                f"open-vm-tools ignores this file, because line {number} is not valid"
            )
        elif NOT_UTF8 not in value:
            sections[section][name.rstrip(BLANKS)] = unescaped(value.lstrip(BLANKS))
    return sections


def unescaped(value: str) -> str:
    letters = iter(value)
    text = ""
    for letter in letters:
        if letter == "\\":
            following = next(letters, "")
            text += ESCAPES.get(following, letter + following)
        else:
            text += letter
    return text


def boolean(sections: Sections, section: str, key: str, *, default: bool) -> bool:
    """A boolean by GLib's rules: "true" and "1", "false" and "0", else the default."""
    value = sections.get(section, {}).get(key, "").strip()
    return {"true": True, "1": True, "false": False, "0": False}.get(value, default)
