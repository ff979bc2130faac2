"""Reads and writes small files as a whole, without pathlib, which costs the agent 0.6 MiB."""

from __future__ import annotations

import os
from typing import Union

Path = Union[str, "os.PathLike[str]"]


def read(path: Path) -> bytes:
    """The contents of a file.

    Raises:
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def read_text(path: Path) -> str:
    """The contents of a file as UTF-8; other bytes become U+FFFD.

    Raises:
        OSError: the file cannot be read.
    """
    return read(path).decode("utf-8", "replace")


def write(path: Path, data: bytes) -> None:
    """Replaces the contents of a file, or makes the file.

    Raises:
        OSError: the file cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)
