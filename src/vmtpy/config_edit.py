"""Changes one key in the text of a configuration file; comments and all other text stay.

It serves `vmtpy-toolbox-cmd config set` and `remove`. The result is parsed and compared with what
it should be, so that a text which this module cannot change is refused.
"""

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
    """A value (bool, number, str or a list of these) in TOML's notation."""
    # A JSON string is a TOML string, except that TOML requires an escape for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def set_key(text: str, table: str, key: str, value: object) -> str:
    """The text with a new value for a key.

    Raises:
        ConfigError: the text is not TOML, or has a form that this module cannot change.
    """
    line = f"{key} = {in_toml(value)}\n"
    return _changed(text, table, key, line, value)


def remove_key(text: str, table: str, key: str) -> str:
    """The text without a key. A text without the key is returned as it is.

    Raises:
        ConfigError: the text is not TOML, or has a form that this module cannot change.
    """
    return _changed(text, table, key, "", None)


def _changed(text: str, table: str, key: str, line: str, value: object) -> str:
    before = tables(text)
    if not line and key not in before.get(table, {}):
        return text
    lines = [old if old.endswith("\n") else f"{old}\n" for old in text.splitlines(keepends=True)]
    place = _find(lines, table, key)
    if place is not None:
        lines[slice(*place)] = [line] if line else []
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
        raise ConfigError(
            f"vmtpy cannot change [{table}] {key} in this file; edit the file by hand"
        )
    return made


def tables(text: str) -> dict[str, Any]:
    """The tables of a configuration file.

    Raises:
        ConfigError: the text is not TOML.
    """
    try:
        parsed: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the text is not valid TOML: {error}") from error
    return parsed


def _head(lines: list[str], table: str) -> int | None:
    head = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]\s*(#.*)?$")
    return next((place for place, line in enumerate(lines) if head.match(line)), None)


def _find(lines: list[str], table: str, key: str) -> tuple[int, int] | None:
    """The first line of a key and the line after its last; a list may have several lines."""
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
