"""CPUID overwritten in programs, as on processors that cannot fault on it: wherever the instruction
is, it is answered; what only looks like it, and what is the program's own, is left alone.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.emulation import TIMEOUT, compile_c, emulate, require_ptrace

from vmtpy._core import SteadyClock
from vmtpy._host import CpuidMethod, Device, TrapHost

GUESTS = Path(__file__).parent / "guests"


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(compile_c(GUESTS / "code.c", tmp_path_factory.mktemp("code"), "-ldl"))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    into = tmp_path_factory.mktemp("library")
    return str(compile_c(GUESTS / "library.c", into, "-shared", "-fPIC"))


def start(*command: str) -> TrapHost:
    host = TrapHost(Device(SteadyClock()), command, cpuid=CpuidMethod.PATCH)
    host.start()
    return host


def run(*command: str) -> int:
    host = start(*command)
    assert host.wait(time.monotonic() + TIMEOUT)
    assert host.cpuid_answered() == CpuidMethod.PATCH
    return os.waitstatus_to_exitcode(host.wait_status())


@pytest.mark.parametrize("flags", [(), ("-static",), ("-s",), ("-static", "-s"), ("-no-pie",)])
def test_a_program_is_answered_however_it_was_linked(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    assert run(str(compile_c(GUESTS / "guest.c", tmp_path, *flags)), "cpuid") == 0


def test_a_library_is_answered_from_its_constructor_on_in_threads_and_forks(
    code: str, library: str
) -> None:
    assert run(code, "library", library) == 0


def test_a_file_that_is_gone_or_replaced_is_still_answered(code: str, tmp_path: Path) -> None:
    """Where we may look (map_files), a name is not needed."""
    if os.geteuid() != 0:
        pytest.skip("capability missing: root")
    copy = tmp_path / "copy"
    copy.write_bytes(Path(code).read_bytes())
    copy.chmod(0o755)
    script = f"exec 9<{copy}; rm {copy}; echo text > {copy}; exec /proc/self/fd/9 own"
    assert run("sh", "-c", script) == 0


def test_bytes_that_only_look_like_the_instruction_are_left_alone(code: str) -> None:
    assert run(code, "bytes") == 0


def test_a_programs_own_traps_are_its_own(code: str) -> None:
    assert run(code, "own") == 0


def test_a_program_that_is_let_go_has_its_code_back(
    code: str, library: str, tmp_path: Path
) -> None:
    """CPUID, and the dynamic linker's function, which would trap at the next dlopen()."""
    out, fifo = tmp_path / "out", tmp_path / "in"
    os.mkfifo(fifo)
    host = start("sh", "-c", f"exec {code} library_later {library} < {fifo} > {out}")
    with fifo.open("wb", buffering=0) as stdin:
        wait_until(lambda: out.exists() and out.read_bytes() == b"good\n")
        pid = host.process()
        del host
        gc.collect()
        assert "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text()
        stdin.write(b"\n")
        wait_until(lambda: out.read_bytes() != b"good\n")
    assert out.read_bytes() == b"good\ngood\n"


def test_the_environment_forces_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMTPY_EMULATE_CPUID", "patch")
    (last,) = emulate(sys.executable, "-m", "vmtpy", "probe").of_kind("traps")
    assert last["cpuid"] == "patch"


def test_a_wrong_word_in_the_environment_is_an_error_that_names_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vmtpy", "emulate", "--", "true"],
        env={**os.environ, "VMTPY_EMULATE_CPUID": "fast"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 125
    assert 'VMTPY_EMULATE_CPUID is "fast": set it to "fault" or "patch"' in done.stderr


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)
