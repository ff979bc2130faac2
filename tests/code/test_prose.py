"""Each C++ file opens with what it is, and each class with who owns it: see CONTRIBUTING.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("csrc", "tests/fuzz", "tests/native")
NATIVE = sorted(
    file
    for folder in FOLDERS
    for file in (ROOT / folder).glob("**/*.*" if folder == "csrc" else "*.*")
    if file.suffix in (".h", ".cpp")
)


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", NATIVE, ids=name)
def test_a_file_opens_with_what_it_is_whom_it_serves_and_what_it_relies_on(file: Path) -> None:
    opening = re.match(r"(?://.*\n)*", file.read_text())
    assert opening is not None
    lines = [line for line in opening[0].splitlines() if line.strip("/ ")]
    assert 2 <= len(lines) <= 16, lines
    assert lines[-1].endswith((".", "─┘"))


@pytest.mark.parametrize("file", NATIVE, ids=name)
def test_a_class_opens_with_its_owner(file: Path) -> None:
    before = re.findall(r"^(.*)\n(?:template.*\n)?class [^;]*\{$", file.read_text(), re.MULTILINE)
    assert [line for line in before if not line.startswith("//")] == []
