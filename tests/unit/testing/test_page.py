"""The programs of docs/testing.md, run by a pytest of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pages import blocks

from vmtpy.testing.programs import untraceable


def test_each_test_of_the_page_passes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := untraceable():
        pytest.skip(f"capability missing: {reason}")
    monkeypatch.delenv("VMTPY_FORBID_SKIPS", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    programs = blocks("docs/testing.md", "python")
    assert len(programs) == 5
    for number, program in enumerate(programs):
        Path(pytester.path, f"test_{number}.py").write_text(program)
    result = pytester.runpytest_subprocess("-p", "vmtpy.pytest_plugin", "-W", "error")
    result.assert_outcomes(passed=sum(program.count("def test_") for program in programs))
