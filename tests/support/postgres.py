"""A real PostgreSQL from Debian's packages for tests. Its cluster and its socket are made for the
test, and the server runs as the user postgres.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 54321  # names the socket only: no TCP
OPTIONS = (
    "listen_addresses=''",
    "log_checkpoints=on",
    "checkpoint_timeout=1h",  # the only checkpoints are those that are asked for
    "max_wal_size=2GB",
    "shared_buffers=32MB",
)


def programs() -> Path:
    """The directory of PostgreSQL's programs. Skips the test if it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found:
        pytest.skip("needs PostgreSQL (Debian: postgresql)")
    for name in ("pgbench", "pg_amcheck"):
        if not (found[-1].parent / name).exists():
            pytest.skip(f"needs the program {name} (Debian: postgresql)")
    return found[-1].parent


def run(program: Path | str, *arguments: str, timeout: float = 90) -> str:
    """Runs a program as the user postgres and returns its output. Raises AssertionError if it
    fails.
    """
    done = subprocess.run(
        ["runuser", "-u", "postgres", "--", str(program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, f"{program} {arguments}: {done.stdout}"
    return done.stdout


@dataclass(frozen=True)
class Cluster:
    """A data directory with the socket and the log of its server."""

    data: Path
    socket: Path
    log: Path

    @property
    def dsn(self) -> str:
        return f"host={self.socket} port={PORT} user=postgres dbname=postgres"

    def program(self, name: str, *arguments: str) -> list[str]:
        """The command line of one of PostgreSQL's programs, connected to this server."""
        connection = ["-h", str(self.socket), "-p", str(PORT), "-U", "postgres"]
        path = str(programs() / name)
        return ["runuser", "-u", "postgres", "--", path, *connection, *arguments]

    def start(self) -> None:
        flags = " ".join(
            f"-c {one}" for one in (*OPTIONS, f"unix_socket_directories={self.socket}")
        )
        pg_ctl = programs() / "pg_ctl"
        try:
            run(
                *(pg_ctl, "start", "-w", "-t", "60", "-D", str(self.data), "-l", str(self.log)),
                *("-o", f"{flags} -p {PORT}"),
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()}") from None

    def stop(self, mode: str = "fast") -> None:
        pg_ctl = programs() / "pg_ctl"
        run(pg_ctl, "stop", "-w", "-t", "60", "-D", str(self.data), "-m", mode)


@contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    """Makes and starts a server in a new directory "data" of a loop mount; stops it at the end."""
    initdb = programs() / "initdb"
    postgres = pwd.getpwnam("postgres")
    with place() as work:
        directory.parent.chmod(0o711)  # to be passed through
        data = directory / "data"
        data.mkdir(mode=0o700)
        os.chown(data, postgres.pw_uid, postgres.pw_gid)
        run(initdb, "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync", "-k")
        one = Cluster(data, work, work / "log")
        one.start()
        try:
            yield one
        finally:
            if (data / "postmaster.pid").exists():
                one.stop("immediate")


@contextmanager
def place() -> Iterator[Path]:
    """A directory that the user postgres can write to, unlike pytest's own."""
    postgres = pwd.getpwnam("postgres")
    work = Path(tempfile.mkdtemp(prefix="vmtpy-postgres-"))
    os.chown(work, postgres.pw_uid, postgres.pw_gid)
    try:
        yield work
    finally:
        shutil.rmtree(work)
