"""A process that keeps a filesystem from being frozen, as any user could."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def splicing(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process asleep in splice() from an empty pipe into a file: FIFREEZE waits for it."""
    code = "import os, sys; r, w = os.pipe(); f = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
    code += "os.write(1, b'.'); os.splice(r, f, 4096)"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.read(1) == b"."
        deadline = time.monotonic() + 10
        while not Path(f"/proc/{holder.pid}/syscall").read_text().startswith("275 "):
            assert time.monotonic() < deadline
        try:
            yield holder
        finally:
            holder.kill()
