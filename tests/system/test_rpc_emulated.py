"""The real instructions and the whole way up, under the emulator: probe, payloads, commands."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest
from support.emulation import TIMEOUT, Run, emulate, require_ptrace

from vmtpy._core import SteadyClock
from vmtpy._host import CpuidMethod, Device, TrapHost

if TYPE_CHECKING:
    from pathlib import Path

VMTPY = (sys.executable, "-m", "vmtpy")
LOW = ("--no-high-bandwidth",)


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


def emulate_script(script: str, *options: str) -> Run:
    return emulate(sys.executable, "-c", textwrap.dedent(script), options=options)


ONE_RPC = {
    "GETVERSION": 1,
    **{f"MESSAGE {step}": 1 for step in ("OPEN", "SENDSIZE", "RECVSIZE", "RECVSTATUS")},
    **{"MESSAGE CLOSE": 1, "rep outsb": 1, "rep insb": 1},
}


def test_one_rpc_takes_eight_traps_with_its_probe_where_cpuid_announces_vmware() -> None:
    run = emulate(*VMTPY, "rpc", "info-get guestinfo.k", options=("--guestinfo", "k=v"))
    assert (run.code, run.stdout, run.stderr) == (0, b"v\n", b"")
    assert run.traps == ONE_RPC
    assert sum(run.traps.values()) == 8


def test_it_takes_ten_where_cpuid_does_not_as_a_channel_is_tried_first() -> None:
    device = Device(SteadyClock())
    device.set_guestinfo("k", b"v")
    command = ["/bin/sh", "-c", 'exec "$@" >/dev/null', "sh", *VMTPY, "rpc", "info-get guestinfo.k"]
    host = TrapHost(device, command, cpuid=CpuidMethod.NONE)
    host.start()
    assert host.wait(time.monotonic() + TIMEOUT)
    assert host.wait_status() == 0
    tried = {"MESSAGE OPEN": 2, "MESSAGE CLOSE": 2}
    assert device.traps() == {**ONE_RPC, **tried}
    assert sum(device.traps().values()) == 10


@pytest.mark.parametrize(
    "options", [(), LOW, ("--checkpoint-every", "4"), (*LOW, "--checkpoint-every", "40")]
)
def test_guestinfo_of_any_bytes_goes_there_and_back(options: tuple[str, ...]) -> None:
    value = bytes(range(256)) if not options else b"\xff\x00 a\n"
    guestinfo = " ".join([*VMTPY, "guestinfo"])
    script = f"{guestinfo} set k - && exec {guestinfo} get k"
    run = emulate("sh", "-c", script, stdin=value, options=options)
    assert (run.code, run.stdout, run.stderr) == (0, value, b"")


@pytest.mark.parametrize("options", [(), LOW], ids=["HB", "LB"])
def test_requests_and_replies_of_any_length_are_whole(options: tuple[str, ...]) -> None:
    # With the real instructions: each length of the value once in every remainder of four.
    script = """
        from vmtpy import Rpci, guestinfo
        with Rpci() as rpci:
            for length in (1, 2, 3, 4, 5, 6, 7, 8, 9, 1021, 1022, 1023, 1024):
                value = bytes((i * 7 + 1) % 256 for i in range(length))
                guestinfo.set("k", value, raw=True, rpci=rpci)
                assert guestinfo.get("k", raw=True, rpci=rpci) == value, length
        print("whole")
    """
    run = emulate_script(script, *options)
    assert (run.code, run.stdout, run.stderr) == (0, b"whole\n", b"")
    assert run.traps["MESSAGE OPEN"] == 1


def test_sixty_four_kib_by_high_bandwidth() -> None:
    script = """
        from vmtpy import Rpci, guestinfo
        room = 65536 - len(b"info-set guestinfo.k ")
        value = bytes((i * 7 + i // 251) % 256 for i in range(room))
        with Rpci() as rpci:
            guestinfo.set("k", value, raw=True, rpci=rpci)
            print(guestinfo.get("k", raw=True, rpci=rpci) == value)
    """
    run = emulate_script(script)
    assert (run.code, run.stdout) == (0, b"True\n")
    assert sum(run.traps.values()) == 1 + 1 + 2 * 5 + 1


def test_the_probe_finds_vmware_beside_threads_and_handlers() -> None:
    script = """
        import signal, threading, time, vmtpy
        caught = []
        for number in (signal.SIGSEGV, signal.SIGCHLD):
            signal.signal(number, lambda n, _: caught.append(n))
        stop = threading.Event()
        threads = [threading.Thread(target=stop.wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        found = [vmtpy.probe() for _ in range(5)]
        stop.set()
        for thread in threads:
            thread.join()
        print({(probe.presence, probe.product) for probe in found}, caught)
    """
    run = emulate_script(script)
    assert (run.code, run.stdout, run.stderr) == (0, b"{('vmware', 'ESX')} []\n", b"")
    assert run.traps == {"GETVERSION": 5, "MESSAGE OPEN": 5, "MESSAGE CLOSE": 5}


def test_a_positive_probe_is_made_once() -> None:
    script = """
        import vmtpy
        for _ in range(3):
            with vmtpy.Rpci() as rpci:
                rpci.call(b"log x")
        vmtpy.hardware.read()
    """
    assert emulate_script(script).traps["GETVERSION"] == 1


def test_threads_of_one_process_talk_at_once() -> None:
    script = """
        import threading
        from vmtpy import Rpci, guestinfo
        shared = Rpci()
        def talk(name):
            with Rpci() as own:
                for i in range(10):
                    value = f"{name} {i}".encode()
                    for rpci in (own, shared):
                        guestinfo.set(name, value, raw=True, rpci=rpci)
                        assert guestinfo.get(name, raw=True, rpci=rpci) == value
        threads = [threading.Thread(target=talk, args=(f"k{i}",)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """
    run = emulate_script(script)
    assert (run.code, run.stderr) == (0, b"")
    assert len(run.of_kind("rpci")) == 120


def test_a_fork_needs_and_gets_a_conversation_of_its_own() -> None:
    script = """
        import os, vmtpy
        rpci = vmtpy.Rpci()
        rpci.call(b"log parent")
        child = os.fork()
        if child == 0:
            try:
                rpci.call(b"log wrong")
            except vmtpy.ChannelError as error:
                with vmtpy.Rpci() as own:
                    own.call(b"log child")
                os._exit(0 if "before a fork" in str(error) else 1)
            os._exit(2)
        _, status = os.waitpid(child, 0)
        rpci.call(b"log parent again")
        raise SystemExit(os.waitstatus_to_exitcode(status))
    """
    run = emulate_script(script)
    assert (run.code, run.stderr) == (0, b"")
    requests = [line["request"] for line in run.of_kind("rpci")]
    assert requests == ["log parent", "log child", "log parent again"]


def test_arguments_that_are_no_utf_8_arrive_as_they_are(tmp_path: Path) -> None:
    script = tmp_path / "ask"
    script.write_bytes(
        b"%s -m vmtpy rpc 'info-set guestinfo.k a\xff\xfe' && %s -m vmtpy guestinfo get k"
        % ((os.fsencode(sys.executable),) * 2)
    )
    run = emulate("sh", script)
    assert (run.code, run.stdout) == (0, b"\na\xff\xfe")
