"""PostgreSQL around a freeze: a CHECKPOINT right before it.

All filesystems are frozen at once, so the copy holds the data directory, its tablespaces and its
WAL as of one moment, and PostgreSQL starts on it as after a power failure: it replays the WAL from
the last checkpoint and has every transaction that was acknowledged. A checkpoint just before the
freeze makes that replay short, and leaves little for the freeze to flush.

pg_backup_start() is not for this: it serves copies that are taken file by file while the server
writes. What pg_backup_stop() returns would have to be in the copy as `backup_label`, but is known
only after it; and a copy without it is recovered from the last checkpoint anyway.

The role needs nothing but the membership in pg_checkpoint (or superuser, before PostgreSQL 15).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def checkpointed(dsn: str, timeout: float = 60.0) -> Iterator[None]:
    """Has the server checkpoint; holds nothing while the filesystems are frozen.

    Args:
        dsn: libpq's connection string, "host=/run/postgresql user=vmtpy dbname=postgres".
        timeout: seconds for the connection, and for the checkpoint; it ends by itself then.

    Raises:
        VmtError: psycopg is not installed.
        psycopg.Error: no connection, not allowed, or too slow.
    """
    try:
        import psycopg
    except ImportError as error:
        raise VmtError("needs psycopg: pip install 'vmtpy[postgresql]'") from error
    seconds = max(2, round(timeout))  # libpq takes 1 for 2
    with psycopg.connect(dsn, connect_timeout=seconds, autocommit=True) as connection:
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{seconds}s"])
        connection.execute("CHECKPOINT")
    yield
