"""What the guardian closes, on kernels with and without close_range(2), with and without /proc."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.old_kernel import CLOSE_RANGE, GETDENTS64

TESTS = Path(__file__).parents[2]
PROGRAM = """
import fcntl, os, resource, sys
sys.path.insert(0, sys.argv[1])
from support import old_kernel
from vmtpy import _host

def still_open():
    found = []
    for number in range(resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
            found.append(number)
        except OSError:
            pass
    return found

# More than one reading of a directory brings.
opened = [os.open("/", os.O_RDONLY) for _ in range(400)]
high = fcntl.fcntl(0, fcntl.F_DUPFD, 1500)
if sys.argv[2] == "none left":
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 2000))
else:
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))
old_kernel.refuse([int(word) for word in sys.argv[3:]])
kept = [1, 2, opened[7], opened[8], opened[300]]
_host.close_all_but(kept)
assert still_open() == kept, still_open()
_host.close_all_but([])
os._exit(len(still_open()))
"""


@pytest.mark.parametrize(
    ("descriptors", "refused"),
    [
        ("enough", []),
        ("enough", [CLOSE_RANGE]),
        ("enough", [CLOSE_RANGE, GETDENTS64]),
        ("none left", [CLOSE_RANGE]),
    ],
    ids=["by ranges", "as listed", "without a list", "without one for the list"],
)
def test_all_are_closed_but_those_that_are_kept(descriptors: str, refused: list[int]) -> None:
    numbers = [str(code) for code in refused]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(TESTS), descriptors, *numbers],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
