"""What the short commands import. Programs call them many times in a row, and each module costs
processor time on every call; the benchmark `startup` measures it.
"""

from __future__ import annotations

import subprocess
import sys

# The console script's own work, on the emulated host's backdoor.
PROGRAM = """\
# What the package itself needs, and what site has imported otherwise.
import __future__, enum, importlib, os, sys, types
before = set(sys.modules)
from vmtpy import _host
device = _host.Device(_host.ManualClock())
device.set_guestinfo("k", b"v")
import vmtpy.transport
vmtpy.transport.find_backdoor = lambda: _host.EmulatedBackdoor(device)
name, *sys.argv[1:] = sys.argv[1:]
main = __import__(name, fromlist=["main"]).main
code = main()
sys.stdout.flush()
print(code, *sorted(set(sys.modules) - before), file=sys.stderr)
"""
OURS = ["vmtpy._core", "vmtpy.backdoor", "vmtpy.cli", "vmtpy.cli.rpc", "vmtpy.ending"]
OURS += ["errno", "io", "vmtpy", "vmtpy.errors", "vmtpy.rpci", "vmtpy.transport"]
GUESTINFO = ["binascii", "vmtpy._arguments", "vmtpy._guestinfo", "vmtpy.encoding"]
GUESTINFO += ["vmtpy.cli.guestinfo"]


def call(module: str, *arguments: str) -> tuple[str, str, set[str]]:
    """Output, exit code and new modules of a console script's main()."""
    done = subprocess.run(
        # -S: what a virtual environment's .pth files import is not vmtpy's.
        [sys.executable, "-S", "-c", PROGRAM, module, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    code, *modules = done.stderr.splitlines()[-1].split()
    return done.stdout, code, set(modules) - {"vmtpy._host"}


def test_a_request_imports_this_and_no_more() -> None:
    output, code, modules = call("vmtpy.__main__", "rpc", "info-get guestinfo.k")
    assert (output, code) == ("v\n", "0")
    assert modules <= {*OURS, "vmtpy.__main__"}  # later Pythons need fewer


def test_so_does_a_value_of_guestinfo() -> None:
    output, code, modules = call("vmtpy.__main__", "guestinfo", "get", "k")
    assert (output, code) == ("v", "0")
    assert modules <= {*OURS, *GUESTINFO, "vmtpy.__main__"}


def test_options_still_reach_the_parser() -> None:
    output, code, modules = call(
        "vmtpy.__main__", "rpc", "--transport", "auto", "info-get guestinfo.k"
    )
    assert (output, code) == ("v\n", "0")
    assert "argparse" in modules
    assert "rich" not in modules
