"""One request by a program that is started for it, as cloud-init and scripts do, several times in a
row. The metrics are the processor time and the memory of the whole process.

All programs run under the emulated host, whose stops do not count as the program's time.
vmtpy-rpctool is a native program; Python alone shows the least that a program in Python needs.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import sysconfig
import time
from pathlib import Path

from benchmarks import native
from benchmarks.scenario import Measurement, Metric, Place
from vmtpy._core import SteadyClock
from vmtpy._host import Device, TrapHost
from vmtpy.host.listener import Listener

NAME = "startup"
TITLE = "one request by a program of its own"
METRICS: tuple[Metric, ...] = (
    Metric("cpu_ms", "processor time, ms"),
    Metric("memory_mib", "memory at most, MiB"),
)
CASES: tuple[str, ...] = ("info-get",)

COUNT = 20  # of each run, whose median counts
LONGEST = 120.0  # seconds
REQUEST = "info-get guestinfo.bench"
# As pip writes them for an entry point.
SCRIPT = """\
#!{python}
import sys
from {module} import {function}
if __name__ == "__main__":
    sys.exit({function}())
"""
# name → entry point of the console script, arguments
SCRIPTS = {
    "vmtpy rpc": ("vmtpy.__main__:main", ["rpc", REQUEST]),
    "vmtpy guestinfo get": ("vmtpy.__main__:main", ["guestinfo", "get", "bench"]),
}
OURS = "vmtpy"
RPCTOOL = "vmware-rpctool"
PYTHON = "python -c pass"


def contenders(case: str) -> dict[str, str]:  # noqa: ARG001 (Scenario)
    lacking = "" if shutil.which(RPCTOOL) else f"the program {RPCTOOL} (package open-vm-tools)"
    ours = "" if rpctool() else "vmtpy-rpctool (install the package, or build it in place)"
    return {
        OURS: ours or native.missing(),
        **{name: native.missing() for name in SCRIPTS},
        RPCTOOL: lacking or native.missing(),
        PYTHON: native.missing(),
    }


def rpctool() -> str:
    """vmtpy-rpctool as pip has installed it, or as it is built in place; "" if it is missing."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    built = Path(__file__).parents[2] / "build" / f"scripts-{version}"
    return shutil.which("vmtpy-rpctool", path=f"{sysconfig.get_path('scripts')}:{built}") or ""


def measure(case: str, contender: str, place: Place) -> Measurement:  # noqa: ARG001 (Scenario)
    output = place.shared / "cost"
    device = Device(SteadyClock())
    device.set_guestinfo("bench", b"value")
    runner = [str(native.compiled("cost")), str(output), str(COUNT)]
    host = TrapHost(device, [*runner, *command(contender, place.work)])
    host.start()
    with Listener(device):  # keeps the transcript short
        if not host.wait(time.monotonic() + LONGEST) or host.wait_status() != 0:
            raise RuntimeError(f"{contender} failed under the emulated host")
    runs = [line.split() for line in output.read_text().splitlines()]
    return Measurement(
        {
            "cpu_ms": statistics.median(int(cpu) for cpu, _ in runs) / 1e3,
            "memory_mib": statistics.median(int(memory) for _, memory in runs) / 1024,
        }
    )


def command(contender: str, directory: Path) -> list[str]:
    if contender == RPCTOOL:
        return [RPCTOOL, REQUEST]
    if contender == OURS:
        return [rpctool(), REQUEST]
    if contender == PYTHON:
        return [sys.executable, "-c", "pass"]
    entry_point, arguments = SCRIPTS[contender]
    module, function = entry_point.split(":")
    script = directory / "script"
    script.write_text(SCRIPT.format(python=sys.executable, module=module, function=function))
    return [sys.executable, str(script), *arguments]
