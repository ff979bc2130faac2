"""`vmtpy emulate`: programs find VMware, and in all else are as without us."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.emulation import EMULATE, TIMEOUT, compile_c, emulate, emulating, require_ptrace
from support.patience import PATIENCE

from vmtpy.__main__ import main

GUESTS = Path(__file__).parent / "guests"


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c(GUESTS / "guest.c", tmp_path_factory.mktemp("guest"))


@pytest.mark.parametrize(
    "mode",
    ["plain", "threads", "fork", "vfork", "thread_exec", "handler", "mask", "job_control", "cpuid"],
)
def test_a_program_sees_vmware_and_itself_undisturbed(guest: Path, mode: str) -> None:
    run = emulate(guest, mode)
    assert b"bad" not in run.stdout
    assert b"good" in run.stdout
    assert run.code == 0


def test_every_trap_of_every_thread_is_counted(guest: Path) -> None:
    assert emulate(guest, "threads").traps == {"GETVERSION": 400}


def test_high_bandwidth_leaves_the_registers_as_the_instructions_do(guest: Path) -> None:
    run = emulate(guest, "high_bandwidth", options=("--guestinfo", "key=value"))
    assert (run.code, run.stdout) == (0, b"high bandwidth: good\n")
    (entry,) = run.of_kind("rpci")
    assert (entry["request"], entry["reply"]) == ("info-get guestinfo.key", "1 value")


@pytest.mark.parametrize("code", [0, 1, 37, 255])
def test_the_exit_code_is_the_programs(guest: Path, code: int) -> None:
    assert emulate(guest, "exit", str(code)).code == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGABRT, signal.SIGPIPE])
def test_death_by_a_signal_is_passed_on_as_such(guest: Path, number: int) -> None:
    assert emulate(guest, "kill", str(int(number))).code == -number


def test_a_fault_of_its_own_still_kills_the_program(guest: Path) -> None:
    assert emulate(guest, "fault").code == -signal.SIGSEGV


def test_a_program_that_does_not_exist_is_127_and_one_that_cannot_run_126(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # one that must not be looked into gives 126
    run = emulate("vmtpy-no-such-program")
    assert run.code == 127
    assert run.stderr == b"vmtpy emulate: vmtpy-no-such-program: No such file or directory\n"
    (tmp_path / "text").write_text("no program")
    run = emulate(tmp_path / "text")
    assert run.code == 126
    assert b"Permission denied" in run.stderr


@pytest.mark.parametrize(
    "command", [("emulate", "--replay", "missing"), ("emulate", "-o", "/"), ("record", "-o", "/")]
)
def test_an_error_before_the_program_has_a_code_that_is_not_the_programs(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--", "true"]) == 125
    assert f"vmtpy {command[0]}: {command[-1]}: " in capsys.readouterr().err


def test_stdin_environment_and_directory_are_the_programs() -> None:
    assert emulate("cat", stdin=b"through").stdout == b"through"
    script = 'echo "$HOME" "$PWD"'
    assert emulate("sh", "-c", script).stdout.decode().split() == [
        os.environ["HOME"],
        str(Path.cwd()),
    ]


def test_the_program_has_the_signal_actions_that_it_would_have_without_us() -> None:
    show = "grep -E 'SigBlk|SigIgn|SigCgt' /proc/self/status"
    plain = subprocess.run(["sh", "-c", show], capture_output=True, check=True, timeout=TIMEOUT)
    assert emulate("sh", "-c", show).stdout == plain.stdout


def test_descendants_are_waited_for() -> None:
    run = emulate("sh", "-c", "(sleep 0.3; echo late) & echo early; exit 3")
    assert run.code == 3
    assert run.stdout == b"early\nlate\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_sent_to_the_emulator_reaches_the_program(number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got; exit 4' {name}; echo ready; while :; do sleep 0.05; done"
    with emulating("sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.communicate(timeout=TIMEOUT)[0] == b"got\n"
        assert process.returncode == 4


def test_ctrl_c_goes_to_the_program_and_the_emulator_stays() -> None:
    script = "trap 'echo got; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    with emulating("sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.communicate(timeout=TIMEOUT)[0] == b"got\n"
        assert process.returncode == 5


def test_a_stop_from_outside_stops_and_a_continue_continues() -> None:
    script = "echo $$; while :; do echo tick; sleep 0.02; done"
    with emulating("sh", "-c", script) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        wait_for_state(pid, "tT")
        os.kill(pid, signal.SIGCONT)
        wait_for_state(pid, "SR")
        os.kill(pid, signal.SIGTERM)
        process.communicate(timeout=TIMEOUT)
        assert process.returncode == -signal.SIGTERM


def test_a_program_outlives_an_emulator_that_is_killed() -> None:
    script = "echo $$; read line; echo still here"
    with emulating("sh", "-c", script) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        process.wait(TIMEOUT)
        assert status_field(pid, "TracerPid") == "0"
        assert process.communicate(b"\n", timeout=TIMEOUT)[0] == b"still here\n"


def test_the_timeline_for_people_shows_times_and_what_was_said() -> None:
    script = 'import vmtpy._core as c; c.Rpci(c.PortBackdoor()).call(b"log hello\\xff")'
    run = subprocess.run(
        [*EMULATE, "--", sys.executable, "-c", script],
        check=False,
        capture_output=True,
        timeout=TIMEOUT,
    )
    lines = run.stderr.decode().splitlines()
    assert run.returncode == 0, lines
    assert lines[0].split()[1:] == ["ms", "rpci", "log", "hello\\xff", "->", "1"]
    assert float(lines[0].split()[0]) > 0
    assert "MESSAGE OPEN" in run.stderr.decode()


def test_without_high_bandwidth_and_with_checkpoints_a_request_still_comes_through() -> None:
    script = (
        "import vmtpy._core as c; print(c.Rpci(c.PortBackdoor()).call(b'info-get guestinfo.k'))"
    )
    options = ("--no-high-bandwidth", "--checkpoint-every", "13", "--guestinfo", "k=v")
    run = emulate(sys.executable, "-c", script, options=options)
    assert run.stdout == b"(True, b'v')\n"
    assert "rep outsb" not in run.traps


def test_guestinfo_may_come_from_a_file_and_be_no_text(tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"\xff\x00\n")
    script = (
        "import sys, vmtpy._core as c; "
        "sys.stdout.buffer.write(c.Rpci(c.PortBackdoor()).call(b'info-get guestinfo.k')[1])"
    )
    options = ("--guestinfo", f"k=@{tmp_path / 'value'}")
    run = emulate(sys.executable, "-c", script, options=options)
    assert run.stdout == b"\xff\x00\n"
    assert run.of_kind("rpci")[0]["reply_base64"] == "MSD/AAo="


@pytest.mark.parametrize(
    "options",
    [(), ("--never-done", "--", "true"), ("--guestinfo", "novalue", "--", "true"),
     ("--cycles", "0", "--", "true"), ("--backup-after", "-1", "--", "true")],
)  # fmt: skip
def test_a_wrong_command_line_runs_nothing(options: tuple[str, ...]) -> None:
    run = subprocess.run([*EMULATE, *options], check=False, capture_output=True, timeout=TIMEOUT)
    assert run.returncode in (2, 125)
    assert b"vmtpy emulate: " in run.stderr


def test_a_shells_job_control_stops_continues_and_interrupts_the_program() -> None:
    """^Z, fg and ^C on a terminal, with an interactive shell in between."""
    if shutil.which("bash") is None:
        pytest.skip("capability missing: bash")
    command = [
        *EMULATE,
        "-o",
        "/dev/null",
        "--",
        "sh",
        "-c",
        "while :; do echo tick; sleep 0.02; done",
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "prompt> "
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    try:
        read_until(terminal, b"prompt> ")
        os.write(terminal, shlex.join(command).encode() + b"\n")
        read_until(terminal, b"tick\r\ntick")
        os.write(terminal, b"\x1a")
        read_until(terminal, b"Stopped")
        os.write(terminal, b"fg\n")
        read_until(terminal, b"tick\r\ntick")
        os.write(terminal, b"\x03")
        read_until(terminal, b"prompt> ")
        os.write(terminal, b"echo code=$?\n")
        read_until(terminal, b"code=130")
    finally:
        os.kill(pid, signal.SIGHUP)  # which an interactive bash passes on to its jobs
        os.close(terminal)
        os.waitpid(pid, 0)


def test_an_rpc_from_the_command_line_takes_no_more_traps_than_rpctools_nine() -> None:
    command = (sys.executable, "-m", "vmtpy", "rpc", "info-get guestinfo.key")
    run = emulate(*command, options=("--guestinfo", "key=value"))
    assert (run.code, run.stdout) == (0, b"value\n")
    assert sum(run.traps.values()) <= 9


def status_field(pid: int, name: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1]
    raise KeyError(name)


def wait_for_state(pid: int, states: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while status_field(pid, "State") not in states:
        assert time.monotonic() < deadline, status_field(pid, "State")
        time.sleep(0.005)


def read_until(terminal: int, wanted: bytes) -> None:
    deadline = time.monotonic() + PATIENCE
    seen = b""
    while wanted not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, seen
        seen += os.read(terminal, 4096)
