"""A clock that is stepped changes no deadline: everything waits by the monotonic one. The clock of
the wall is read once, for the record, and by what compares and sets it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmtpy import _core, _host

ROOT = Path(__file__).parent.parent.parent
# In C++: to read it; to wait by it, as the POSIX calls without a clock do.
READ = r"(?:system|utc|file)_clock|CLOCK_REALTIME|gettimeofday|timespec_get|\btime\((?:n|N|0|&)"
WAIT = r"pthread_cond_timedwait|\w+_timed(?:lock|rdlock|wrlock|send|receive)|sem_timedwait"
NATIVE = {
    "freeze/conductor_requests.cpp": 1,  # started_unix_ns
    "emulator/machine.cpp": 1,  # the time that the emulated host gives
}
PYTHON = {
    "services/timesync.py": 1,  # compares
    "log.py": 1,  # for people: when a line was written
    "backup_report.py": 1,  # for people: when a backup was refused that never began
}


def count(folder: Path, pattern: str) -> dict[str, int]:
    """How often the files below match it."""
    files = sorted(path for path in folder.rglob("*.*") if path.suffix in (".py", ".cpp", ".h"))
    found = {
        str(file.relative_to(folder)): len(re.findall(pattern, file.read_text())) for file in files
    }
    return {name: number for name, number in found.items() if number}


def test_native_code_reads_the_clock_of_the_wall_for_the_record_only() -> None:
    assert count(ROOT / "csrc", f"{READ}|{WAIT}") == NATIVE


def test_python_reads_it_only_to_compare_it_with_the_hosts_and_for_people() -> None:
    pattern = r"\btime\.time(?:_ns)?\b|\bfrom time import|\bdatetime\b|\.CLOCK_REALTIME"
    assert count(ROOT / "src" / "vmtpy", pattern) == PYTHON


@pytest.mark.parametrize("extension", [_core, _host])
def test_condition_variables_wait_by_the_monotonic_clock(extension: object) -> None:
    """Where a C library cannot, the C++ library quietly waits by that of the wall."""
    code = Path(str(extension.__file__)).read_bytes()  # type: ignore[attr-defined]
    assert b"\0pthread_cond_clockwait\0" in code
    assert re.search(rb"\0(?:" + WAIT.encode() + rb")\0", code) is None
