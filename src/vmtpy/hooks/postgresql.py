"""The PostgreSQL hook: a CHECKPOINT just before the freeze.

All filesystems are frozen at the same time, so the copy has the data directory, its tablespaces and
its WAL of one moment. PostgreSQL starts on it as after a power failure: it replays the WAL from the
last checkpoint and has every acknowledged transaction. The checkpoint makes that replay short and
leaves little for the freeze to flush.

The hook does not use pg_backup_start(), which is for copies made file by file while the server
writes: the copy would need the result of pg_backup_stop() as `backup_label`, which is known only
after the copy; without it PostgreSQL recovers from the last checkpoint anyway.

The role needs only membership in pg_checkpoint (before PostgreSQL 15: superuser).
"""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vmtpy.errors import VmtError

if TYPE_CHECKING:
    from collections.abc import Iterator

# The pip of this Python, whose environment the hook imports psycopg from.
INSTALL = f"{shlex.quote(sys.executable)} -m pip install 'vmtpy[postgresql]'"


@contextmanager
def checkpointed(dsn: str, timeout: float = 60.0) -> Iterator[None]:
    """Makes the server write a checkpoint. It holds no connection while filesystems are frozen.

    Args:
        dsn: libpq's connection string, "host=/run/postgresql user=vmtpy dbname=postgres".
        timeout: seconds for the connection, and as many for the checkpoint, which the server then
            cancels.

    Raises:
        VmtError: psycopg is not installed.
        psycopg.Error: the connection failed, the role may not checkpoint, or the time has passed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise VmtError(f"[postgresql] needs psycopg: {INSTALL}") from error
    seconds = max(2, round(timeout))  # libpq treats 1 as 2
    with psycopg.connect(dsn, connect_timeout=seconds, autocommit=True) as connection:
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{seconds}s"])
        connection.execute("CHECKPOINT")
    yield
