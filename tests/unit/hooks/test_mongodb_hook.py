"""The documented hook for MongoDB, with a program in the place of mongosh that counts locks."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.copies import HOOKS
from support.patience import PATIENCE, await_true

if TYPE_CHECKING:
    from pathlib import Path

HOOK = str(HOOKS / "mongodb.sh")
# Each lock takes another unlock, as MongoDB has it; fsyncUnlock() without a lock throws.
MONGOSH = """#!/bin/sh
[ "$1" = --eval ] || exit 9
case $2 in
*fsyncUnlock*) [ -s {locks} ] || exit 1; : > {locks}; echo unlocked >> {calls} ;;
*fsyncLock*) [ ! -e {broken} ] || {{ echo "MongoServerError: not allowed"; exit 1; }}
  echo 1 >> {locks}; echo locked >> {calls} ;;
esac
"""


class Database:
    """What the hook sees of a server."""

    def __init__(self, place: Path) -> None:
        self.locks, self.calls, self.broken = place / "locks", place / "calls", place / "broken"
        self.state = place / "state"
        client = place / "mongosh"
        client.write_text(MONGOSH.format(locks=self.locks, calls=self.calls, broken=self.broken))
        client.chmod(0o755)
        self.calls.touch()
        own = {"VMTPY_MONGODB_CLIENT": str(client), "VMTPY_MONGODB_STATE": str(self.state)}
        self.environment = {**os.environ, **own}

    def call(self, phase: str) -> tuple[int, str]:
        """Calls the hook; what is in its background does not keep this waiting."""
        output = self.state.with_name("output")
        with output.open("w") as file:
            done = subprocess.run(
                [HOOK, phase],
                env=self.environment,
                stdout=file,
                stderr=file,
                timeout=PATIENCE,
                check=False,
            )
        return done.returncode, output.read_text().strip()

    def history(self) -> list[str]:
        return self.calls.read_text().split()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path)


def test_it_is_locked_until_the_thaw(database: Database) -> None:
    for phase in ("thaw", "freezeFail"):
        assert database.call("freeze") == (0, "")
        assert database.locks.read_text() == "1\n"
        assert database.call(phase) == (0, "")
        assert not database.locks.read_text()
    assert database.history() == ["locked", "unlocked"] * 2


def test_at_the_limit_it_is_unlocked_and_the_thaw_says_so(database: Database) -> None:
    database.environment["VMTPY_MONGODB_LIMIT"] = "1"
    assert database.call("freeze") == (0, "")
    await_true(lambda: database.history() == ["locked", "unlocked"])
    assert database.call("thaw") == (1, "it was unlocked before the thaw")
    assert database.history() == ["locked", "unlocked"]


def test_when_the_agent_ends_it_is_unlocked(database: Database) -> None:
    agent = subprocess.Popen(
        ["/bin/sh", "-c", f"{HOOK} freeze; exec sleep 600"],
        env=database.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await_true(lambda: database.history() == ["locked"])
    finally:
        agent.kill()  # a zombie until the next line but one
    await_true(lambda: database.history() == ["locked", "unlocked"])
    agent.wait(PATIENCE)


def test_a_lock_that_is_refused_fails_the_freeze_and_leaves_nothing(database: Database) -> None:
    database.broken.touch()
    code, text = database.call("freeze")
    assert code == 1
    assert text.splitlines()[0] == "MongoServerError: not allowed"
    assert not database.state.exists()
    assert database.call("freezeFail") == (0, "")
    database.broken.unlink()
    assert database.call("freeze") == (0, "")
    assert database.call("thaw") == (0, "")


def test_what_an_earlier_freeze_left_is_refused_and_then_taken_away(database: Database) -> None:
    assert database.call("freeze") == (0, "")
    code, text = database.call("freeze")
    assert code == 1
    assert text == f"{database.state} is there: an earlier freeze is still held"
    assert database.call("freezeFail") == (0, "")
    assert database.history() == ["locked", "unlocked"]
    assert database.call("freeze") == (0, "")
    assert database.call("thaw") == (0, "")
