"""QEMU's guest agent, which freezes by commands over its socket, in a jail like vmtoolsd."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import jail
from benchmarks.disks import Disks
from benchmarks.emulated import GuestError, Snapshot, text_of
from benchmarks.jail import Jail

NAME = "qemu-ga"
PROGRAM = "qemu-ga"


def missing() -> str:
    if shutil.which(PROGRAM) is None:
        return "the program qemu-ga (package qemu-guest-agent)"
    return jail.missing()


def version() -> str:
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("QEMU Guest Agent ")


class QemuGa:
    """The running agent and the socket to it."""

    def __init__(self, path: Path, disks: Disks, jailed: Jail, process: int) -> None:
        self._disks, self._jail, self._process = disks, jailed, process
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        deadline = time.monotonic() + 10
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise GuestError(f"qemu-ga does not listen: {error}") from error
                time.sleep(0.01)
        self._answers = self._socket.makefile("rb")
        self.execute("guest-sync", id=1)

    def execute(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 (JSON)
        """Sends a command and returns the answer. Raises GuestError."""
        line = json.dumps({"execute": command, "arguments": arguments})
        self._socket.sendall(line.encode() + b"\n")
        answer = json.loads(self._answers.readline())
        if "return" not in answer:
            raise GuestError(f"qemu-ga, {command}: {answer}")
        return answer["return"]

    def snapshot(self, take: Callable[[], None] | None = None) -> Snapshot:
        self._jail.check(self._process, PROGRAM)
        paths = [str(disk.path) for disk in self._disks.disks]
        asked = time.monotonic()
        frozen = self.execute("guest-fsfreeze-freeze-list", mountpoints=paths)
        commit = time.monotonic()
        if take:
            take()
        taken = time.monotonic()
        self.execute("guest-fsfreeze-thaw")
        done = time.monotonic()
        if frozen != len(paths):
            raise GuestError(f"qemu-ga froze {frozen} of {len(paths)}")
        return Snapshot(asked, asked, commit, taken, done)

    def close(self) -> None:
        """Closes the socket."""
        self._answers.close()
        self._socket.close()


@dataclass(frozen=True, slots=True)
class _Place:
    socket: Path
    log: Path


@contextmanager
def running(disks: Disks, shared: Path) -> Iterator[QemuGa]:
    built, place = Jail(shared, disks.disks, {}), _Place(shared / "qga", shared / "agent.log")
    command = built.command(PROGRAM, "-m", "unix-listen", "-p", str(place.socket), "-t", "/run")
    with place.log.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        guest = QemuGa(place.socket, disks, built, process.pid)
        try:
            yield guest
        except GuestError as error:
            raise GuestError(f"{error}\n{text_of(place.log)}") from error
        finally:
            guest.close()
    finally:
        process.kill()
        process.wait(timeout=30)
