"""Names of AF_UNIX services for tests. They are one network namespace's, in which another run of
the tests may have the same process ids.
"""

from __future__ import annotations

import secrets


def unique_base(kind: str) -> str:
    """A name that nobody else has, for VsockService and what connects to it."""
    return f"@vmtpy-{kind}-{secrets.token_hex(8)}"
