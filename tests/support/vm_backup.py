"""A test machine with writers that is backed up, for all tests in tests/vm that freeze.

In the machine, `vmtpy run` is the agent of an emulated host whose snapshot command sends "commit"
over a virtio-serial port and waits for "done"; between these the test acts on the machine. The
writers report their acknowledged records over another port.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from support.images import layer
from support.qemu import VirtualMachine, virtual_machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from support.qemu import Root

KINDS = ("synced", "buffered")  # the writers that count their records
VMTPY = ("python", "-m", "vmtpy")
EMULATE = (*VMTPY, "emulate", "--json", "-o", "/run/timeline", "--backup-after", "1")
PORTS = ("acks", "snapshot")
SNAPSHOT = ("--snapshot-command", "/opt/guest/snapshot", "--end-after-backup")
# How soon writers are slow enough, and how long a freeze takes, is a matter of the machine's speed.
PATIENT = "[quiesce]\ntimeout = 240\nfilesystem_timeout = 120\n"


class Acknowledged:
    """What the guest's writers have told to be written, read all the time by a thread."""

    def __init__(self, machine: VirtualMachine, names: Iterable[str] = KINDS) -> None:
        self._machine = machine
        self._names = tuple(names)
        self._last: dict[str, int] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def now(self) -> dict[str, int]:
        return dict(self._last)

    def wait_for_more(self, number: int = 50, timeout: float = 180) -> None:
        """Waits until each kind of records has so many more."""
        wanted = {name: self._last.get(name, 0) + number for name in self._names}
        deadline = time.monotonic() + timeout
        while any(self._last.get(kind, 0) < count for kind, count in wanted.items()):
            if time.monotonic() > deadline:
                raise self._machine.error(f"the writers do not write: {self._last}, not {wanted}")
            time.sleep(0.01)

    def _read(self) -> None:
        try:
            while line := self._machine.ports["acks"].line(time.monotonic() + 300):
                kind, _, number = line.decode().partition(" ")
                self._last[kind] = int(number)
        except (OSError, ValueError):
            pass  # the machine has been thrown away, or reset in the middle of a line


class BusyGuest:
    """A machine with writers on its disk.

    Attributes:
        machine: the machine.
        acknowledged: what its writers have written.
    """

    def __init__(
        self, machine: VirtualMachine, *kinds: str, directories: tuple[str, ...] = ("/data",)
    ) -> None:
        self.machine = machine
        names = [kind for kind in KINDS if kind in kinds]
        if len(directories) > 1:
            names = [f"{directory}/{name}" for directory in directories for name in names]
        self.acknowledged = Acknowledged(machine, names)
        where = ":".join(directories)
        machine.start("python", "/opt/guest/writers.py", where, *kinds, output="/run/writers")
        self.acknowledged.wait_for_more()

    def freeze(self, config: str = PATIENT, *options: str) -> int:
        """Starts agent and host, and waits for the commit. Returns the host's process id."""
        host = self.start(config, *options)
        self.committed()
        return host

    def start(self, config: str = PATIENT, *options: str) -> int:
        """Starts agent and host, which begins a backup. Returns the host's process id."""
        self.machine.write("/run/vmtpy.toml", config)
        agent = [*VMTPY, "run", "--record", "/run/record", "--config", "/run/vmtpy.toml"]
        return self.machine.start(
            *EMULATE, *SNAPSHOT, *options, "--", *agent, output="/run/emulate"
        )

    def committed(self) -> None:
        """Waits for the commit."""
        try:
            assert self.machine.line("snapshot") == "commit"
        except AssertionError:
            text = self.machine.read("/run/timeline") + self.machine.read("/run/emulate")
            raise self.machine.error(text) from None

    def release(self) -> None:
        """Tells the host inside that the snapshot has been taken."""
        self.machine.ports["snapshot"].connection.sendall(b"done\n")

    def markers(self) -> list[str]:
        """The markers in /run."""
        names = self.machine.run("ls", "/run/vmtpy").out.split()
        return [name for name in names if name.startswith("freeze-")]

    def agent(self) -> int:
        """The process id of an agent that has frozen filesystems."""
        (marker,) = self.markers()
        return int(marker.split("-")[1])

    def timeline(self) -> list[dict[str, Any]]:
        """The timeline of agent and host so far."""
        lines = self.machine.read("/run/timeline").splitlines()
        return [json.loads(line) for line in lines]

    def phases(self) -> dict[str, dict[str, Any]]:
        """The phases of the backup as the host inside saw them."""
        return {line["phase"]: line for line in self.timeline() if line["kind"] == "phase"}

    def events(self) -> list[str]:
        """The names of the agent's events, without keep-alives."""
        names = [line["event"]["name"] for line in self.timeline() if "event" in line]
        return [name for name in names if name != "req.keepAlive"]


@contextmanager
def busy_guest(root: Root, image: Path, disk: Path, *kinds: str) -> Iterator[BusyGuest]:
    """Boots a machine with a new layer over a filled disk, and writers of these kinds on it."""
    with virtual_machine(root, layer(image, disk), ports=PORTS) as machine:
        machine.check("mount", "-t", "ext4", "/dev/vda", "/data")
        yield BusyGuest(machine, *kinds)
