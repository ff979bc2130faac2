"""open-vm-tools' tools.conf: GLib's key files, read as it reads them. Without configparser, since
the agent looks in here, too.
"""

from __future__ import annotations

from vmtpy.errors import VmtError

Sections = dict[str, dict[str, str]]
ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
BLANKS = " \t\v\f\r"
NOT_UTF8 = "\ufffd"  # what Python puts in place of bytes that are not


class ToolsConfError(VmtError, ValueError):
    """A line that GLib does not take: open-vm-tools then uses nothing of the file."""


def parse(text: str) -> Sections:
    """Sections, keys and values. Blanks at the end of a line belong to the value.

    Args:
        text: what is not UTF-8 has been replaced; a value with it does not count.

    Raises:
        ToolsConfError: open-vm-tools uses nothing of this file, but its defaults.
    """
    found: Sections = {}
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        words = line.lstrip(BLANKS).removesuffix("\r")
        whole = words.rstrip(BLANKS)
        name, sign, value = words.partition("=")
        if not whole or whole.startswith("#"):
            continue
        if whole.startswith("[") and whole.endswith("]") and len(whole) > 2:
            section = whole[1:-1]
            found.setdefault(section, {})
        elif not sign or not name or not section:
            raise ToolsConfError(f"open-vm-tools uses nothing of this file, for line {number}")
        elif NOT_UTF8 not in value:
            found[section][name.rstrip(BLANKS)] = unescaped(value.lstrip(BLANKS))
    return found


def unescaped(value: str) -> str:
    parts = iter(value)
    text = ""
    for one in parts:
        text += ESCAPES.get(following := next(parts, ""), one + following) if one == "\\" else one
    return text


def boolean(sections: Sections, section: str, key: str, *, default: bool) -> bool:
    """A value as GLib reads one: "true" and "1", "false" and "0", else the default."""
    value = sections.get(section, {}).get(key, "").strip()
    return {"true": True, "1": True, "false": False, "0": False}.get(value, default)
