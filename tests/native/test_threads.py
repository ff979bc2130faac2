"""The core's threads under ThreadSanitizer: no data race, no lock taken in a ring."""

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
    if shutil.which("clang++") is None:
        pytest.skip("needs clang")
    compiler = os.environ.get("CLANG", "clang++")
    make = [f"INTO={BUILT}", "SANITIZE=thread", f"CXX={compiler}", "-f", "tests/native/Makefile"]
    jobs = f"-j{os.cpu_count()}"
    subprocess.run(["make", "--silent", jobs, *make], cwd=ROOT, check=True, timeout=1800)
    run = subprocess.run(
        [BUILT / "threads", "60", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1 second_deadlock_stack=1"},
    )
    assert run.returncode == 0, run.stdout + run.stderr[-8000:]
