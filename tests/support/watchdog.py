"""The guard of one loop mount of the tests: a process of its own that survives the test.

It thaws the mount when a write has waited for 20 seconds (or the time that it was given), and
reports that, which fails the test. If its parent dies, it thaws, unmounts and frees the loop
device. Its probe is a write of zero bytes, which waits on a frozen filesystem and changes nothing.
loop.py starts it as a program, which uses only the standard library.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

FITHAW = 0xC0045878


def start(path: Path, device: str, image: Path, longest: float) -> subprocess.Popen[bytes]:
    """Starts the guard of a mount, and returns when it is ready."""
    facts = [str(path), device, str(image), str(os.getpid()), str(longest)]
    guard = subprocess.Popen(
        [sys.executable, "-IS", __file__, *facts],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )
    assert guard.stdout is not None
    ready, _, _ = select.select([guard.stdout], [], [], 60)
    assert ready, "the watchdog did not start within 60 s"
    assert guard.stdout.readline() == b"ready\n"
    return guard


def stop(guard: subprocess.Popen[bytes]) -> bool:
    """Ends the guard and returns whether it had to thaw. The mount must be thawed for its probe to
    end.
    """
    guard.kill()
    guard.wait(timeout=60)
    assert guard.stdout is not None
    with guard.stdout:
        return b"thawed" in guard.stdout.read()


class Probe(threading.Thread):
    """Writes nothing, once a second, into a file of the mount."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self.waiting_since: float | None = None
        self.file: int | None = None
        with suppress(OSError):  # a read-only mount has no writers that could be stuck
            self.file = os.open(f"{path}/.watchdog", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def run(self) -> None:
        while self.file is not None:
            self.waiting_since = time.monotonic()
            os.write(self.file, b"")
            self.waiting_since = None
            time.sleep(1)


def thaw(directory: int) -> bool:
    """FITHAW until it says that nothing is frozen (bounded: freezes do not nest deeply).

    Whether something was frozen.
    """
    for turn in range(8):
        try:
            fcntl.ioctl(directory, FITHAW, 0)
        except OSError:
            return turn > 0
    return True


def clean_up(path: str, device: str, image: str) -> None:
    """Does the clean-up of a test that has died."""
    for command in (["umount", "-l", path], ["losetup", "-d", device]):
        subprocess.run(command, check=False, timeout=60, stderr=subprocess.DEVNULL)
    Path(image).unlink(missing_ok=True)
    for directory in (path, str(Path(image).parent), str(Path(path).parent)):
        with suppress(OSError):
            Path(directory).rmdir()


def main(path: str, device: str, image: str, parent: int, longest: float) -> None:
    life = os.pidfd_open(parent)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    probe = Probe(path)
    probe.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    poll = select.poll()
    poll.register(life, select.POLLIN)
    while not poll.poll(1000):
        since = probe.waiting_since
        late = since is not None and time.monotonic() - since > longest
        if late and thaw(directory):
            with suppress(OSError):
                os.write(1, b"thawed\n")
    thaw(directory)
    clean_up(path, device, image)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
