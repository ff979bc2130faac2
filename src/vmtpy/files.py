"""Small files, read and written whole. Without pathlib, which costs the agent 0.6 MiB for good."""

from __future__ import annotations

import os
from typing import Union

Path = Union[str, "os.PathLike[str]"]


def read(path: Path) -> bytes:
    """All of a file.

    Raises:
        OSError: it cannot be read.
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
    """All of a file as UTF-8; other bytes become question marks.

    Raises:
        OSError: it cannot be read.
    """
    return read(path).decode("utf-8", "replace")


def write(path: Path, data: bytes) -> None:
    """Makes a file hold this and nothing else.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)
