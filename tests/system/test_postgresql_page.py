"""docs/hooks-postgresql.md: its role, its lines for the server and its configuration, tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.loop import loop_mount, require_loop
from support.pages import blocks
from support.patience import PATIENCE, await_true
from support.postgres import PORT, cluster

from vmtpy.config import load
from vmtpy.hooks.postgresql import checkpointed

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import Cluster

psycopg = pytest.importorskip("psycopg", reason="needs psycopg (pip install psycopg[binary])")

PAGE = "docs/hooks-postgresql.md"
SIZE = 512 << 20


def checkpoints(server: Cluster) -> int:
    """How many the server has been asked for, by its log."""
    return server.log.read_text().count("checkpoint starting: immediate force wait")


def loaded(server: Cluster) -> object:
    """When the server, as a new connection sees it, read its files."""
    with psycopg.connect(server.dsn) as connection:
        return connection.execute("SELECT pg_conf_load_time()").fetchone()


def test_the_role_of_the_page_may_checkpoint_and_nothing_more(tmp_path: Path) -> None:
    require_loop()
    (statements,) = blocks(PAGE, "sql")
    rule, identity = blocks(PAGE, "text")
    (tmp_path / "vmtpy.toml").write_text(blocks(PAGE, "toml")[0])
    dsn = load(tmp_path / "vmtpy.toml").postgresql.dsn
    with loop_mount(size=SIZE) as mount, cluster(mount.path) as server:
        own = dsn.replace("/run/postgresql", f"{server.socket} port={PORT}")
        assert own != dsn
        hba = server.data / "pg_hba.conf"
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(statements)
            # Nobody else is let in as this role.
            refused = rule.replace("peer  map=vmtpy", "reject")
            assert refused != rule
            hba.write_text(f"{rule}{refused}{hba.read_text()}")
            (server.data / "pg_ident.conf").write_text(identity)
            before = loaded(server)
            connection.execute("SELECT pg_reload_conf()")
            await_true(lambda: loaded(server) != before)
        count = checkpoints(server)
        with checkpointed(own, PATIENCE):
            assert checkpoints(server) == count + 1
        with (
            psycopg.connect(own) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT * FROM pg_authid")
