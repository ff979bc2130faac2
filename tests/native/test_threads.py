"""The core's threads under ThreadSanitizer: no data race, no lock taken in a ring; and no memory
taken while something is frozen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "thread"  # kept: only what has changed is compiled again


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("words", [[], ["vsock"]], ids=["backdoor", "vsock"])
def test_threads_under_load_do_not_race(words: list[str]) -> None:
    run("threads", "60", *words)


@pytest.mark.timeout(2400)
def test_no_thread_of_a_session_allocates_from_the_first_freeze_to_the_last_thaw() -> None:
    run("allocations")


def run(driver: str, *words: str) -> None:
    """Builds a driver, and runs it without a finding."""
    if shutil.which("clang++") is None:
        pytest.skip("needs clang")
    compiler = os.environ.get("CLANG", "clang++")
    make = [f"INTO={BUILT}", "SANITIZE=thread", f"CXX={compiler}", "-f", "tests/native/Makefile"]
    program = BUILT / driver
    jobs = f"-j{os.cpu_count()}"
    subprocess.run(["make", "--silent", jobs, *make, program], cwd=ROOT, check=True, timeout=1800)
    done = subprocess.run(
        [program, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1 second_deadlock_stack=1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr[-8000:]
