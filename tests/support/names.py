"""Unique names of AF_UNIX services for tests. A network namespace shares these names, and another
run of the tests in it may have the same process ids.
"""

from __future__ import annotations

import secrets


def unique_base(kind: str) -> str:
    """A unique name for a VsockService and the sockets that connect to it."""
    return f"@vmtpy-{kind}-{secrets.token_hex(8)}"
