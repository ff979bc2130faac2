"""An assertion that fails ends the process, names itself, and never waits for a frozen disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[3] / "csrc"
PROGRAM = """
#include "base/assertion.h"
int main(int count, char**) {
  VMTPY_ASSERT(count == 1);
  return 7;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    directory = tmp_path_factory.mktemp("assertion")
    source, built = directory / "program.cpp", directory / "program"
    source.write_text(PROGRAM)
    # As a release is built.
    flags = ["-std=c++20", "-O2", "-DNDEBUG", f"-I{CSRC}"]
    subprocess.run(
        [compiler, *flags, "-o", built, source, CSRC / "base" / "assertion.cpp"],
        check=True,
        timeout=120,
    )
    return built


def test_one_that_holds_does_nothing(program: Path) -> None:
    done = subprocess.run([program], check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (7, b"")


def test_one_that_fails_names_itself_and_aborts_a_release_too(program: Path) -> None:
    done = subprocess.run([program, "more"], check=False, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGABRT
    line = done.stderr.decode()
    assert line.startswith("vmtpy: ")
    assert line.endswith("program.cpp:4: assertion failed: count == 1\n")


def test_a_log_that_may_lie_on_a_frozen_disk_is_not_written(program: Path, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run([program, "more"], check=False, stderr=log, timeout=60)
    assert done.returncode == -signal.SIGABRT
    assert (tmp_path / "log").read_bytes() == b""


def test_a_reader_that_does_not_read_is_not_waited_for(program: Path) -> None:
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(65536))
        os.set_blocking(writing, True)
        done = subprocess.run([program, "more"], check=False, stderr=writing, timeout=60)
        assert done.returncode == -signal.SIGABRT
    finally:
        os.close(reading)
        os.close(writing)
