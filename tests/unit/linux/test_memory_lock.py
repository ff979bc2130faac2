"""What is in memory stays there, where that is allowed; where it is not, nothing gets worse."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.loop import require_program, require_root

PROGRAM = """
import re
from vmtpy import _core
def memory(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
before = memory("VmRSS")
locked = _core.lock_memory()
grown = memory("VmRSS") - before
spare = bytearray(64 << 20)
print(int(locked), memory("VmLck"), grown)
"""


def run(*wrapper: str) -> list[int]:
    """Locked, kB locked, kB that it cost."""
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [int(word) for word in done.stdout.split()]


def test_it_is_locked_and_nothing_more_is_brought_into_memory() -> None:
    require_root()
    locked, kilobytes, grown = run()
    if not locked:
        pytest.skip("needs CAP_IPC_LOCK")
    assert kilobytes > 5000
    assert grown < 1500


def test_without_the_right_nothing_is_locked_and_memory_can_still_be_had() -> None:
    require_root()
    require_program("setpriv", "prlimit")
    drop = ["setpriv", "--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock"]
    assert run("prlimit", "--memlock=1000000", *drop)[:2] == [0, 0]
