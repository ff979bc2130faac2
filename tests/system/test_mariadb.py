"""MariaDB through a quiesced snapshot with the documented hook: a real server under load, whose
copy must start; and the session that the hook holds, which must end whatever happens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from support.copies import HOOKS, install, mounted
from support.guest import running_guest
from support.loop import loop_mount, require_loop, require_root
from support.mariadb import Server, environment, holder, place, server, template
from support.patience import PATIENCE, await_true

from vmtpy.demo import disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 768 << 20
TABLES = {"counted_innodb": "InnoDB", "counted_myisam": "MyISAM", "counted_aria": "Aria"}
HOOK = str(HOOKS / "mariadb.py")


class Counter:
    """A client that inserts 1, 2, 3, …, a statement a row, and knows what was acknowledged."""

    def __init__(self, mariadb: Server, table: str) -> None:
        self.table = table
        self.acknowledged = 0
        self._stop = threading.Event()
        self._client = subprocess.Popen(
            [*mariadb.client.split(), "--batch", "--skip-column-names", "--unbuffered", "shop"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._thread = threading.Thread(target=self._count)

    def _count(self) -> None:
        asked, answered = self._client.stdin, self._client.stdout
        assert asked
        assert answered
        while not self._stop.is_set():
            number = self.acknowledged + 1
            asked.write(f"INSERT INTO {self.table} VALUES ({number}); SELECT {number};\n")
            assert answered.readline() == f"{number}\n"
            self.acknowledged = number

    def wait_for(self, number: int) -> None:
        await_true(lambda: self.acknowledged >= number, lambda: f"{self.table} stands still")

    def __enter__(self) -> Counter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        self._client.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    require_root()
    with template() as directory:
        yield directory


@pytest.fixture(scope="module")
def running(made: Path) -> Iterator[Server]:
    """A server for tests that freeze no filesystem."""
    with place() as directory, server(made, directory) as mariadb:
        mariadb.sql("CREATE DATABASE shop; CREATE TABLE shop.t (number int)")
        yield mariadb


def prepare(mariadb: Server) -> None:
    mariadb.sql("CREATE DATABASE shop")
    for table, engine in TABLES.items():
        transactional = " TRANSACTIONAL=0" if engine == "Aria" else ""
        mariadb.sql(f"CREATE TABLE shop.{table} (number int) ENGINE={engine}{transactional}")


def check_copy(copy: Server, acknowledged: dict[str, int]) -> None:
    """Starts the server on the copy and proves what it holds."""
    copy.start()
    try:
        for table, number in acknowledged.items():
            query = f"SELECT count(*), max(number) FROM shop.{table}"
            count, last = map(int, copy.sql(query)[0].split())
            assert count == last, f"{table}: a row before the last is missing"
            # One row may have been on its way.
            assert number <= count <= number + 1, table
            checked = copy.sql(f"CHECK TABLE shop.{table} EXTENDED")
            assert [check.split("\t")[2:] for check in checked] == [["status", "OK"]], table
    finally:
        copy.stop()


@pytest.mark.parametrize("lock", ["BLOCK_DDL", "BLOCK_COMMIT", "READ_LOCK"])
def test_the_copy_of_a_busy_server_starts_and_is_complete(
    made: Path, lock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also MyISAM's and Aria's tables, which would be marked as not closed without the hook."""
    require_loop("ext4")
    hook, state, copied = (
        install("mariadb.py", tmp_path / "hooks.d"),
        tmp_path / "s",
        tmp_path / "c",
    )
    with loop_mount("ext4", size=SIZE) as mount, server(made, mount.path) as mariadb:
        prepare(mariadb)
        counters = [Counter(mariadb, table) for table in TABLES]
        for key, value in environment(mariadb, state, VMTPY_MARIADB_LOCK=lock).items():
            monkeypatch.setenv(key, value)
        config = f'[hooks]\ndirectory = "{hook.parent}"\n'
        with counters[0], counters[1], counters[2]:
            with running_guest([mount], tmp_path / "log", config) as guest:
                for counter in counters:
                    counter.wait_for(20)
                guest.freeze()
                low = {counter.table: counter.acknowledged for counter in counters}
                disk.copy(mount.image, copied)
                for counter in counters:
                    # An answer may have been on its way.
                    assert counter.acknowledged <= low[counter.table] + 1, "the lock is held"
                os.kill(holder(state), 0)
                assert guest.command("vmbackup.snapshotDone") == b"OK "
                guest.done()
                assert guest.events()[1] == b"prov.snapshotCommit 0 ", guest.text()
                assert not state.exists()
                for counter in counters:
                    counter.wait_for(low[counter.table] + 5)  # they go on
            assert "hook" not in guest.text(), "it was left without a failure"
        with place() as work, mounted(copied, work / "mnt") as path:
            check_copy(Server(path / "data", work), low)


def frozen(mariadb: Server, state: Path, **settings: str) -> subprocess.Popen[str]:
    """A shell that has called the hook with `freeze`, in the place of the agent."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f"{HOOK} freeze; echo $?; exec sleep 600 >&- 2>&-"],
        env=environment(mariadb, state, **settings),
        stdout=subprocess.PIPE,
        text=True,
    )


def thawed(mariadb: Server, state: Path, phase: str = "thaw") -> tuple[int, str]:
    done = subprocess.run(
        [HOOK, phase],
        env=environment(mariadb, state),
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("thaw", ""),
        ("the process in the background is killed", "the process that held it has died"),
        ("the limit", "it was held for 3 s, the limit"),
        ("the agent is killed", "the agent has ended"),
        ("the server ends the session", "BACKUP STAGE END: ERROR"),
    ],
)
def test_the_session_ends_and_writers_go_on(
    running: Server, tmp_path: Path, end: str, said: str
) -> None:
    state = tmp_path / "state"
    limit = "3" if end == "the limit" else "240"
    agent = frozen(running, state, VMTPY_MARIADB_LIMIT=limit)
    try:
        assert agent.stdout
        assert agent.stdout.readline() == "0\n"
        writer = threading.Thread(target=running.sql, args=["INSERT INTO shop.t VALUES (1)"])
        writer.start()
        waits = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'INSERT%'"
        if end != "the limit":
            await_true(lambda: running.sql(waits) == ["1"])
        if end == "thaw":
            assert thawed(running, state) == (0, "")
        elif end == "the process in the background is killed":
            os.kill(holder(state), signal.SIGKILL)
        elif end == "the agent is killed":
            agent.kill()
        elif end == "the server ends the session":
            find = "SELECT id FROM information_schema.processlist WHERE command = 'Sleep'"
            sessions: list[str] = []

            def alone() -> bool:
                """Those of earlier clients, which have hung up, are listed for a moment yet."""
                sessions[:] = running.sql(find)
                return len(sessions) == 1

            await_true(alone)
            running.sql(f"KILL {sessions[0]}")
        writer.join(PATIENCE)
        assert not writer.is_alive(), "the session is still held"
        if said:
            code, text = thawed(running, state)
            assert code == 1
            assert text.startswith(f"the session ended before the thaw: {said}")
        assert not state.exists()
    finally:
        agent.kill()
        agent.wait(PATIENCE)
        thawed(running, state, "freezeFail")
        if agent.stdout:
            agent.stdout.close()


def test_a_statement_that_runs_for_long_fails_the_freeze_instead_of_stopping_all_writers(
    running: Server, tmp_path: Path
) -> None:
    client = subprocess.Popen([*running.client.split(), "shop"], stdin=subprocess.PIPE, text=True)
    assert client.stdin
    try:
        client.stdin.write("LOCK TABLES t WRITE;\n")
        client.stdin.flush()
        in_use = "SHOW OPEN TABLES FROM shop WHERE in_use > 0"
        await_true(lambda: len(running.sql(in_use)) == 1)
        agent = frozen(running, tmp_path / "state", VMTPY_MARIADB_WAIT="1")
        try:
            assert agent.stdout
            assert "Lock wait timeout exceeded" in agent.stdout.readline()
        finally:
            agent.kill()
            agent.communicate(timeout=PATIENCE)
        assert thawed(running, tmp_path / "state", "freezeFail") == (0, "")
    finally:
        client.communicate(timeout=PATIENCE)


def test_a_freeze_that_is_given_up_while_it_waits_leaves_no_session(
    running: Server, tmp_path: Path
) -> None:
    """As the agent does at the time limit of a hook: SIGTERM to its process group."""
    state = tmp_path / "state"
    client = subprocess.Popen([*running.client.split(), "shop"], stdin=subprocess.PIPE, text=True)
    assert client.stdin
    try:
        client.stdin.write("LOCK TABLES t WRITE;\n")
        client.stdin.flush()
        in_use = "SHOW OPEN TABLES FROM shop WHERE in_use > 0"
        await_true(lambda: len(running.sql(in_use)) == 1)
        hook = subprocess.Popen(
            [HOOK, "freeze"],
            env=environment(running, state, VMTPY_MARIADB_WAIT="240"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        waits = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'BACKUP%'"
        await_true(lambda: running.sql(waits) == ["1"])
        os.killpg(hook.pid, signal.SIGTERM)
        said, _ = hook.communicate(timeout=PATIENCE)  # until the background has ended, too
        assert said == ""
        await_true(lambda: running.sql(waits) == ["0"])
        assert thawed(running, state, "freezeFail") == (0, "")
    finally:
        client.communicate(timeout=PATIENCE)


def test_a_server_that_is_down_is_named(tmp_path: Path) -> None:
    mariadb = Server(tmp_path, tmp_path)
    agent = frozen(mariadb, tmp_path / "state")
    try:
        assert agent.stdout
        assert "Can't connect to local server" in agent.stdout.readline()
    finally:
        agent.kill()
        agent.communicate(timeout=PATIENCE)
    assert thawed(mariadb, tmp_path / "state", "freezeFail") == (0, "")
