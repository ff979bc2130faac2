"""One run of one contender in its own process, which runner.py starts. It prints a JSON object.

python -m benchmarks.child SCENARIO CASE CONTENDER STORE
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.disks import mounts
from benchmarks.scenario import Place
from benchmarks.scenarios import scenarios

SHARED = Path("/dev/shm")


@contextmanager
def place(store: Path) -> Iterator[Place]:
    """Fresh directories; they are deleted unless something is still mounted in them."""
    work = Path(tempfile.mkdtemp(prefix="vmtpy-bench-"))
    shared = Path(tempfile.mkdtemp(prefix="vmtpy-bench-", dir=SHARED))
    try:
        yield Place(store, work, shared)
    finally:
        for directory in (work, shared):
            if not any(mount.path.startswith(f"{directory}/") for mount in mounts()):
                shutil.rmtree(directory)


def main(scenario: str, case: str, contender: str, store: str) -> None:
    # As Ctrl-C: everything is thawed and taken away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with place(Path(store).resolve()) as made:
        measurement = scenarios()[scenario].measure(case, contender, made)
    print(json.dumps(asdict(measurement)))


if __name__ == "__main__":
    main(*sys.argv[1:])
