"""The pytest plugin as a stranger has it: a pytest of its own, with vmtpy installed beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vmtpy
from vmtpy.testing.programs import untraceable

TEST = """
import subprocess

import vmtpy


def my_code():
    done = subprocess.run(["vmware-rpctool", "info-get guestinfo.answer"], capture_output=True)
    return done.stdout.decode().strip()


def test_my_code(vmware_host):
    vmware_host.guestinfo["answer"] = "42"
    assert my_code() == "42"
    assert vmware_host.requests == [b"info-get guestinfo.answer"]


def test_each_test_has_a_host_of_its_own(vmware_host):
    assert my_code() == ""
    assert vmtpy.guestinfo.get("answer") is None


def test_an_agent(vmware_host, vmware_guest):
    assert vmware_host.backup().succeeded


def test_a_program(vmware_host, vmware_run):
    vmware_host.guestinfo["answer"] = "42"
    done = vmware_run("vmware-rpctool", "info-get guestinfo.answer")
    assert done.stdout == b"42\\n", done.stderr
    assert vmware_host.messages[-1].text == b"info-get guestinfo.answer"
"""
# Parts of vmtpy, and modules that only it needs, which a pytest without its fixtures does not load.
IDLE = """
import sys


def test_nothing_of_vmtpy_is_loaded_but_the_plugin():
    loaded = sorted(name for name in sys.modules if name.split(".")[0] == "vmtpy")
    assert loaded == ["vmtpy", "vmtpy.pytest_plugin"]
"""


@pytest.fixture
def installed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """vmtpy as pip installs it: with its entry point among the distributions in sys.path."""
    site = pytester.mkdir("site")
    info = site / "strange-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1\n")
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    line = text.partition("pytest11]\n")[2].splitlines()[0]
    name, _, module = line.replace('"', "").partition(" = ")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    package = Path(vmtpy.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{site}:{package}")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("VMTPY_FORBID_SKIPS", raising=False)
    return pytester


def test_a_stranger_has_its_fixtures(installed: pytest.Pytester) -> None:
    if reason := untraceable():
        pytest.skip(f"capability missing: {reason}")
    installed.makepyfile(TEST)
    installed.runpytest_subprocess("-W", "error").assert_outcomes(passed=4)


def test_where_nothing_may_be_traced_a_test_is_skipped_by_name(
    installed: pytest.Pytester,
) -> None:
    installed.makepyfile(TEST)
    installed.makeconftest(
        "from vmtpy.testing import programs\nprograms.untraceable = lambda: 'ptrace'\n"
    )
    result = installed.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["*capability missing: ptrace*"])


def test_it_loads_nothing_before_a_fixture_is_used(installed: pytest.Pytester) -> None:
    installed.makepyfile(IDLE)
    installed.runpytest_subprocess().assert_outcomes(passed=1)


def test_its_fixtures_are_listed_with_what_they_are(installed: pytest.Pytester) -> None:
    result = installed.runpytest_subprocess("--fixtures")
    for name in ("vmware_host", "vmware_guest", "vmware_run"):
        result.stdout.fnmatch_lines([f"{name} *pytest_plugin.py*"])


def test_what_the_plugin_imports_pytest_has_already() -> None:
    """So that it costs the start of every other pytest next to nothing."""
    script = (
        "import sys, pytest; before = {*sys.modules}; import vmtpy.pytest_plugin;"
        "print(*sorted({*sys.modules} - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["vmtpy", "vmtpy.pytest_plugin"]
