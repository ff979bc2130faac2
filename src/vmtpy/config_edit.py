"""Changes one key of a configuration file and leaves the rest of its text, comments too, alone."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from vmtpy.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def in_toml(value: object) -> str:
    """A value (bool, number, str or list of these) as TOML has it."""
    # JSON's strings are TOML's, but for DEL, which only TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def set_key(text: str, table: str, key: str, value: object) -> str:
    """The text with this value under a key.

    Raises:
        ConfigError: the text is not TOML, or written in a way that cannot be changed here.
    """
    line = f"{key} = {in_toml(value)}\n"
    return _changed(text, table, key, line, value)


def remove_key(text: str, table: str, key: str) -> str:
    """The text without a key; as it was if there is none.

    Raises:
        ConfigError: as set_key().
    """
    return _changed(text, table, key, "", None)


def _changed(text: str, table: str, key: str, line: str, value: object) -> str:
    before = tables(text)
    if not line and key not in before.get(table, {}):
        return text
    lines = [one if one.endswith("\n") else f"{one}\n" for one in text.splitlines(keepends=True)]
    found = _find(lines, table, key)
    if found is not None:
        lines[slice(*found)] = [line] if line else []
    elif (head := _head(lines, table)) is not None:
        lines.insert(head + 1, line)
    else:
        lines += ["\n"] * bool(lines) + [f"[{table}]\n", line]
    made = "".join(lines)
    wanted = {name: dict(keys) for name, keys in before.items()}
    wanted.setdefault(table, {})[key] = value
    if not line:
        del wanted[table][key]
    try:
        good = tomllib.loads(made) == wanted
    except tomllib.TOMLDecodeError:
        good = False
    if not good:
        raise ConfigError(f"[{table}] {key} cannot be changed by a program; edit the file by hand")
    return made


def tables(text: str) -> dict[str, Any]:
    """The tables of a configuration file.

    Raises:
        ConfigError: it is not TOML.
    """
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}") from error
    return found


def _head(lines: list[str], table: str) -> int | None:
    head = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]\s*(#.*)?$")
    return next((place for place, line in enumerate(lines) if head.match(line)), None)


def _find(lines: list[str], table: str, key: str) -> tuple[int, int] | None:
    """From and up to which line a key's value goes, which may be a list over several."""
    head = _head(lines, table)
    if head is None:
        return None
    for first in range(head + 1, len(lines)):
        if re.match(r"\s*\[", lines[first]):
            return None
        if not re.match(rf"\s*{re.escape(key)}\s*=", lines[first]):
            continue
        for end in range(first + 1, len(lines) + 1):
            try:
                tomllib.loads("".join(lines[first:end]))
            except tomllib.TOMLDecodeError:
                continue
            return first, end
    return None
