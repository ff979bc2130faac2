"""Compares the stubs with the modules at run time, by stubtest, except where no stub can match."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# pybind11's classes have a metaclass of their own. A class without a constructor inherits one that
# takes any arguments and raises.
PYBIND11 = r"metaclass differs$|__init__ is inconsistent, stub does not have \*args parameter"
ALLOWED = Path(__file__).with_name("stubs_allowed.txt")

done = subprocess.run(
    [sys.executable, "-m", "mypy.stubtest", "--concise", "--allowlist", str(ALLOWED), "vmtpy"],
    stdout=subprocess.PIPE,
    text=True,
    check=False,
)
lines = done.stdout.splitlines()
wrong = [line for line in lines if not re.search(PYBIND11, line)]
print(*wrong, sep="\n", end="\n" if wrong else "")
if done.returncode and not lines:
    sys.exit("stubtest said nothing and failed")
sys.exit(1 if wrong else 0)
