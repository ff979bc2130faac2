"""Each fuzz target for a few seconds, from the corpus in the tree; see CONTRIBUTING.md for more."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / "build" / "fuzz"  # kept: only what has changed is compiled again
TARGETS = sorted(file.stem for file in HERE.glob("*.cpp"))
SECONDS = os.environ.get("VMTPY_FUZZ_SECONDS", "4")


@pytest.fixture(scope="session")
def built() -> Path:
    if shutil.which("clang++") is None:
        pytest.skip("needs clang")
    subprocess.run([HERE / "build", BUILT], check=True, timeout=1800)
    return BUILT


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_promise_or_the_memory(target: str, built: Path, tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.mkdir()
    options = [f"-max_total_time={SECONDS}", "-timeout=60", "-rss_limit_mb=1500"]
    command = [built / target, *options, f"-artifact_prefix={tmp_path}/", found]
    run = subprocess.run(
        [*command, HERE / "corpus" / target],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=float(SECONDS) + 600,
    )
    assert run.returncode == 0, run.stderr[-8000:]
    assert "DONE" in run.stderr
