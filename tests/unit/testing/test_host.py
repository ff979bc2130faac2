"""The emulated host of other people's tests: what it answers, keeps and sends, how it fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE

import vmtpy
from vmtpy import backdoor
from vmtpy.testing import EmulatedHost, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.pytest_plugin import Run


def ask(host: EmulatedHost, request: bytes = b"info-get guestinfo.answer") -> bytes:
    with vmtpy.Rpci(host.backdoor) as rpci:
        return rpci.call(request)


def test_values_are_found_with_and_without_their_prefix() -> None:
    with EmulatedHost({"answer": "42", "guestinfo.bytes": b"\xff"}) as host:
        assert ask(host) == b"42"
        assert host.guestinfo["guestinfo.answer"] == b"42"
        assert host.guestinfo["bytes"] == b"\xff"
        assert host.guestinfo.get("none") is None
        assert host.guestinfo.get("none", b"d") == b"d"
        assert "answer" in host.guestinfo
        assert "none" not in host.guestinfo
        with pytest.raises(KeyError, match="none"):
            host.guestinfo["none"]


@pytest.mark.parametrize("key", ["", "a b", "a\n"])
def test_a_key_that_cannot_be_is_refused(key: str) -> None:
    with EmulatedHost() as host, pytest.raises(ValueError, match="must not contain blanks"):
        host.guestinfo[key] = "1"


def test_what_the_guest_sets_is_there_at_once_and_each_message_is_kept() -> None:
    with EmulatedHost() as host:
        for number in range(200):
            ask(host, b"info-set guestinfo.n %d" % number)
            assert host.requests[-1] == b"info-set guestinfo.n %d" % number
        assert host.guestinfo["n"] == b"199"
        last = host.messages[-1]
        assert last == Message("rpci", b"info-set guestinfo.n 199", b"1 ", "backdoor", last.time)
    assert len(host.messages) == 200, "also after its end"


def test_installed_it_is_the_host_of_the_whole_process_and_of_the_programs_in_path() -> None:
    with EmulatedHost({"answer": "42"}) as host:
        before = os.environ["PATH"]
        with host.installed():
            assert vmtpy.guestinfo["answer"] == b"42"
            found = vmtpy.probe()
            assert (found.presence, found.hypervisor) == ("vmware", "VMwareVMware")
            assert vmtpy.hardware.read().version == 19
            for program in ("vmware-rpctool", "vmtpy-rpctool"):
                request = [program, "info-get guestinfo.answer"]
                done = subprocess.run(request, capture_output=True, timeout=PATIENCE, check=False)
                assert (done.returncode, done.stdout) == (0, b"42\n"), done.stderr
            assert host.requests.count(b"info-get guestinfo.answer") == 3
            refused = subprocess.run(
                ["vmware-rpctool", "nonsense"], capture_output=True, check=False
            )
            assert (refused.returncode, refused.stderr) == (1, b"Unknown command\n")
        assert os.environ["PATH"] == before
        assert backdoor.stand_in is None


def test_the_inner_of_two_installed_hosts_counts() -> None:
    with EmulatedHost({"a": "1"}) as outer, EmulatedHost({"a": "2"}) as inner, outer.installed():
        with inner.installed():
            assert vmtpy.guestinfo["a"] == b"2"
        assert vmtpy.guestinfo["a"] == b"1"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of Python 3.12
def test_a_fork_speaks_to_the_same_host() -> None:
    with EmulatedHost({"answer": "42"}) as host:
        with host.installed():
            assert vmtpy.guestinfo["answer"] == b"42"
            child = os.fork()
            if child == 0:
                try:
                    vmtpy.guestinfo["copy"] = vmtpy.guestinfo["answer"]
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            assert host.guestinfo.get("copy") == b"42"
            assert host.requests.count(b"info-get guestinfo.answer") == 2
        child = os.fork()
        if child == 0:
            os._exit(0 if backdoor.stand_in is None else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_a_host_without_backdoor_is_reached_over_vsock_alone() -> None:
    with EmulatedHost({"a": "1"}, backdoor=False, vsock=True) as host, host.installed():
        assert vmtpy.guestinfo["a"] == b"1"
        assert {message.transport for message in host.messages} <= {"vsock", "privileged vsock"}
        found = vmtpy.probe()
        assert not found
        assert "has no backdoor" in found.reason
    with pytest.raises(ValueError, match="over vsock only"):
        EmulatedHost(backdoor=False)


def test_a_host_without_vsock_refuses_connections() -> None:
    with EmulatedHost() as host, host.installed():
        rpci = vmtpy.Rpci(transport="vsock")
        with pytest.raises(vmtpy.ChannelError):
            rpci.call(b"info-get guestinfo.a")


def test_secure_guestrpc_takes_values_over_vsock_only() -> None:
    with EmulatedHost(secure=True) as host, pytest.raises(vmtpy.RpcError, match="Permission"):
        ask(host, b"info-set guestinfo.a 1")
    with EmulatedHost(secure=True, vsock=True) as host, host.installed():
        vmtpy.guestinfo["a"] = b"1"
        assert host.guestinfo["a"] == b"1"


def test_answers_can_be_replaced_refused_and_be_any_bytes() -> None:
    with EmulatedHost() as host:
        host.answer("hello", "world", times=1)
        host.refuse(b"forbidden", "No, thank you")
        host.answer_raw("odd", b"neither")
        assert ask(host, b"hello there") == b"world"
        with pytest.raises(vmtpy.RpcError, match="Unknown command"):
            ask(host, b"hello there")
        for _ in range(2):
            with pytest.raises(vmtpy.RpcError, match="No, thank you"):
                ask(host, b"forbidden fruit")
        with pytest.raises(vmtpy.ChannelError, match="begins with neither"):
            ask(host, b"odd")


def test_an_answer_that_is_lost_is_an_error_and_the_next_comes_through() -> None:
    with EmulatedHost({"answer": "42"}) as host:
        host.drop_answers()
        with vmtpy.Rpci(host.backdoor) as rpci:
            with pytest.raises(vmtpy.ChannelError, match="no reply"):
                rpci.call(b"info-get guestinfo.answer")
            assert rpci.call(b"info-get guestinfo.answer") == b"42"
        assert len(host.requests) == 2, "the host has heard both"


def test_one_refused_message_is_repaired_and_two_are_an_error() -> None:
    with EmulatedHost({"answer": "42"}) as host:
        host.refuse_messages(1, after=1)
        assert ask(host) == ask(host) == b"42"
        host.refuse_messages(2)
        with pytest.raises(vmtpy.ChannelError):
            ask(host)


@pytest.mark.parametrize("vsock", [False, True], ids=["backdoor", "vsock"])
def test_after_a_reset_a_guest_goes_on(*, vsock: bool) -> None:
    with (
        EmulatedHost({"answer": "42"}, backdoor=not vsock, vsock=vsock) as host,
        host.installed(),
        vmtpy.Rpci() as rpci,
    ):
        assert rpci.call(b"info-get guestinfo.answer") == b"42"
        host.reset()
        assert rpci.call(b"info-get guestinfo.answer") == b"42"


def test_while_the_host_is_silent_a_guest_stands_still() -> None:
    with EmulatedHost({"answer": "42"}) as host:
        answers: list[bytes] = []
        guest = threading.Thread(target=lambda: answers.append(ask(host)))
        with host.silent():
            guest.start()
            guest.join(0.1)
            assert answers == []
            assert host.requests == []
        guest.join(PATIENCE)
        assert answers == [b"42"]


def test_the_thread_that_silences_the_host_is_told_that_it_would_wait_forever() -> None:
    with EmulatedHost({"answer": "42"}) as host:
        with host.silent(), pytest.raises(vmtpy.VmtError, match="let another thread ask"):
            ask(host)
        assert ask(host) == b"42"


def test_a_silent_host_can_be_reset_while_a_guest_waits_on_vsock() -> None:
    with EmulatedHost({"answer": "42"}, backdoor=False, vsock=True) as host, host.installed():
        answers: list[bytes] = []
        guest = threading.Thread(target=lambda: answers.append(vmtpy.guestinfo["answer"]))
        with host.silent():
            guest.start()
            guest.join(0.1)
            host.reset()
            guest.join(0.1)
            assert answers == []
        guest.join(PATIENCE)
        assert answers == [b"42"]


class SignalError(Exception):
    """What a handler of SIGUSR1 raises, as that of Ctrl-C and of pytest-timeout."""


@pytest.fixture
def interrupt() -> Iterator[threading.Timer]:
    """A timer that interrupts this thread."""

    def handler(_number: int, _frame: object) -> None:
        raise SignalError

    before = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    yield timer
    timer.join()
    signal.signal(signal.SIGUSR1, before)


def test_who_waits_for_a_guest_can_be_interrupted(interrupt: threading.Timer) -> None:
    began = time.monotonic()
    with EmulatedHost() as host:
        interrupt.start()
        with pytest.raises(SignalError):
            host.wait_for_tools(PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2


def test_a_program_whose_run_is_interrupted_is_killed(
    vmware_run: object, interrupt: threading.Timer, tmp_path: Path
) -> None:
    began = time.monotonic()
    command = f"echo $$ > {tmp_path}/pid; exec sleep {PATIENCE}"
    with EmulatedHost() as host:
        interrupt.start()
        with pytest.raises(SignalError):
            host.run("sh", "-c", command, timeout=PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_what_is_waited_for_in_vain_is_an_error_with_the_last_messages() -> None:
    with EmulatedHost() as host:
        with pytest.raises(TimeoutError, match="no guest asked"):
            host.wait_for_tools(0.0)
        ask(host, b"log hello")
        with pytest.raises(TimeoutError, match="log hello"):
            host.wait_until(lambda: False, 0.0)
        with pytest.raises(ValueError, match="timeout"):
            host.wait_until(lambda: False, -1.0)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="no guest asked"):
        host.wait_for_tools(PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2, "a host that is closed waits for nobody"


def test_arguments_of_another_type_are_named() -> None:
    with EmulatedHost() as host:
        with pytest.raises(TypeError, match="value must be str or bytes, not int"):
            host.guestinfo["a"] = 1  # type: ignore[assignment]
        with pytest.raises(TypeError, match="command must be str or bytes, not None"):
            host.send(None)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="times must be 1 or more"):
            host.drop_answers(0)
        with pytest.raises(ValueError, match="times must be 0 or more"):
            host.answer("a", times=-1)


def test_a_program_runs_in_its_virtual_machine(
    vmware_host: EmulatedHost, vmware_run: object
) -> None:
    """vmware_run skips the test where that cannot be."""
    vmware_host.guestinfo["answer"] = "42"
    ask_twice = (
        "import sys, os, vmtpy; print(vmtpy.guestinfo['answer'], vmtpy.probe().way);"
        "print(sys.stdin.read(), os.environ['COLOUR'], os.getcwd(), file=sys.stderr); sys.exit(3)"
    )
    command = (sys.executable, "-c", ask_twice)
    done = vmware_host.run(*command, stdin=b"in", env={"COLOUR": "red"}, cwd="/")
    assert (done.returncode, done.stdout) == (3, b"b'42' port\n")
    assert done.stderr == b"in red /\n"
    assert vmware_host.messages[0].transport == "backdoor"


def test_a_program_that_a_signal_ends_is_reported_as_subprocess_does(vmware_run: object) -> None:
    with EmulatedHost() as host:
        assert host.run("sh", "-c", "kill -TERM $$").returncode == -15
        with pytest.raises(subprocess.TimeoutExpired):
            host.run("sleep", "600", timeout=0.2)
        with pytest.raises(FileNotFoundError):
            host.run("no-such-program")


def test_directory_and_path_of_a_program_are_taken_as_they_are(
    vmware_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "a=b" / "program"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$1" "$COLOUR"; pwd\n')
    program.chmod(0o755)
    (tmp_path / "other" / "a=b").mkdir(parents=True)
    monkeypatch.setenv("CDPATH", str(tmp_path / "other"))
    monkeypatch.chdir(tmp_path)
    done = vmware_run(program, "one", env={"COLOUR": "red"}, cwd="a=b")
    assert done.stdout == f"one red\n{program.parent}\n".encode()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        vmware_run("true", cwd="nowhere")
    with pytest.raises(NotADirectoryError):
        vmware_run("true", cwd=program)


def test_under_ptrace_the_real_program_comes_before_the_stand_in(
    vmware_host: EmulatedHost, vmware_run: object
) -> None:
    vmware_host.guestinfo["answer"] = "42"
    stand_in = shutil.which("vmware-rpctool")
    done = vmware_host.run("sh", "-c", "command -v vmware-rpctool; vmware-rpctool 'log hello'")
    assert done.returncode == 0
    path = done.stdout.decode().splitlines()[0]
    real = [
        directory
        for directory in os.environ["PATH"].split(":")[1:]
        if shutil.which("vmware-rpctool", path=directory)
    ]
    assert (path == stand_in) is (not real)
    assert vmware_host.requests == [b"log hello"]
