"""A FUSE filesystem whose server can fall silent, as an NFS server does without a network.

It has one directory, "inner", on which another filesystem can be mounted. The kernel asks the
server about it at every use. The server is this file as a program; it relies on root and on
/dev/fuse. linux/fuse.h of the kernel describes the messages.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0
INNER = 2  # its node; the root is 1
LOOKUP, FORGET, GETATTR, INIT, OPENDIR, READDIR = 1, 2, 3, 26, 27, 28
RELEASEDIR, INTERRUPT, BATCH_FORGET = 29, 36, 42
NO_ANSWER = (FORGET, INTERRUPT, BATCH_FORGET)
ENOENT, ENOSYS = 2, 38
DIRECTORY = 0o40755


class FuseMount:
    """A mounted FUSE filesystem at `path`."""

    def __init__(self, path: Path, server: subprocess.Popen[bytes]) -> None:
        self.path = path
        self.inner = path / "inner"
        self._server = server

    def fall_silent(self) -> None:
        """From now on whoever goes through the filesystem waits."""
        self._server.send_signal(signal.SIGSTOP)

    def answer(self) -> None:
        """Lets them go on."""
        self._server.send_signal(signal.SIGCONT)


@contextmanager
def fuse_mount(path: Path) -> Iterator[FuseMount]:
    """Mounts at `path`, which must be an empty directory, and unmounts in the end."""
    command = [sys.executable, "-IS", __file__, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"mounted\n"
        mount = FuseMount(path, server)
        try:
            yield mount
        finally:
            mount.answer()
            try:
                unmount(path)
            finally:
                server.kill()


def unmount(path: Path) -> None:
    """Unmounts as soon as nobody uses the filesystem any more."""
    deadline = time.monotonic() + PATIENCE
    while subprocess.run(["umount", str(path)], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, f"{path} is in use"
        time.sleep(0.02)


def serve(path: str) -> None:
    """Mounts at `path` and answers the kernel until it is unmounted."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"silent", path.encode(), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), "mount", path)
    os.write(1, b"mounted\n")
    while True:
        try:
            request = os.read(device, 1 << 17)
        except OSError:  # ENODEV: it has been unmounted
            return
        _, operation, unique, node = struct.unpack_from("<IIQQ", request)
        if operation in NO_ANSWER:
            continue
        error, body = reply(operation, node, request[40:])
        os.write(device, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)


def reply(operation: int, node: int, body: bytes) -> tuple[int, bytes]:
    """The error and the body of an answer. Nothing that it says may be kept by the kernel."""
    if operation == INIT:
        major, minor = struct.unpack_from("<II", body)
        return 0, struct.pack(
            "<IIIIHHIIHHI28x", major, min(minor, 31), 0, 0, 16, 12, 4096, 1, 1, 0, 0
        )
    if operation == LOOKUP and body == b"inner\0":
        return 0, struct.pack("<QQQQII", INNER, 1, 0, 0, 0, 0) + attributes(INNER)
    if operation == LOOKUP:
        return ENOENT, b""
    if operation == GETATTR:
        return 0, struct.pack("<QII", 0, 0, 0) + attributes(node)
    if operation == OPENDIR:
        return 0, struct.pack("<QII", 0, 0, 0)
    return (0, b"") if operation in (READDIR, RELEASEDIR) else (ENOSYS, b"")


def attributes(node: int) -> bytes:
    """What stat() shows of a directory."""
    return struct.pack(
        "<QQQQQQIIIIIIIIII", node, 0, 0, 0, 0, 0, 0, 0, 0, DIRECTORY, 2, 0, 0, 0, 512, 0
    )


if __name__ == "__main__":
    serve(sys.argv[1])
