"""Redis through a quiesced snapshot with the documented hook: a real server under load, and another
that starts on the copy.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from support.copies import HOOKS, install, mounted
from support.guest import running_guest
from support.loop import loop_mount, require_loop
from support.patience import PATIENCE, await_true
from support.redis import DUMPS, LOG, Server, require_redis, server

from vmtpy.demo import disk

CLIENTS = 3
HOOK = str(HOOKS / "redis.sh")


class Counter:
    """A client that appends 1, 2, 3, … to a list of its own, and knows what was acknowledged."""

    def __init__(self, redis: Server, name: str) -> None:
        self.name = name
        self.acknowledged = 0
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(f"{redis.work}/socket")
        self._thread = threading.Thread(target=self._count)

    def _count(self) -> None:
        answers = self._socket.makefile("rb")
        while not self._stop.is_set():
            number = self.acknowledged + 1
            self._socket.sendall(f"RPUSH {self.name} {number}\r\n".encode())
            assert answers.readline() == f":{number}\r\n".encode()
            self.acknowledged = number
        answers.close()

    def wait_for(self, number: int) -> None:
        await_true(lambda: self.acknowledged >= number, lambda: f"{self.name} stands still")

    def __enter__(self) -> Counter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        self._socket.close()


def call(redis: Server, phase: str = "freeze", **settings: str) -> tuple[int, str]:
    """Calls the hook as the agent does."""
    done = subprocess.run(
        [HOOK, phase],
        env={**os.environ, "VMTPY_REDIS_CLIENT": redis.client, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize("options", [LOG, DUMPS], ids=["append-only", "dumps"])
def test_the_copy_of_a_busy_server_starts_and_is_complete(
    options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was acknowledged before the freeze; with dumps alone, before the backup."""
    require_loop("ext4")
    hook, copied = install("redis.sh", tmp_path / "hooks.d"), tmp_path / "copy.img"
    with (
        loop_mount("ext4", size=256 << 20) as mount,
        server(mount.path / "data", tmp_path / "work", options) as redis,
    ):
        counters = [Counter(redis, f"counter{number}") for number in range(CLIENTS)]
        monkeypatch.setenv("VMTPY_REDIS_CLIENT", redis.client)
        config = f'[hooks]\ndirectory = "{hook.parent}"\n'
        with (
            counters[0],
            counters[1],
            counters[2],
            running_guest([mount], tmp_path / "log", config) as guest,
        ):
            for counter in counters:
                counter.wait_for(100)
            at_start = {counter.name: counter.acknowledged for counter in counters}
            guest.freeze()
            low = {counter.name: counter.acknowledged for counter in counters}
            disk.copy(mount.image, copied)
            assert guest.command("vmbackup.snapshotDone") == b"OK "
            guest.done()
            assert guest.events()[1] == b"prov.snapshotCommit 0 ", guest.text()
            # One more may have been on its way: nothing else is in the copy.
            high = {name: number + 1 for name, number in low.items()}
            for counter in counters:
                counter.wait_for(high[counter.name] + 5)  # they go on
        redis.stop()
    least = low if options is LOG else at_start
    with (
        mounted(copied, tmp_path / "mnt") as path,
        server(path / "data", tmp_path / "work2", options) as copy,
    ):
        for name, number in least.items():
            count = int(copy.ask("LLEN", name))
            assert number <= count <= high[name], name
            assert copy.ask("LRANGE", name, "0", "-1").split() == [
                str(number) for number in range(1, count + 1)
            ]


def test_a_dump_that_is_being_made_is_waited_for_and_another_is_made(tmp_path: Path) -> None:
    with server(tmp_path / "data", tmp_path / "work", DUMPS) as redis:
        redis.ask("SET", "first", "1")
        redis.ask("CONFIG", "SET", "rdb-key-save-delay", "1000000")  # a second for each key
        assert redis.ask("BGSAVE") == "Background saving started"
        redis.ask("SET", "second", "1")
        assert call(redis) == (0, "")
        redis.stop()
        redis.start()
        assert redis.ask("GET", "second") == "1"
        assert call(redis, "thaw") == call(redis, "freezeFail") == (0, "")


def test_a_dump_that_takes_too_long_or_fails_fails_the_backup(tmp_path: Path) -> None:
    with server(tmp_path / "data", tmp_path / "work", DUMPS) as redis:
        for number in range(60):
            redis.ask("SET", f"key{number}", "1")
        redis.ask("CONFIG", "SET", "rdb-key-save-delay", "1000000")
        assert call(redis, VMTPY_REDIS_LIMIT="1") == (1, "BGSAVE has not ended after 1 s")
        for pid in children_of(redis):
            os.kill(pid, signal.SIGKILL)
        await_true(lambda: "rdb_bgsave_in_progress:0" in redis.ask("INFO", "persistence"))
        redis.ask("CONFIG", "SET", "rdb-key-save-delay", "0")
        redis.data.joinpath("dump.rdb").mkdir()
        assert call(redis) == (1, "BGSAVE has failed; the server's log says why")


def children_of(redis: Server) -> list[int]:
    assert redis.process
    pid = redis.process.pid
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_server_that_is_down_or_wants_a_password_is_named(tmp_path: Path) -> None:
    require_redis()
    code, text = call(Server(tmp_path, tmp_path, DUMPS))
    assert code == 1
    assert text.startswith("INFO persistence: Could not connect to Redis at ")
    with server(tmp_path / "data", tmp_path / "work", DUMPS) as redis:
        redis.ask("CONFIG", "SET", "requirepass", "secret")
        code, text = call(redis)
        assert (code, text) == (1, "INFO persistence: NOAUTH Authentication required.")
        assert call(redis, REDISCLI_AUTH="secret") == (0, "")
