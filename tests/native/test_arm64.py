"""The core on arm64: cross-compiled and run by qemu, its backdoor answered by the emulated host,
and in a machine of its own under Debian's kernel, where filesystems freeze and guardians thaw.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import arm64, guest_kernel
from support.initramfs import Archive

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
    drivers = [str(BUILT / name) for name in ("arm64", "arm64_machine", "threads")]
    command = ["make", "--silent", jobs, *words, *drivers]
    made = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=1800
    )
    assert made.returncode == 0, made.stderr
    return BUILT


def run(*command: str | Path) -> str:
    """A program under qemu, without a host: its output, when it has succeeded."""
    done = subprocess.run(
        [arm64.EMULATOR, *command], check=False, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(2400)
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
    told = [entry.reply or entry.request for entry in device.take_transcript()]
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


def boot(kernel: guest_kernel.Kernel, driver: Path, work: Path) -> dict[str, str]:
    """What the driver says as the only process of a machine: its steps and what came of each."""
    disk = work / "disk.img"
    disk.write_bytes(b"")
    os.truncate(disk, 8 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True, timeout=60)
    (module,) = kernel.unpack(("loop",), work)
    with (work / "initramfs").open("wb") as file:
        archive = Archive(file)
        for source, target in ((driver, "/init"), (disk, "/disk.img"), (module, "/loop.ko")):
            archive.add(source, Path(target))
        archive.end()
    command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "256"]
    command += ["-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot"]
    command += ["-kernel", str(kernel.image), "-initrd", str(work / "initramfs")]
    command += ["-append", "console=ttyAMA0 quiet panic=-1"]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    lines = [line.strip().partition(" ") for line in done.stdout.splitlines()]
    return {name: text for name, _, text in lines}


@pytest.mark.timeout(1200)
def test_on_a_machine_of_its_own_it_faults_freezes_and_thaws(built: Path, tmp_path: Path) -> None:
    for tool in ("qemu-system-aarch64", "mkfs.ext4"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    kernel = guest_kernel.find("arm64")
    if kernel is None:
        pytest.skip("needs Debian's kernel for arm64: run .ci/kernel arm64")
    found = boot(kernel, built / "arm64_machine", tmp_path)
    assert "SIGILL" in found["fault"], found
    for step in ("machine", "probe", "fault", "instruction", "freeze", "killed", "stopped"):
        assert found[step].startswith("ok: "), found
