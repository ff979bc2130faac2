"""`vmtpy emulate` as other hosts: one of hypercalls alone, QEMU's vmport, one that answers nothing.

The instructions are real: they fault, and the emulator answers. Of the two hypercalls a machine has
those that its own hypervisor does not take for itself (under KVM on Intel's processors: vmmcall).
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from support.emulated import pattern
from support.emulation import Run, compile_c, emulate, require_ptrace

from vmtpy._host import faulting_hypercalls

GUESTS = Path(__file__).parent / "guests"
VMTPY = (sys.executable, "-m", "vmtpy")
HYPERCALLS = {"vmmcall": 1, "vmcall": 2}  # their bits in CPUID


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c(GUESTS / "guest.c", tmp_path_factory.mktemp("guest"))


def probe(*options: str) -> tuple[int, dict[str, Any]]:
    run = emulate(*VMTPY, "probe", "--json", options=options)
    assert run.stderr == b""
    return run.code, json.loads(run.stdout)


def kinds(run: Run) -> set[str]:
    """The first words of the names of all traps."""
    return {name.split()[0] for name in run.traps}


@pytest.mark.parametrize("instruction", HYPERCALLS)
@pytest.mark.parametrize("options", [(), ("--hypercall-only",)])
def test_a_hypercall_of_any_program_is_answered(
    guest: Path, instruction: str, options: tuple[str, ...]
) -> None:
    if not faulting_hypercalls() & HYPERCALLS[instruction]:
        pytest.skip(f"capability missing: a {instruction} that faults, for all KVM in the kernel")
    run = emulate(guest, "hypercall", instruction, options=options)
    assert run.code == 0
    assert run.traps == {f"{instruction} GETVERSION": 1}


@pytest.mark.parametrize("options", [("--no-backdoor", "--vsock"), ("--vmport",)])
def test_where_it_is_not_answered_it_ends_the_program_as_without_us(
    guest: Path, options: tuple[str, ...]
) -> None:
    instruction = "vmmcall" if faulting_hypercalls() & 1 else "vmcall"
    assert emulate(guest, "hypercall", instruction, options=options).code < 0


@pytest.mark.parametrize("options", [("--hypercall-only",), ("--vmport",)])
def test_the_ports_fault_where_they_are_not_answered(guest: Path, options: tuple[str, ...]) -> None:
    run = emulate(guest, "plain", options=options)
    assert run.code < 0
    assert run.traps == {}


def test_requests_go_by_hypercall_where_the_ports_fault() -> None:
    run = emulate(
        *VMTPY,
        "rpc",
        "info-get guestinfo.k",
        "log hello",
        options=("--hypercall-only", "--guestinfo", "k=a value"),
    )
    assert (run.code, run.stdout, run.stderr) == (0, b"a value\n\n", b"")
    (kind,) = kinds(run)
    assert kind in HYPERCALLS
    assert run.traps[f"{kind} HB out"] == 2
    assert run.traps[f"{kind} HB in"] == 2


@pytest.mark.parametrize("options", [(), ("--no-high-bandwidth",), ("--checkpoint-every", "5")])
def test_values_of_any_bytes_pass_whole_by_hypercall(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    value = pattern(4099)
    (tmp_path / "value").write_bytes(value)
    run = emulate(
        *VMTPY,
        "guestinfo",
        "get",
        "k",
        options=("--hypercall-only", "--guestinfo", f"k=@{tmp_path / 'value'}", *options),
    )
    assert run.code == 0
    assert run.stdout == value
    assert kinds(run) <= HYPERCALLS.keys()


def test_the_probe_names_each_host() -> None:
    code, found = probe()
    assert (code, found["case"], found["way"]) == (0, "vmware", "port")
    assert found["hardware"]["version"] == 19
    code, found = probe("--hypercall-only")
    assert (code, found["case"]) == (0, "vmware")
    assert found["way"] in HYPERCALLS
    assert found["hardware"]["version"] == 19
    code, found = probe("--no-backdoor", "--vsock")
    assert (code, found["case"], found["way"]) == (1, "shut", "")
    assert found["remedy"]


def test_vmport_is_found_after_iopl_and_told_from_vmware() -> None:
    code, found = probe("--vmport")
    assert (code, found["presence"], found["case"]) == (1, "no channel", "vmport")
    assert (found["way"], found["version"]) == ("port with iopl", 6)
    assert found["hardware"]["memory_mib"] > 0
    assert found["privilege"] == ""


def test_a_request_on_vmport_is_255_and_says_why_there_is_no_channel() -> None:
    run = emulate(*VMTPY, "rpc", "log x", options=("--vmport",))
    assert (run.code, run.stdout) == (255, b"")
    assert b"QEMU's vmport, which has no message channel" in run.stderr
    assert run.traps["MESSAGE OPEN"] == 2


def test_the_privilege_is_raised_for_each_trap_and_lowered_after_it() -> None:
    script = """
        import threading
        from vmtpy import _core
        cpu = _core.Cpu(is_virtual=True)
        way = _core.make_backdoor(_core.BackdoorWay.PRIVILEGED_PORT, cpu)
        def look():
            plain = _core.probe_machine(cpu).way.name  # PORT, if the privilege were still there
            print(_core.probe(way, cpu).version, plain, _core.probe_machine(cpu).way.name)
        look()
        other = threading.Thread(target=look)
        other.start()
        other.join()
        look()
    """
    run = emulate(sys.executable, "-c", textwrap.dedent(script), options=("--vmport",))
    assert run.stderr == b""
    assert run.stdout == b"6 PRIVILEGED_PORT PRIVILEGED_PORT\n" * 3


def test_a_level_that_does_not_exist_is_refused_and_a_thread_inherits_the_privilege() -> None:
    script = """
        import ctypes, threading
        from vmtpy import _core
        libc = ctypes.CDLL(None, use_errno=True)
        def way():
            return _core.probe_machine(_core.Cpu(is_virtual=False)).way.name
        print(libc.syscall(172, 4), ctypes.get_errno(), way())
        print(libc.syscall(172, 3), way())
        thread = threading.Thread(target=lambda: print(way()))
        thread.start()
        thread.join()
        print(libc.syscall(172, 0), way())
    """
    run = emulate(sys.executable, "-c", textwrap.dedent(script), options=("--vmport",))
    assert run.stderr == b""
    assert run.stdout == b"-1 22 NONE\n0 PORT\nPORT\n0 NONE\n"
