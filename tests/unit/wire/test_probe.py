"""The probe: the right answer, and nobody in the process notices."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from support.emulated import EmulatedHost
from support.patience import PATIENCE

import vmtpy
from vmtpy import _core

off_vmware = pytest.mark.skipif(
    _core.probe_machine(_core.read_cpu()).presence != _core.Presence.FAULT,
    reason="needs a machine whose backdoor port faults",
)


def run_script(script: str) -> str:
    """What `script` prints, in an interpreter of its own: signal handlers are a process's."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@off_vmware
def test_here_the_port_faults_and_the_reason_says_so() -> None:
    found = vmtpy.probe()
    assert not found
    assert found.presence == "fault"
    assert "faults (SIGSEGV)" in found.reason
    assert found.hypervisor in found.reason
    assert (found.version, found.product) == (0, "")


@off_vmware
def test_no_handler_of_the_process_runs_and_none_is_left() -> None:
    script = """
        import signal, vmtpy
        from pathlib import Path
        def signals():
            lines = Path("/proc/thread-self/status").read_text().splitlines()
            return [line for line in lines if line.startswith("Sig") and "SigQ" not in line]
        caught = []
        for number in (signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGCHLD):
            signal.signal(number, lambda n, _: caught.append(n))
        before = signals()
        found = {vmtpy.probe().presence for _ in range(20)}
        print(found, caught, signals() == before)
    """
    assert run_script(script) == "{'fault'} [] True\n"


@off_vmware
@pytest.mark.parametrize("number", ["SIGSEGV", "SIGCHLD"])
def test_an_ignored_or_blocked_signal_makes_no_difference(number: str) -> None:
    script = f"""
        import signal, vmtpy
        signal.signal(signal.{number}, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.{number}])
        print(vmtpy.probe().presence, signal.sigpending())
    """
    assert run_script(script) == "fault set()\n"


@off_vmware
def test_no_child_is_left_behind() -> None:
    script = """
        import os, vmtpy
        vmtpy.probe()
        try:
            print(os.waitpid(-1, 0x40000000 | os.WNOHANG))  # __WALL: children of any kind
        except ChildProcessError:
            print("none")
    """
    assert run_script(script) == "none\n"


@off_vmware
def test_other_threads_go_on_and_may_probe_too() -> None:
    stop = threading.Event()
    turns = 0
    found: list[str] = []

    def work() -> None:
        nonlocal turns
        while not stop.is_set():
            turns += 1
            time.sleep(0)

    def ask() -> None:
        found.extend(vmtpy.probe().presence for _ in range(50))

    worker = threading.Thread(target=work)
    askers = [threading.Thread(target=ask) for _ in range(3)]
    worker.start()
    for thread in askers:
        thread.start()
    for thread in askers:
        thread.join(PATIENCE)
    before = turns
    limit = time.monotonic() + PATIENCE
    while turns == before and time.monotonic() < limit:
        time.sleep(0.001)
    stop.set()
    worker.join(PATIENCE)
    assert found == ["fault"] * 150
    assert turns > before


@pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, to become somebody whom RLIMIT_NPROC binds"
)
def test_where_no_process_is_to_be_had_it_is_undecided() -> None:
    script = """
        import os, resource
        from vmtpy import _core
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        os.setuid(65534)
        found = _core.probe_machine(_core.read_cpu())
        print(found.presence.name, found.reason)
    """
    assert run_script(script) == (
        "UNDECIDED VMware's backdoor could not be tried: clone: Resource temporarily unavailable\n"
    )


def test_vmware_answers_and_opens_a_channel_which_is_closed_again() -> None:
    host = EmulatedHost()
    found = vmtpy.probe(host.backdoor)
    assert found
    assert (found.presence, found.version, found.product) == ("vmware", 6, "ESX")
    assert found.reason == ""
    assert host.device.traps() == {"GETVERSION": 1, "MESSAGE OPEN": 1, "MESSAGE CLOSE": 1}
    assert host.device.open_channels() == 0


@pytest.mark.parametrize(("code", "product"), [(4, "Workstation"), (1, "Express"), (77, "")])
def test_the_product_is_named(code: int, product: str) -> None:
    assert vmtpy.probe(EmulatedHost(product=code).backdoor).product == product


def test_rubbish_above_bit_31_is_ignored() -> None:
    assert vmtpy.probe(EmulatedHost(dirty_upper_halves=True).backdoor).version == 6


@pytest.mark.parametrize(
    ("register", "value"), [("rbx", 0xFFFFFFFF & ~0x564D5868), ("rax", 0xFFFFFFFF), ("rbx", 0)]
)
def test_an_echo_or_an_unknown_command_is_no_answer(register: str, value: int) -> None:
    host = EmulatedHost()
    host.backdoor.change(1, register, value)
    found = vmtpy.probe(host.backdoor)
    assert found.presence == "no answer"
    assert "nobody answers" in found.reason


def test_an_unusual_version_must_also_know_its_clock_rate() -> None:
    host = EmulatedHost()
    host.backdoor.change(1, "rax", 7)
    assert vmtpy.probe(host.backdoor).version == 7
    assert host.device.traps()["GETMHZ"] == 1
    host = EmulatedHost()
    host.backdoor.change(1, "rax", 0x564D5868)
    host.backdoor.change(2, "rax", 0x564D5868)
    assert vmtpy.probe(host.backdoor).presence == "no answer"


@off_vmware
def test_a_filter_that_kills_whoever_asks_for_privilege_kills_nobody_here() -> None:
    """As a service's SystemCallFilter= does. All who share the memory would be killed as well."""
    script = """
        import ctypes, struct
        from vmtpy import _core
        code = [(0x20, 0, 0, 0), (0x15, 0, 1, 172), (6, 0, 0, 0x80000000), (6, 0, 0, 0x7FFF0000)]
        filters = b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
        buffer = ctypes.create_string_buffer(filters)
        program = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(buffer))
        libc = ctypes.CDLL(None)
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        assert libc.prctl(22, 2, program, 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        found = _core.probe_machine(_core.Cpu(is_virtual=True))
        print(found.presence.name, found.privilege_error)
    """
    assert run_script(script) == "FAULT 1\n"
