"""A process that prevents the freeze of a filesystem, as a process of any user can."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


SPLICE = """
import os, sys
r, w = os.pipe()
f = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.write(1, b'.')
os.splice(r, f, 4096)
"""
# The source page is never there: userfaultfd(2) has to deliver it and does not.
WRITE = """
import ctypes, fcntl, mmap, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
faults = libc.syscall(323, os.O_CLOEXEC)
if faults < 0:
    sys.exit(0)
page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
fcntl.ioctl(faults, 0xC018AA3F, bytearray(struct.pack('QQQ', 0xAA, 0, 0)))
fcntl.ioctl(faults, 0xC020AA00, bytearray(struct.pack('QQQQ', address, 4096, 1, 0)))
f = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.write(1, b'.')
libc.write(f, ctypes.c_void_p(address), 4096)
"""
NUMBERS = {SPLICE: "275 ", WRITE: "1 "}  # of the calls, on x86-64


@contextmanager
def holding(path: Path, code: str = SPLICE) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a process that sleeps inside a write to a file, so that FIFREEZE of its filesystem
    waits.
    """
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        if holder.stdout.read(1) != b".":
            pytest.skip("needs userfaultfd")
        deadline = time.monotonic() + PATIENCE
        while not Path(f"/proc/{holder.pid}/syscall").read_text().startswith(NUMBERS[code]):
            assert time.monotonic() < deadline
        try:
            yield holder
        finally:
            holder.kill()
