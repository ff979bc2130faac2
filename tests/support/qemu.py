"""A virtual machine that runs vmtpy for a test. QEMU emulates the processor in software, so that
the machine is the same everywhere; it has only an initramfs (initramfs.py) and the disks of the
test.

The test and the guest exchange data over virtio-serial ports, which are Unix sockets on this side:
the port "control" carries commands for vm/guest/server.py, the others belong to the test. All waits
are bounded, and an error shows the end of the guest's console.
"""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.qmp import LineReader, Qmp

if TYPE_CHECKING:
    from collections.abc import Iterator

QEMU = "qemu-system-x86_64"
# Software emulation on a machine that others use as well: a boot may take many times its 4 seconds.
BOOT = 300.0
COMMAND = 180.0
MEMORY = 768  # MiB
SERIAL = "shared"
UUID = "6f0c8a6e-1f44-4d0f-9d5b-3c2e1a0b9f87"


class GuestError(AssertionError):
    """The guest failed to do a request; the text has the end of its console."""


@dataclass(frozen=True)
class Ran:
    """A command that has run in the guest."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Root:
    """A kernel image and an initramfs, which machines boot."""

    kernel: Path
    initramfs: Path


class VirtualMachine:
    """A running machine. Made by `virtual_machine()`."""

    def __init__(
        self,
        root: Root,
        work: Path,
        disks: tuple[Path, ...],
        ports: tuple[str, ...],
        shared: Path | None = None,
    ) -> None:
        self.console = work / "console.log"
        listeners = {name: listen(work / name) for name in ("qmp", "control", *ports)}
        with (work / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                command_line(root, work, disks, ("control", *ports), shared),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._sockets: list[socket.socket] = []
        try:
            readers = {name: self._accept(one) for name, one in listeners.items()}
            self.qmp = Qmp(readers.pop("qmp"))
        except BaseException:
            self.end()
            raise
        self._control = readers.pop("control")
        self.ports = readers

    def wait_for_boot(self, timeout: float = BOOT) -> None:
        """Waits until the guest takes commands, also again after a reset."""
        deadline = time.monotonic() + timeout
        while "booted" not in self._read(deadline, "to boot"):
            pass

    def run(
        self,
        *command: str | Path,
        user: int = 0,
        stdin: str = "",
        timeout: float = COMMAND,
        environment: dict[str, str] | None = None,
    ) -> Ran:
        """Runs a command in the guest to its end."""
        answer = self.ask(
            "run",
            timeout,
            command=[str(word) for word in command],
            user=user,
            stdin=stdin,
            timeout=timeout,
            environment=environment or {},
        )
        return Ran(answer["code"], answer["out"], answer["err"])

    def check(self, *command: str | Path, timeout: float = COMMAND) -> str:
        """Runs a command that must succeed, and returns its output."""
        done = self.run(*command, timeout=timeout)
        if done.code != 0:
            raise self.error(f"{command} ended with {done.code}: {done.out} {done.err}")
        return done.out

    def python(self, source: str, user: int = 0) -> Ran:
        """Runs Python in the guest."""
        return self.run("python", "-c", source, user=user)

    def start(self, *command: str, output: str) -> int:
        """Starts a command with its output in a file of the guest. Returns its process id."""
        return int(self.ask("start", command=list(command), output=output)["pid"])

    def wait(self, pid: int, timeout: float = COMMAND) -> int:
        """Waits for the end of a command of start(). Returns its exit code."""
        return int(self.ask("wait", timeout, pid=pid, timeout=timeout)["code"])

    def read(self, path: str) -> str:
        """Reads a file of the guest."""
        return str(self.ask("read", path=path)["text"])

    def write(self, path: str, text: str) -> None:
        """Makes a file in the guest."""
        self.ask("write", path=path, text=text)

    def ask(self, what: str, longest: float = COMMAND, **arguments: object) -> dict[str, Any]:
        """Sends a request to the server in the guest and returns the answer. Raises GuestError."""
        answer = self.answer(self.request(what, **arguments), longest)
        if "error" in answer:
            raise self.error(f"{what} {arguments}: {answer['error']}")
        return answer

    def request(self, what: str, **arguments: object) -> int:
        """Sends a request without waiting; answer() returns the answer."""
        number = next(self._numbers)
        request = {"id": number, "do": what, "with": arguments}
        self._control.connection.settimeout(COMMAND)
        self._control.connection.sendall(json.dumps(request).encode() + b"\n")
        return number

    def answer(self, number: int, longest: float = COMMAND) -> dict[str, Any]:
        """The answer to a request."""
        deadline = time.monotonic() + longest + 10
        while number not in self._answers:
            answer = self._read(deadline, "to answer")
            if "booted" in answer:
                raise self.error("the guest has booted anew")
            self._answers[int(answer["id"])] = answer
        return self._answers.pop(number)

    def line(self, port: str, timeout: float = COMMAND) -> str:
        """The next line that the guest writes to a port."""
        line = self.ports[port].line(time.monotonic() + timeout)
        if line is None:
            raise self.error(f"nothing came from the port {port}")
        return line.decode()

    def error(self, text: str) -> GuestError:
        """An error that shows the end of the guest's console."""
        console = self.console.read_text("utf-8", "replace") if self.console.exists() else ""
        return GuestError(f"{text}\n--- console:\n{console[-4000:]}")

    def quit(self) -> None:
        """Ends the machine as if its power were cut. After that its images are complete."""
        self.qmp.execute("quit")
        self._process.wait(timeout=COMMAND)

    def end(self) -> None:
        """Ends QEMU in any case."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=COMMAND)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=COMMAND)
        for one in self._sockets:
            one.close()

    def _read(self, deadline: float, what: str) -> dict[str, Any]:
        try:
            while (line := self._control.line(deadline)) is not None:
                with suppress(ValueError):  # cut off by a reset
                    return dict(json.loads(line))
        except ConnectionError as error:
            raise self.error(f"waiting for the guest {what}: {error}") from None
        raise self.error(f"no time left for the guest {what}")

    def _accept(self, listener: socket.socket) -> LineReader:
        with listener:
            for _ in range(300):
                listener.settimeout(0.1)
                with suppress(TimeoutError):
                    self._sockets.append(listener.accept()[0])
                    return LineReader(self._sockets[-1])
                if self._process.poll() is not None:
                    break
        text = (self.console.parent / "qemu.log").read_text("utf-8", "replace")
        raise GuestError(f"{QEMU} did not start: {text}")


def command_line(
    root: Root,
    work: Path,
    disks: tuple[Path, ...],
    ports: tuple[str, ...],
    shared: Path | None = None,
) -> list[str]:
    """QEMU's command line."""
    command = [QEMU, "-no-user-config", "-nodefaults", "-display", "none"]
    command += ["-M", "pc,vmport=on", "-accel", "tcg,thread=multi", "-cpu", "max"]
    command += ["-smp", "2", "-m", str(MEMORY), "-uuid", UUID]
    command += ["-kernel", str(root.kernel), "-initrd", str(root.initramfs)]
    # On a busy machine the timer's ticks come too late for the check of the IO-APIC.
    command += ["-append", "console=ttyS0 quiet panic=0 no_timer_check rdinit=/init"]
    command += ["-serial", f"file:{work}/console.log"]
    command += ["-chardev", f"socket,id=qmp,path={work}/qmp", "-mon", "chardev=qmp,mode=control"]
    command += ["-device", "virtio-serial"]
    for name in ports:
        command += ["-chardev", f"socket,id={name},path={work}/{name}"]
        command += ["-device", f"virtserialport,chardev={name},name={name}"]
    for number, disk in enumerate(disks):
        command += drive(f"disk{number}", disk)
        command += ["-device", f"virtio-blk,drive=disk{number},id=virtio{number}"]
    if shared is not None:
        command += two_paths(shared)
    return command


def drive(node: str, image: Path) -> list[str]:
    """An image as one of QEMU's nodes."""
    # Nobody cuts the power of the machine outside: the images need no flush.
    options = f"driver=qcow2,node-name={node},cache.direct=off,cache.no-flush=on"
    return ["-blockdev", f"{options},file.driver=file,file.filename={image}"]


def two_paths(image: Path) -> list[str]:
    """A disk that the guest sees by two host adapters, as /dev/sda and /dev/sdb."""
    command = drive("shared", image)
    for number in range(2):
        command += ["-device", f"virtio-scsi,id=adapter{number}"]
        disk = f"scsi-hd,bus=adapter{number}.0,id=path{number},drive=shared,share-rw=on"
        command += ["-device", f"{disk},serial={SERIAL}"]
    return command


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    return listener


@contextmanager
def virtual_machine(
    root: Root, *disks: Path, ports: tuple[str, ...] = (), shared: Path | None = None
) -> Iterator[VirtualMachine]:
    """Boots a machine and ends it.

    Args:
        root: what it boots.
        disks: qcow2 images; the guest has them as /dev/vda, /dev/vdb, …
        ports: names of virtio-serial ports for the test's own use.
        shared: a qcow2 image that the guest sees by two paths.
    """
    with tempfile.TemporaryDirectory(prefix="vmtpy-vm-") as work:
        machine = VirtualMachine(root, Path(work), disks, ports, shared)
        try:
            machine.wait_for_boot()
            yield machine
        finally:
            machine.end()
