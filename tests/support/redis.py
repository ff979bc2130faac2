"""A real Redis from Debian's packages for tests, with its own directory and socket."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE, await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Nothing is written by itself: only what is asked for.
DUMPS = ("--save", "", "--appendonly", "no")
LOG = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")


def require_redis() -> None:
    """Skips the test if Redis is not installed."""
    for name in ("redis-server", "redis-cli"):
        if not shutil.which(name):
            pytest.skip(f"needs the program {name} (Debian: redis-server)")


@dataclass
class Server:
    """A server's directory with its data, and another for its socket and its log."""

    data: Path
    work: Path
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def client(self) -> str:
        """The command-line client and its options."""
        return f"redis-cli -s {self.work}/socket"

    @property
    def log(self) -> Path:
        return self.work / "log"

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            [*self.client.split(), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout.strip()

    def start(self) -> None:
        places = ["--dir", str(self.data), "--unixsocket", f"{self.work}/socket", "--port", "0"]
        with self.log.open("ab") as log:
            self.process = process = subprocess.Popen(
                ["redis-server", *places, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )

        def answers() -> bool:
            assert process.poll() is None, self.log.read_text()
            return self.ask("PING") == "PONG"

        await_true(answers, self.log.read_text)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None


@contextmanager
def server(data: Path, work: Path, options: tuple[str, ...]) -> Iterator[Server]:
    """Starts a server with its data in a directory that may exist; stops it at the end."""
    require_redis()
    for directory in (data, work):
        directory.mkdir(exist_ok=True)
    one = Server(data, work, options)
    one.start()
    try:
        yield one
    finally:
        one.stop()
