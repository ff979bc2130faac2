"""Interrupted, or without a reader: real processes end silently, with the exit codes of shells."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from vmtpy import _core, ending
from vmtpy.__main__ import COMMANDS, main
from vmtpy.cli import thaw
from vmtpy.command_line import parser_of
from vmtpy.parser import Parser

VMTPY = [sys.executable, "-m", "vmtpy"]
# Commands that print something, whatever the machine is.
PRINTING = (["--help"], ["--version"], ["plan", "--all"], ["probe"], ["doctor"], ["help", "run"])
PRINTING += (["config", "example"], ["config", "show"], ["completion", "bash"], ["run", "--help"])


def without_reader(command: list[str], *, errors: bool) -> tuple[int, bytes]:
    """Exit code and stderr of a program whose reader has gone before it begins."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command,
            stdout=writer,
            stderr=writer if errors else subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr or b""


@pytest.mark.parametrize("errors", [False, True])
@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_a_closed_pipe_ends_it_as_sigpipe_would(command: list[str], errors: bool) -> None:
    code, complaint = without_reader([*VMTPY, *command], errors=errors)
    assert (code, complaint) == (141, b"")


class WithoutReader(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_text_without_a_reader_is_an_error_for_every_parser(command: str) -> None:
    made = parser_of(command)
    assert isinstance(made, Parser)
    with pytest.raises(BrokenPipeError):
        made.print_help(WithoutReader())


def test_so_it_is_for_complaints() -> None:
    assert without_reader([*VMTPY, "nothing"], errors=True)[0] == 141
    assert without_reader([*VMTPY, "rpc", "info-get x"], errors=True)[0] == 141


def test_head_takes_the_first_line_and_nobody_complains() -> None:
    script = 'set -o pipefail; "$@" config example | head -1; echo "${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *VMTPY],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    first, code = done.stdout.splitlines()
    assert first.startswith("# The configuration of vmtpy")
    assert code in ("0", "141")  # 0: all of it fitted into the pipe before head went
    assert done.stderr == ""


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*VMTPY, "config", "example"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        "vmtpy: the output could not be written: No space left on device\n",
    )


@pytest.mark.parametrize("command", [["config", "show"], ["plan"]], ids=" ".join)
def test_closed_from_the_start_it_says_nothing(command: list[str]) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" >&- 2>&-', "sh", *VMTPY, *command], timeout=60, check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "/srv/\\udcff → ä\n"), ("latin-1", "/srv/\\udcff \\u2192 ä\n")],
)
def test_what_the_encoding_lacks_is_written_with_escapes(
    encoding: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program() -> int:
        print("/srv/\udcff → ä")
        return 0

    data = io.BytesIO()
    out = io.TextIOWrapper(data, encoding)
    assert out.errors == "strict"
    monkeypatch.setattr(sys, "stdout", out)
    assert ending.guarded(program) == 0
    assert data.getvalue().decode(encoding) == written


def test_a_thaw_names_every_filesystem_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [
        SimpleNamespace(result=_core.Rescue.THAWED, text=f"{path} was thawed")
        for path in ("/srv/\udcff", "/srv/b")
    ]
    monkeypatch.setattr(thaw, "need_to_freeze", lambda: None)
    monkeypatch.setattr(_core, "thaw_from_markers", lambda *_: results)
    assert main(["thaw"]) == 0
    assert capsys.readouterr().out == "/srv/\\udcff was thawed\n/srv/b was thawed\n"


# The import of the command's module takes as long as the test likes.
SLOW = """\
import sys, time
class Slow:
    def find_spec(self, name, path, target=None):
        if name == "vmtpy.cli.plan":
            print("importing", flush=True)
            while True:
                time.sleep(0.01)
sys.meta_path.insert(0, Slow())
from vmtpy.__main__ import main
sys.exit(main(["plan"]))
"""
WAITING = """\
import sys, time
from vmtpy.cli import plan
def slow(arguments):
    print("running", flush=True)
    while True:
        time.sleep(0.01)
plan.main = slow
from vmtpy.__main__ import main
sys.exit(main(["plan"]))
"""


@pytest.mark.parametrize(("program", "code"), [(SLOW, -signal.SIGINT), (WAITING, 130)])
def test_ctrl_c_ends_it_silently_while_it_imports_and_while_it_runs(
    program: str, code: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == code  # a shell says 130 of both
        assert process.stderr.read() == b""


def test_an_ignored_signal_stays_ignored() -> None:
    """As for `vmtpy … &` in a script."""
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", SLOW],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        status = Path(f"/proc/{process.pid}/status")
        for _ in range(50):
            assert "Z" not in status.read_text().partition("State:\t")[2][:1]
            time.sleep(0.01)
    finally:
        process.kill()
        process.communicate()


def test_the_handler_is_what_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ending.at_once():
        assert signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, before)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_parent_that_ignores_sigchld_hides_no_exit_code() -> None:
    """With it the kernel would keep none, and Python takes a lost one for 0."""
    program = (
        "import subprocess, sys\n"
        "from vmtpy import __main__\n"
        "__main__.dispatch = lambda _: subprocess.call(['/bin/sh', '-c', 'exit 3'])\n"
        "sys.exit(__main__.main([]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
        timeout=60,
        check=False,
    )
    assert done.returncode == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_parent_that_blocks_signals_keeps_none_from_the_agent(number: signal.Signals) -> None:
    program = (
        "import contextlib, signal, sys\n"
        "from vmtpy.cli import run\n"
        f"signal.signal({int(number)}, signal.SIG_DFL)\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}])\n"
        "with contextlib.suppress(ValueError):\n"
        "    run.main(['--config', '/nowhere/vmtpy.toml'])\n"
        f"signal.raise_signal({int(number)})\n"
        "print('it did not arrive')\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-number, b"", b"")
