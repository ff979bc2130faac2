"""Locks are of a kind that clang can check: base/thread_safety.h. `.ci/tidy` checks all code."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
# Clock waits with any mutex, and hands it to condition variables.
ANY_MUTEX = ("base/thread_safety.h", "base/clock", "doubles/manual_clock")
SOURCES = [
    file
    for file in sorted(CSRC.rglob("*.*"))
    if file.suffix in (".h", ".cpp") and not str(file.relative_to(CSRC)).startswith(ANY_MUTEX)
]

PROGRAM = """
#include "base/thread_safety.h"

class Account {{
 public:
  void pay_in() {{
    {lock}
    ++balance_;
  }}

 private:
  vmtpy::Mutex mutex_;
  int balance_ GUARDED_BY(mutex_) = 0;
}};

int main() {{ Account().pay_in(); }}
"""


def place(file: Path) -> str:
    return str(file.relative_to(CSRC))


@pytest.mark.parametrize("file", SOURCES, ids=place)
def test_a_lock_is_one_that_clang_checks(file: Path) -> None:
    assert not re.search(r"std::(mutex|lock_guard|unique_lock|scoped_lock)\b", file.read_text())


@pytest.mark.parametrize("locked", [True, False], ids=["with the lock", "without"])
def test_clang_refuses_what_is_used_without_its_lock(locked: bool, tmp_path: Path) -> None:
    if shutil.which("clang++") is None:
        pytest.skip("needs clang")
    source = tmp_path / "account.cpp"
    source.write_text(PROGRAM.format(lock="vmtpy::MutexLock lock(mutex_);" if locked else ""))
    flags = ["-std=c++20", f"-I{CSRC}", "-fsyntax-only", "-Wthread-safety", "-Werror"]
    checked = subprocess.run(
        ["clang++", *flags, source], check=False, capture_output=True, text=True, timeout=60
    )
    assert (checked.returncode == 0) == locked, checked.stderr
    assert ("requires holding mutex 'mutex_'" in checked.stderr) != locked
