"""ARCHITECTURE.md names files, functions and words: what it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()


def section(title: str) -> list[list[str]]:
    """The rows of the table below a title, without its head."""
    (body,) = re.findall(rf"^## {title}\n(.*?)(?=^## )", TEXT, re.M | re.S)
    rows = [line.strip("|").split("|") for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def functions(file: Path) -> set[str]:
    """What a file defines: "Backup::begin", "make_plan"; in Python "Quiesce.start"."""
    if file.suffix == ".cpp":
        return set(re.findall(r"^[A-Za-z][^;{}()]*?\b((?:\w+::)?~?\w+)\(", file.read_text(), re.M))
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = [one for one in node.body if isinstance(one, ast.FunctionDef)]
            found.update(f"{node.name}.{member.name}" for member in inner)
    return found


@pytest.mark.parametrize("row", section("The life of vmbackup.start"), ids=lambda row: row[2])
def test_each_step_of_a_backup_is_where_it_says(row: list[str]) -> None:
    _, file, names = row
    for name in re.findall(r"`([^`]+)`", names):
        assert name in functions(ROOT / file.strip("`"))


def test_the_words_are_few_and_each_is_explained_once() -> None:
    words = [row[0] for row in section("The words")]
    assert len(words) == len(set(words)) <= 40
    assert all(row[1] for row in section("The words"))
