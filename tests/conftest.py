"""Makes tests/support importable (pytest puts this directory on the path) and, with
VMTPY_FORBID_SKIPS set, turns each skip into a failure: a CI machine must have everything that can
be installed, which the features of a kernel and of a processor cannot.

No test can power this machine off: what could is replaced for tests and for all that they start.
"""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

import vmtpy

if TYPE_CHECKING:
    from collections.abc import Generator


# The fixtures of vmtpy as everybody has them; where it is installed pytest knows them already.
pytest_plugins = ["pytester", "vmtpy.pytest_plugin"]

# A machine under load is no failure; pytest-timeout bounds each test.
hypothesis.settings.register_profile("vmtpy", deadline=None)
hypothesis.settings.load_profile("vmtpy")

DANGEROUS = ("systemctl", "poweroff", "reboot", "halt", "shutdown")


def disarm() -> tempfile.TemporaryDirectory[str]:
    """Puts harmless programs in front of those that end the machine. They record their call."""
    made = tempfile.TemporaryDirectory(prefix="vmtpy-disarmed-")
    directory = Path(made.name)
    calls = directory / "calls"
    for name in DANGEROUS:
        program = directory / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{calls}"\n')
        program.chmod(0o755)
    os.environ["PATH"] = f"{directory}:{os.environ.get('PATH', os.defpath)}"
    os.environ["VMTPY_DISARMED_CALLS"] = str(calls)
    return made


# Programs that tests start find the package that is tested, wherever they start.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(vmtpy.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
).rstrip(os.pathsep)

# Under nohup, or in a shell's background, programs that tests start would ignore these.
for number in (signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DISARMED = disarm()  # its directory lasts as long as the tests


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("VMTPY_FORBID_SKIPS") and not hasattr(report, "wasxfail"):
        reason = str(call.excinfo.value) if call.excinfo else "skipped"
        if reason.endswith(("in the kernel", "in the processor")):
            return report
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped where nothing may be: {reason}"
    return report
