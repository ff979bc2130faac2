"""A backup whose agent or guardian is killed or stopped at a random moment.

`Hit` says what happens and when; it is drawn from one number, so that a failure can be repeated.
`Backup` plays the host, with a copy of the image as the snapshot. It serves
tests/system/test_random_deaths.py, and relies on support.guest for the agent under the ptrace host.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support.loop import run
from support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.guest import Guest
    from support.loop import LoopMount
    from support.writer import Writer

RUN = Path("/run/vmtpy")
FILESYSTEMS = ("ext4", "xfs", "btrfs")
DEEDS = ("kill agent", "kill guardian", "kill both", "stop agent", "stop guardian")
# Events of a backup after which a hit comes, and the seconds over which it is spread then.
ANCHORS = {"start": 0.15, "marker": 0.02, "commit": 0.1, "done": 0.02}
ANCHOR_PATIENCE = 5.0  # seconds after which the hit comes all the same
ABORTED = (b"req.error", b"req.aborted")


@dataclass(frozen=True)
class Hit:
    """What happens to one backup, all of it drawn from `seed`."""

    seed: int
    fs: str
    deed: str
    anchor: str
    delay: float  # seconds after the anchor
    agent_first: bool  # of two victims
    stopped: float  # seconds until SIGCONT
    cure: tuple[str, ...]  # arguments of the vmtpy that is run when both were killed

    @staticmethod
    def draw(seed: int, limit: float) -> Hit:
        source = random.Random(seed)
        anchor = source.choice(list(ANCHORS))
        return Hit(
            seed,
            source.choice(FILESYSTEMS),
            source.choice(DEEDS),
            anchor,
            source.random() * ANCHORS[anchor],
            source.random() < 0.5,
            source.choice((source.random() * 0.2, limit + source.random())),
            source.choice((("thaw",), ("run", "--include", "/nonexistent"))),
        )

    def __str__(self) -> str:
        moment = f"{self.delay * 1000:.3f} ms after {self.anchor}"
        return f"seed {self.seed}: {self.deed}, {self.fs}, {moment}"


class Striker(threading.Thread):
    """Carries a hit out beside the host, which is busy with its part, and waits for the writer.

    Args:
        hit: what to do.
        guest: the agent.
        backup: whose anchor is waited for.
        cure: called when both have been killed.
    """

    def __init__(self, hit: Hit, guest: Guest, backup: Backup, cure: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.hit, self.guest, self.backup, self.cure = hit, guest, backup, cure
        self.guardians: list[int] = []
        self.waited = -1.0  # seconds until the writer went on after the hit, or after the cure
        self.failure: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.failure is not None or self.waited >= 0

    def finish(self) -> float:
        """Waits for the strike. Returns the writer's wait; raises the strike's error."""
        self.join(2 * PATIENCE)
        if self.failure:
            raise self.failure
        assert self.done, f"{self.hit.deed} has not ended"
        return self.waited

    def run(self) -> None:
        try:
            self.wait_for_anchor()
            wait_until(time.monotonic() + self.hit.delay)
            began = self.strike(self.guest.pid)
            if self.hit.deed == "kill both":
                self.cure()
                began = time.monotonic()
            self.backup.writer.wait_for_more()
            self.waited = time.monotonic() - began
        except BaseException as failure:
            self.failure = failure

    def wait_for_anchor(self) -> None:
        come = {
            "start": lambda: True,
            "marker": lambda: bool(markers_of(self.guest.pid)),
            "commit": lambda: self.backup.committed > 0,
            "done": lambda: self.backup.asked > 0,
        }[self.hit.anchor]
        deadline = time.monotonic() + ANCHOR_PATIENCE
        while not come() and time.monotonic() < deadline:
            time.sleep(0.0002)

    def strike(self, agent: int) -> float:
        """Sends the signals. Returns the time after the last one, without SIGCONT."""
        self.guardians = children_of(agent)
        deed = self.hit.deed
        if deed == "kill both":
            victims = [agent, *self.guardians] if self.hit.agent_first else [*self.guardians, agent]
        else:
            victims = [agent] if deed.endswith("agent") else self.guardians
        send(victims, signal.SIGKILL if deed.startswith("kill") else signal.SIGSTOP)
        struck = time.monotonic()
        if deed == "stop agent":
            time.sleep(self.hit.stopped)
            send(victims, signal.SIGCONT)
        return struck


class Backup:
    """The host's part of one: start, copy after the commit, done.

    Args:
        guest: the agent.
        mount: what it freezes.
        writer: on it.
        copy: where the image goes.
    """

    def __init__(self, guest: Guest, mount: LoopMount, writer: Writer, copy: Path) -> None:
        self.guest, self.mount, self.writer, self.copy = guest, mount, writer, copy
        self.committed = 0.0  # when the host had heard it
        self.written = 0  # records acknowledged before
        self.asked = 0.0  # when snapshotDone was sent
        self.replies = 0  # before that
        guest.device.send_command("vmbackup.start 0")

    def play(self, over: Callable[[], bool]) -> None:
        """Plays the host until `over` is set or the backup has ended."""
        deadline = time.monotonic() + PATIENCE
        while not over() and self.events[-1:] != [b"req.done 0 "]:
            assert time.monotonic() < deadline, f"{self.events} {self.guest.text()}"
            self.guest.read()
            if not self.committed and b"prov.snapshotCommit 0 " in self.events:
                self.written = self.writer.acknowledged
                self.committed = time.monotonic()
                run(["cp", "--sparse=always", str(self.mount.image), str(self.copy)])
                self.replies = len(self.guest.replies())
                self.guest.device.send_command("vmbackup.snapshotDone")
                self.asked = time.monotonic()
        self.guest.read()

    @property
    def events(self) -> list[bytes]:
        return self.guest.events()

    @property
    def confirmed(self) -> bool:
        """Whether the guest confirmed that all was frozen until snapshotDone."""
        answers = self.guest.replies()[self.replies :] if self.asked else []
        return b"OK " in answers and not any(event.startswith(ABORTED) for event in self.events)


def wait_until(moment: float) -> None:
    """Sleeps most of the time and spins the rest, to return within microseconds of a moment."""
    while (left := moment - time.monotonic()) > 0:
        if left > 0.001:
            time.sleep(left - 0.001)


def children_of(parent: int) -> list[int]:
    """The child processes: the guardian, also one that has just been forked and has no name yet."""
    found: list[int] = []
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, children.read_text().split())
    return found


def markers_of(process: int) -> list[Path]:
    return list(RUN.glob(f"freeze-{process}-*"))


def send(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
