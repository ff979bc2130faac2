"""The agent's log: levels, and what the journal wants."""

from __future__ import annotations

import datetime
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


def printed(*arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stderr


LINES = ["vmtpy: one", "vmtpy: two", "vmtpy: warning: three", "vmtpy: error: four"]


def test_in_a_terminal_lines_begin_with_the_time_and_name_the_program() -> None:
    lines = printed(TZ="").splitlines()
    assert [line[24:] for line in lines] == LINES
    times = [datetime.datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S.%f") for line in lines]
    assert times == sorted(times)


def test_under_openrc_the_time_is_the_loggers() -> None:
    assert printed(RC_SVCNAME="vmtpy").splitlines() == LINES


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
