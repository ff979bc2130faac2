"""The core on arm64: cross-compiled, run by qemu, its backdoor answered by the emulated host."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import arm64

from vmtpy import _core, _host

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "arm64"  # kept: only what has changed is compiled again


@pytest.fixture(scope="session")
def built() -> Path:
    """Where the drivers `arm64` and `threads` are, compiled without a warning."""
    for tool in (arm64.COMPILER, arm64.EMULATOR):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    compiler = os.environ.get("CXX_ARM64", arm64.COMPILER)
    words = [f"INTO={BUILT}", f"CXX={compiler} -Werror", "-f", "tests/native/Makefile"]
    jobs = f"-j{os.cpu_count()}"
    drivers = [str(BUILT / name) for name in ("arm64", "threads")]
    command = ["make", "--silent", jobs, *words, *drivers]
    made = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert made.returncode == 0, made.stderr
    return BUILT


def run(*command: str | Path) -> str:
    """A program under qemu, without a host: its output, when it has succeeded."""
    done = subprocess.run(
        [arm64.EMULATOR, *command], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(1000)
@pytest.mark.parametrize("high_bandwidth", [True, False], ids=["high bandwidth", "low bandwidth"])
def test_the_real_instruction_holds_conversations(
    built: Path, tmp_path: Path, high_bandwidth: bool
) -> None:
    clock = _core.SteadyClock()
    device = _host.Device(clock, high_bandwidth=high_bandwidth, dirty_upper_halves=True)
    for command in ("ping", "Set_Option a 1", "end"):
        device.send_command(command)
    code, output = arm64.run_on_host(tmp_path / "qemu", device, built / "arm64", "talk")
    assert (code, output) == (0, "all is said\n")
    told = [one.reply or one.request for one in device.take_transcript()]
    for reply in (b"OK ping", b"OK Set_Option a 1", b"OK end"):
        assert reply in told
    assert device.open_channels() == 0
    traps = device.traps()
    assert ("rep outsb" in traps, "rep insb" in traps) == (high_bandwidth, high_bandwidth)


def test_where_nobody_answers_the_probe_says_so_and_nothing_faults(built: Path) -> None:
    assert not run(built / "arm64", "probe").startswith(f"{_core.Presence.VMWARE.value} ")


def test_packets_of_vsock_are_the_same_bytes_as_anywhere(built: Path) -> None:
    assert run(built / "arm64", "packets") == "all is taken apart\n"


def test_the_agents_threads_take_backups(built: Path) -> None:
    assert "20 backups" in run(built / "threads", "20")
