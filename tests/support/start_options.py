"""Makes the body of vmbackup.startWithOpts, independently of the package."""

from __future__ import annotations

import struct


def text(value: bytes) -> bytes:
    """An XDR string."""
    return struct.pack(">I", len(value)) + value + bytes(-len(value) % 4)


def start_options(
    *,
    version: int = 1,
    present: int = 1,
    manifest: int = 1,
    applications: int = 1,
    filesystems: int = 1,
    writable: int = 0,
    scripts: int = 1,
    argument: bytes = b"",
    timeout: int = 0,
    volumes: bytes = b"",
) -> bytes:
    """GuestQuiesceParams of open-vm-tools; version 2 ends with its four numbers for Windows."""
    flags = (version, present, manifest, applications, filesystems, writable, scripts)
    body = struct.pack(">7I", *flags) + text(argument) + struct.pack(">I", timeout) + text(volumes)
    return body + (struct.pack(">4I", 1, 5, 0, 0) if version == 2 else b"")
