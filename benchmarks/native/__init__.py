"""The small C programs of the benchmarks, compiled when they are first needed.

Writes are timed in C because Python would disturb the times, and libvmtools is called from C
because its users do so. It needs a C compiler, as the build of vmtpy does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent
BUILT = SOURCES.parent.parent / "build" / "benchmarks"
FLAGS = ["-O2", "-Wall", "-Wextra"]
SHARED = {"echo_host"}


def missing() -> str:
    """Why nothing can be compiled here, "" if it can."""
    return "" if shutil.which("cc") else "a C compiler (cc)"


def compiled(name: str) -> Path:
    """The program or, for those in SHARED, the library made of NAME.c; it is up to date.

    Raises:
        subprocess.CalledProcessError: it does not compile; the compiler has said why.
    """
    source, target = SOURCES / f"{name}.c", BUILT / name
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        BUILT.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}")
        flags = [*FLAGS, *(["-shared", "-fPIC"] if name in SHARED else [])]
        subprocess.run(["cc", *flags, "-o", fresh, source, "-pthread", "-ldl"], check=True)
        fresh.replace(target)
    return target
