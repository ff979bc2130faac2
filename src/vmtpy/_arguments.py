"""Checks arguments of the public functions. An error names the argument, what it must be and what
the caller passed.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # see vmtpy/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

Path: TypeAlias = str | bytes | os.PathLike[str]


def check_paths(name: str, paths: Sequence[Path]) -> None:
    """Raises TypeError unless `paths`, the argument `name`, is a sequence of paths."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(
            f"{name} must be a list of paths, not a single path: write [{os.fspath(paths)!r}]"
        )
    if not hasattr(paths, "__len__") or not hasattr(paths, "__getitem__"):
        raise TypeError(f"{name} must be a list of paths, not {type(paths).__name__}")
    for path in paths:
        if not isinstance(path, (str, bytes, os.PathLike)):
            raise TypeError(
                f"{name} must be a list of paths, but it contains {type(path).__name__}: {path!r}"
            )
        if "\0" in os.fsdecode(path):
            raise ValueError(f"{name}: a path must not contain NUL: {path!r}")


def check_seconds(name: str, value: float, least: float, most: float) -> None:
    """Raises TypeError unless `value` is a number, ValueError unless it is in the range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not least <= value <= most:  # also refuses NaN
        raise ValueError(f"{name} is {value:g} s: it must be {least:g} to {most:g} seconds")


def check_type(name: str, value: object, kinds: type | tuple[type, ...], words: str) -> None:
    """Raises TypeError unless `value` is one of `kinds`, which `words` name."""
    if not isinstance(value, kinds):
        raise TypeError(f"{name} must be {words}, not {type(value).__name__}")
