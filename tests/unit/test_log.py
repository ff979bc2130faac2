"""The agent's log: levels, and what the journal wants."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vmtpy.log import DEBUG, ERROR, INFO, WARNING, Log, is_journal

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os, sys
if sys.argv[1:]:
    found = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
from vmtpy import log
taken = log.to_stderr()
taken("one\\ntwo")
taken.warning("three")
taken.error("four")
taken.debug("five")
"""


def printed(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stderr


def test_in_a_terminal_lines_name_the_program() -> None:
    assert printed() == "vmtpy: one\nvmtpy: two\nvmtpy: warning: three\nvmtpy: error: four\n"


def test_in_the_journal_each_line_says_its_priority() -> None:
    assert printed("journal") == "<6>one\n<6>two\n<4>three\n<3>four\n"


@pytest.mark.parametrize(
    ("level", "kept"), [(ERROR, "e"), (WARNING, "ew"), (INFO, "ewi"), (DEBUG, "ewid")]
)
def test_what_is_less_important_than_the_level_is_left_out(level: int, kept: str) -> None:
    lines: list[str] = []
    log = Log(lambda _, line: lines.append(line), level)
    log.error("e")
    log.warning("w")
    log("i")
    log.debug("d")
    assert "".join(lines) == kept


def test_a_variable_that_was_inherited_is_not_taken_for_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "redirected").open("w") as redirected:
        found = os.fstat(redirected.fileno())
        assert is_journal(f"{found.st_dev}:{found.st_ino}", redirected.fileno())
        assert not is_journal(f"{found.st_dev}:{found.st_ino + 1}", redirected.fileno())
        assert not is_journal("", redirected.fileno())
    assert not is_journal("", 9999)
