"""A real MariaDB from Debian's packages for tests. Its data directory and its socket are made for
the test, and the server runs as the user mysql.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE, await_true

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = (
    "--no-defaults",
    "--user=mysql",
    "--skip-networking",
    "--innodb-buffer-pool-size=32M",
    "--innodb-flush-log-at-trx-commit=1",
    "--myisam-recover-options=OFF",  # CHECK TABLE is to say how a table is
    "--aria-recover-options=OFF",
)


def require_mariadb() -> None:
    """Skips the test if MariaDB is not installed."""
    for name in ("mariadbd", "mariadb-install-db", "mariadb"):
        if not shutil.which(name):
            pytest.skip(f"needs the program {name} (Debian: mariadb-server)")


@dataclass
class Server:
    """A data directory with the socket and the log of its server."""

    data: Path
    work: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def client(self) -> str:
        """The command-line client and its options."""
        return f"mariadb --no-defaults --socket={self.work}/socket --user=root"

    @property
    def log(self) -> Path:
        return self.work / "log"

    def sql(self, statements: str) -> list[str]:
        """Runs statements and returns the lines of their results."""
        done = self.batch(statements)
        assert done.returncode == 0, done.stdout
        return done.stdout.splitlines()

    def batch(self, statements: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.client.split(), "--batch", "--skip-column-names"],
            input=statements,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self) -> None:
        places = (f"--datadir={self.data}", f"--socket={self.work}/socket")
        with self.log.open("ab") as log:
            self.process = process = subprocess.Popen(
                ["mariadbd", *OPTIONS, *places, f"--pid-file={self.work}/pid"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )

        def answers() -> bool:
            assert process.poll() is None, self.log.read_text()
            return self.batch("SELECT 1").returncode == 0

        await_true(answers, self.log.read_text)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            finally:
                self.process.kill()
                self.process = None


@contextmanager
def place() -> Iterator[Path]:
    """A directory that the user mysql can write to, unlike pytest's own."""
    work = Path(tempfile.mkdtemp(prefix="vmtpy-mariadb-"))
    shutil.chown(work, "mysql", "mysql")
    try:
        yield work
    finally:
        shutil.rmtree(work)


@contextmanager
def template() -> Iterator[Path]:
    """Makes a data directory, of which servers get copies."""
    require_mariadb()
    with place() as work:
        places = [f"--datadir={work}/data", "--auth-root-authentication-method=normal"]
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", "--user=mysql", "--skip-test-db", *places],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )
        yield work / "data"


@contextmanager
def server(made: Path, directory: Path) -> Iterator[Server]:
    """Starts a server on a copy of a template, in a new directory "data"; stops it at the end."""
    with place() as work:
        for one in (directory.parent, directory):
            if one != Path(tempfile.gettempdir()):
                one.chmod(0o755)  # to be passed through
        subprocess.run(["cp", "-a", str(made), str(directory / "data")], check=True)
        started = Server(directory / "data", work)
        started.start()
        try:
            yield started
        finally:
            started.stop()


def holder(state: Path) -> int:
    """The process in which the hook holds its session."""
    return int(state.read_text().splitlines()[0])


def environment(one: Server, state: Path, **more: str) -> dict[str, str]:
    """The environment for the hook."""
    own = {"VMTPY_MARIADB_CLIENT": one.client, "VMTPY_MARIADB_STATE": str(state)}
    return {**os.environ, **own, **more}
