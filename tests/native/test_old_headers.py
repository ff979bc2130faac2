"""The C++ compiles with the headers of the oldest supported system, Linux 4.18 and glibc 2.28.

No package has those, so tests/native/linux_4_18 takes from this machine's what came later.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD = f"-I{ROOT}/tests/native/linux_4_18"
KERNEL = re.compile(r"#include (<linux/|<unistd|\"emulator/ptrace/newer_kernel)|\bsyscall\(")
FILES = sorted(
    str(file.relative_to(ROOT))
    for file in (ROOT / "csrc").rglob("*.cpp")
    if file.parent.parent.name != "bind" and KERNEL.search(file.read_text())
)


def compile_with(*words: str | Path) -> None:
    command = ["g++", "-std=c++20", "-Icsrc", *words]
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr[:4000]


@pytest.fixture(autouse=True)
def compiler() -> None:
    if shutil.which("g++") is None:
        pytest.skip("needs g++")


@pytest.mark.parametrize("file", FILES)
def test_it_compiles_with_old_headers(file: str) -> None:
    compile_with(OLD, "-fsyntax-only", file)


def test_what_is_added_is_what_newer_headers_say(tmp_path: Path) -> None:
    told = []
    for name, words in [("new", []), ("old", [OLD])]:
        compile_with(*words, "tests/native/newer_kernel.cpp", "-o", tmp_path / name)
        run = subprocess.run([tmp_path / name], check=True, capture_output=True, text=True)
        told.append(run.stdout.splitlines())
    assert len(told[0]) == 15
    assert told[0] == told[1]


def test_the_old_headers_lack_what_is_newer(tmp_path: Path) -> None:
    newer = tmp_path / "newer.cpp"
    newer.write_text("#include <unistd.h>\nint main() { return gettid(); }\n")
    compile_with("-fsyntax-only", newer)
    with pytest.raises(AssertionError, match="gettid"):
        compile_with(OLD, "-fsyntax-only", newer)
