"""open-vm-tools' tools.conf: GLib's key files, read as it reads them. Without configparser, since
the agent looks in here, too.
"""

from __future__ import annotations

Sections = dict[str, dict[str, str]]
ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def parse(text: str) -> Sections:
    """Sections, keys and values. What is not `[section]`, `key = value` or a comment is skipped."""
    found: Sections = {}
    section = ""
    for line in text.splitlines():
        name, sign, value = line.strip().partition("=")
        if name.startswith("#"):
            continue
        if name.startswith("[") and name.endswith("]") and not sign:
            section = name[1:-1]
            found.setdefault(section, {})
        elif sign and section:
            found[section][name.rstrip()] = unescaped(value.lstrip())
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
