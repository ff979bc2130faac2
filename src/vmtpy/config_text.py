"""The configuration's schema as text: each table and key with its meaning, default and limits.

It serves `vmtpy config` and the documentation, and reads the classes and docstrings of config.py.
The agent does not import it.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from vmtpy.config import FILE, Config, Items, Range, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH = 100


class Key(NamedTuple):
    """One key: its name, its meaning, its default, and the values that are allowed."""

    name: str
    text: str
    default: object
    allowed: str


class Table(NamedTuple):
    """One table of the file: its name, its subject, and its keys."""

    name: str
    text: str
    keys: list[Key]


def tables() -> list[Table]:
    """All tables, in the order of Config's attributes."""
    return [table(name, default) for name, default in Config._field_defaults.items()]


def table(name: str, default: Any) -> Table:  # noqa: ANN401 (a NamedTuple of config.py)
    kind = type(default)
    head, _, rest = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    texts = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", rest, re.MULTILINE))
    hints = get_type_hints(kind, include_extras=True)
    keys = [
        Key(key, sentence(texts.get(key, "")), value, allowed(hints[key], value))
        for key, value in default._asdict().items()
    ]
    return Table(name, sentence(head.partition(": ")[2]), keys)


def sentence(text: str) -> str:
    """The text of a docstring as one line that begins with a capital and ends with a full stop."""
    words = " ".join(text.split()).rstrip(".")
    return words[:1].upper() + words[1:] + "."


def allowed(hint: Any, default: object) -> str:  # noqa: ANN401 (a type hint)
    """The allowed values, in the words of config.py's errors; "" for true and false."""
    (rule,) = getattr(hint, "__metadata__", (None,))
    if isinstance(rule, Range):
        kind = "a whole number" if isinstance(default, int) else "seconds"
        return f"{kind} from {rule.low:.12g} to {rule.high:.12g}"
    if isinstance(rule, Text):
        return rule.words
    return f"a list of {rule.words}" if isinstance(rule, Items) else ""


def toml(value: object) -> str:
    """A value in TOML's notation."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(toml, value))}]"
    # A JSON string is a TOML string, except that TOML requires an escape for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def example() -> str:
    """A whole file: every key with its meaning, and its default as a comment."""
    lines = [
        *comment(
            f"The configuration of vmtpy, {FILE}. Each value here is the default; to change a "
            "value, remove the # before it. `vmtpy config check` finds mistakes, and `systemctl "
            "reload vmtpy` makes the running agent read the file again."
        )
    ]
    for section in tables():
        lines += ["", *comment(section.text), f"[{section.name}]"]
        for key in section.keys:
            limits = f" ({key.allowed})" if key.allowed else ""
            text = key.text.removesuffix(".") + limits + "."
            lines += [*comment(text), f"#{key.name} = {toml(key.default)}"]
    return "\n".join(lines) + "\n"


def comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH - 2, break_on_hyphens=False)]


def effective(config: Config, origin: Callable[[str, str], str]) -> Iterator[str]:
    """The lines of a file with all values; `origin(table, key)` returns the source of a value."""
    for section in tables():
        values = getattr(config, section.name)
        assignments = [f"{key.name} = {toml(getattr(values, key.name))}" for key in section.keys]
        width = max(map(len, assignments))
        yield f"[{section.name}]"
        for key, assignment in zip(section.keys, assignments, strict=True):
            yield f"{assignment:<{width}}  # {origin(section.name, key.name)}"
        yield ""
