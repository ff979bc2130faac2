"""PostgreSQL through a quiesced snapshot: a real server under load, whose copy must start."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support import loop
from support.copies import mounted
from support.guest import running_guest
from support.loop import loop_mount, require_loop
from support.patience import PATIENCE
from support.postgres import Cluster, cluster, place

from vmtpy.demo import disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

psycopg = pytest.importorskip("psycopg", reason="needs psycopg (pip install psycopg[binary])")

CLIENTS = 4
LOCKING_HOOK = """
from contextlib import contextmanager
import psycopg

@contextmanager
def locked():
    with psycopg.connect("{dsn}", autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(42)")
        yield
        connection.execute("SELECT pg_advisory_unlock(42)")
"""
SIZE = 768 << 20


class Counters:
    """Clients that insert 1, 2, 3, … each, a transaction a row, and know what was acknowledged."""

    def __init__(self, dsn: str) -> None:
        self.acknowledged = [0] * CLIENTS
        self._dsn = dsn
        self._stop = threading.Event()
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE counted (client int, number int)")
        self._threads = [
            threading.Thread(target=self._count, args=[number]) for number in range(CLIENTS)
        ]

    def _count(self, client: int) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._stop.is_set():
                number = self.acknowledged[client] + 1
                connection.execute("INSERT INTO counted VALUES (%s, %s)", [client, number])
                self.acknowledged[client] = number

    def wait_for(self, number: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while min(self.acknowledged) < number:
            assert time.monotonic() < deadline, self.acknowledged
            time.sleep(0.005)

    def __enter__(self) -> Counters:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@contextmanager
def pgbench(server: Cluster) -> Iterator[None]:
    """pgbench's own load, all the time."""
    loop.run(server.program("pgbench", "-i", "-q", "-s", "2", "postgres"))
    load = server.program("pgbench", "-n", "-c", "3", "-T", "300", "postgres")
    process = subprocess.Popen(
        load, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
        assert process.poll() is None, "pgbench has ended by itself"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def package(site: Path, hook: str) -> None:
    """An installed package "shop" whose entry point is the function `locked` of this text."""
    info = site / "shop-1.dist-info"
    info.mkdir(parents=True)
    (site / "shop_hooks.py").write_text(hook)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vmtpy.hooks]\nshop = shop_hooks:locked\n")


def check_copy(copy: Cluster, low: list[int], high: list[int]) -> None:
    """Starts the server on the copy and proves what it holds."""
    # A booted machine has no such process, and PostgreSQL removes it; here its zombie may be left.
    (copy.data / "postmaster.pid").unlink()
    copy.start()
    try:
        log = copy.log.read_text()
        assert "automatic recovery in progress" in log
        assert "redo done" in log
        assert "PANIC" not in log
        loop.run(
            copy.program(
                "pg_amcheck", "--install-missing", "--heapallindexed", "--parent-check", "--all"
            )
        )
        with psycopg.connect(copy.dsn) as connection:
            query = "SELECT client, count(*), max(number) FROM counted GROUP BY 1 ORDER BY 1"
            rows = connection.execute(query).fetchall()
            assert [row[0] for row in rows] == list(range(CLIENTS))
            for client, count, last in rows:
                assert count == last, "a row before the last is missing"
                assert low[client] <= count <= high[client]
            sums = [
                connection.execute(f"SELECT coalesce(sum({column}), 0) FROM {table}").fetchone()
                for table, column in (
                    ("pgbench_history", "delta"),
                    ("pgbench_accounts", "abalance"),
                    ("pgbench_tellers", "tbalance"),
                    ("pgbench_branches", "bbalance"),
                )
            ]
            assert len(set(sums)) == 1, sums
    finally:
        copy.stop()


def test_the_copy_of_a_busy_server_starts_recovers_and_is_complete(tmp_path: Path) -> None:
    require_loop("ext4")
    copied = tmp_path / "copy.img"
    with loop_mount("ext4", size=SIZE) as mount, cluster(mount.path) as server:
        config = f'[hooks]\ndirectory = ""\n[postgresql]\ndsn = "{server.dsn}"\n'
        with (
            pgbench(server),
            Counters(server.dsn) as counters,
            running_guest([mount], tmp_path / "log", config) as guest,
        ):
            counters.wait_for(20)
            at_start = list(counters.acknowledged)
            guest.freeze()
            # What is acknowledged now was committed before the freeze; beyond it, each client
            # may have one row on its way.
            low = list(counters.acknowledged)
            disk.copy(mount.image, copied)
            high = [record + 1 for record in counters.acknowledged]
            assert guest.command("vmbackup.snapshotDone") == b"OK "
            guest.done()
            assert guest.events()[1] == b"prov.snapshotCommit 0 ", guest.text()
            counters.wait_for(max(high) + 5)  # they go on
        assert all(a <= b for a, b in zip(at_start, low, strict=True))
        assert "checkpoint starting: immediate force wait" in server.log.read_text()
        server.stop()
        with place() as work, mounted(copied, work / "mnt") as path:
            check_copy(Cluster(path / "data", work, work / "log"), low, high)


def test_a_session_of_an_entry_point_holds_its_lock_until_the_thaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loop_mount("ext4", size=SIZE) as mount, cluster(mount.path) as server:
        package(tmp_path / "site", LOCKING_HOOK.format(dsn=server.dsn))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
        config = '[hooks]\ndirectory = ""\nentry_points = true\n'
        with (
            psycopg.connect(server.dsn, autocommit=True) as connection,
            running_guest([mount], tmp_path / "log", config) as guest,
        ):

            def free() -> bool:
                query = "SELECT pg_try_advisory_lock_shared(42), pg_advisory_unlock_shared(42)"
                return bool(connection.execute(query).fetchall()[0][0])

            assert free()
            guest.freeze()
            assert not free()
            assert guest.command("vmbackup.snapshotDone") == b"OK "
            guest.done()
            assert free()
        assert "hook" not in guest.text(), "it was left without a failure"


def test_a_checkpoint_that_takes_too_long_ends_by_itself() -> None:
    from vmtpy.hooks.postgresql import checkpointed

    with loop_mount("ext4", size=SIZE) as mount, cluster(mount.path) as server:
        with psycopg.connect(server.dsn) as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
            [(checkpointer,)] = connection.execute(query).fetchall()
        os.kill(checkpointer, signal.SIGSTOP)
        try:
            with (
                pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"),
                checkpointed(server.dsn, timeout=2),
            ):
                pytest.fail("a checkpointer that stands still has ended")
        finally:
            os.kill(checkpointer, signal.SIGCONT)


def test_a_server_that_is_down_fails_the_backup_and_is_named(tmp_path: Path) -> None:
    with loop_mount("ext4") as mount:
        config = f'[hooks]\ndirectory = ""\n[postgresql]\ndsn = "host={tmp_path} user=nobody"\n'
        with running_guest([mount], tmp_path / "log", config) as guest:
            assert guest.command("vmbackup.start 1") == b"OK "
            guest.done()
            assert guest.events()[1].startswith(b"req.error 2 hook postgresql: connection")


def test_an_optional_server_that_is_down_is_logged_and_the_rest_is_quiesced(
    tmp_path: Path,
) -> None:
    with loop_mount("ext4") as mount:
        config = '[hooks]\ndirectory = ""\noptional = ["postgresql"]\n'
        config += f'[postgresql]\ndsn = "host={tmp_path} user=nobody"\n'
        with running_guest([mount], tmp_path / "log", config) as guest:
            guest.freeze()
            assert guest.command("vmbackup.snapshotDone") == b"OK "
            guest.done()
            assert "the hook is optional, so the backup goes on" in guest.text()
