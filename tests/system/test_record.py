"""`vmtpy record` and `vmtpy emulate --replay`: what a host does, taken along and played again.

The recorder runs in a virtual machine of the emulator: real processes, real traps.
"""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.emulation import Run, emulate, require_ptrace
from support.loop import loop_mount, require_root
from support.pages import blocks
from support.patience import PATIENCE
from support.programs import path_with_programs, rpctool

from vmtpy.host.recording import load, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.loop import LoopMount

VMTPY = (sys.executable, "-m", "vmtpy")
ANSWER = "info-get guestinfo.answer"


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "host.jsonl"


def recorded(file: Path, *command: str, options: tuple[str, ...] = (), redact: bool = False) -> Run:
    more = ("--redact",) if redact else ()
    return emulate(*VMTPY, "record", *more, "-o", str(file), "--", *command, options=options)


def texts(file: Path) -> list[bytes]:
    return [message.request for message in load(file).messages]


def findings(run: Run) -> list[dict[str, Any]]:
    return [line for line in run.of_kind("replay") if "difference" in line]


def test_requests_and_answers_are_recorded_and_come_again(file: Path) -> None:
    run = recorded(file, *VMTPY, "rpc", ANSWER, "nonsense", options=("--guestinfo", "answer=42"))
    assert (run.code, run.stdout) == (1, b"42\n"), run.stderr
    assert b"2 messages" in run.stderr
    ask, refuse = load(file).messages
    assert (ask.request, ask.reply) == (ANSWER.encode(), b"1 42")
    assert (refuse.request, refuse.reply) == (b"nonsense", b"0 Unknown command")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = emulate(*VMTPY, "rpc", ANSWER, "nonsense", options=("--replay", str(file)))
    assert (again.code, again.stdout) == (1, b"42\n"), "its own exit code, as it agrees"
    assert again.of_kind("replay")[-1]["agrees"] is True
    other = emulate(*VMTPY, "rpc", ANSWER, options=("--replay", str(file)))
    assert (other.code, other.stdout) == (124, b"42\n")
    assert [
        (finding["difference"], finding["text"], finding["line"]) for finding in findings(other)
    ] == [("missing", "nonsense", 3)]


def test_what_the_program_starts_is_recorded_rpctool_too(file: Path) -> None:
    """And the native vmtpy-rpctool, which is called by its path."""
    program = "import vmtpy; vmtpy.guestinfo['a'] = b'1'"
    script = f'vmware-rpctool \'{ANSWER}\'; "$1" \'{ANSWER}\'; "$2" -c "$3"'
    command = ("sh", "-c", script, "sh", rpctool(), sys.executable, program)
    run = recorded(file, *command, options=("--guestinfo", "answer=42"))
    assert run.stdout == b"42\n42\n"
    assert texts(file)[:3] == [ANSWER.encode(), ANSWER.encode(), b"info-set guestinfo.a 1"]


def test_over_vsock_it_says_so(file: Path) -> None:
    run = recorded(file, *VMTPY, "rpc", ANSWER, options=("--vsock", "--no-backdoor"))
    assert run.code == 1
    (message,) = load(file).messages
    assert message.reply == b"0 No value found"
    assert message.transport.name in ("VSOCK", "PRIVILEGED_VSOCK")


def test_redacted_it_has_no_value_and_is_compared_by_hash(file: Path) -> None:
    script = (
        "import sys, vmtpy; assert vmtpy.guestinfo['password'];"
        "vmtpy.guestinfo.set('state', sys.argv[1], raw=True)"
    )
    guest = (sys.executable, "-c", script)
    options = ("--guestinfo", "password=open sesame")
    assert recorded(file, *guest, "clandestine", options=options, redact=True).code == 0
    for secret in ("open sesame", "clandestine"):
        assert secret not in file.read_text()
    replay = (*options, "--replay", str(file))
    assert emulate(*guest, "clandestine", options=replay).code == 0
    other = emulate(*guest, "conspicuous", options=replay)
    assert other.code == 124
    assert [finding["difference"] for finding in findings(other)] == ["missing", "additional"]
    assert all(
        "guestinfo.state <redacted 11 bytes" in finding["text"] for finding in findings(other)
    )


def test_what_emulate_writes_is_a_recording_as_well(file: Path) -> None:
    program = [*VMTPY, "rpc", "info-set guestinfo.a 1"]
    first = [*VMTPY, "emulate", "--json", "-o", str(file), "--", *program]
    subprocess.run(first, check=True, timeout=PATIENCE)
    assert texts(file) == [b"info-set guestinfo.a 1"]
    assert emulate(*program, options=("--replay", str(file))).code == 0


def test_a_file_on_a_full_disk_is_an_error_that_names_it() -> None:
    ask = (*VMTPY, "rpc", ANSWER)
    commands = {
        "record": (*VMTPY, "record", "-o", "/dev/full", "--", *ask),
        "emulate": (*VMTPY, "emulate", "--json", "-o", "/dev/full", "--", *ask),
    }
    for name, command in commands.items():
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        assert done.returncode == 125
        last = f"vmtpy {name}: /dev/full: No space left on device: the file is not complete\n"
        assert done.stderr.decode().endswith(last)
        assert b"Traceback" not in done.stderr


def test_the_exit_code_is_the_programs(file: Path) -> None:
    def record(*command: str) -> subprocess.CompletedProcess[bytes]:
        whole = [*VMTPY, "record", "-o", str(file), "--", *command]
        return subprocess.run(whole, capture_output=True, timeout=PATIENCE, check=False)

    done = record("sh", "-c", "exit 7")
    assert done.returncode == 7
    assert b"only messages that vmtpy sends are recorded" in done.stderr
    assert record("sh", "-c", "kill -TERM $$").returncode == -15
    assert record("no-such-program").returncode == 127
    assert record("/").returncode == 126
    assert json.loads(file.read_text())["kind"] == "recording"


def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    (block,) = blocks("docs/recording.md", "sh")
    environment = path_with_programs(tmp_path)
    command = ["sh", "-euc", block]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"42\n42\n"), done.stderr
    assert b"as in the recording" in done.stderr


def test_the_file_that_the_page_shows_is_a_recording() -> None:
    (block,) = blocks("docs/recording.md", "json")
    found = read(block.splitlines())
    kinds = [message.kind.name for message in found.messages]
    assert kinds == ["RPCI", "TCLO_COMMAND", "TCLO_REPLY"]


@pytest.fixture(scope="module")
def mount() -> Iterator[LoopMount]:
    require_root()
    with loop_mount() as mount:
        yield mount


@pytest.mark.parametrize("redact", [False, True])
def test_a_backup_of_an_agent_is_recorded_and_played_again(
    mount: LoopMount, tmp_path: Path, *, redact: bool
) -> None:
    """On the disk that is frozen meanwhile: nothing waits for it, and nothing is lost."""
    mount.check_ours()
    file = mount.path / "host.jsonl"
    agent = (*VMTPY, "run", "--include", str(mount.path))
    backup = ("--as", "esxi", "--backup-after", "0.5", "--end-after-backup")
    run = recorded(file, *agent, options=backup, redact=redact)
    assert run.code == 0, run.stderr
    assert b" were lost" not in run.stderr
    told = texts(file)
    for text in (b"reset", b"vmbackup.snapshotDone", b"vmbackup.eventSet prov.snapshotCommit 0 "):
        assert text in told
    seen = [line for line in run.timeline if line["kind"] in ("rpci", "command", "reply")]
    assert len(told) == len(seen), "the host has seen as many"
    again = emulate(*agent, options=("--replay", str(file)))
    assert again.code == 0, (findings(again), again.stderr)
    other = emulate(*VMTPY, "run", "--include", "/nowhere", options=("--replay", str(file)))
    assert other.code == 124
    assert any("prov.snapshotCommit" in finding["text"] for finding in findings(other))
