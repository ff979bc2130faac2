"""`vmtpy emulate --backup-after`: the host's part, from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from support.emulation import Run, emulate, require_ptrace

TOOLS = Path(__file__).parent / "guests" / "tools.py"
BACKUP = ("--backup-after", "0", "--end-after-backup")


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


def backup(*options: str) -> Run:
    return emulate(sys.executable, TOOLS, options=(*BACKUP, *options))


def phases(run: Run) -> list[str]:
    return [str(line["phase"]) for line in run.of_kind("phase")]


def ends(run: Run) -> list[dict[str, Any]]:
    return [line for line in run.of_kind("phase") if line["phase"] == "backup ended"]


def test_a_backup_runs_the_snapshot_command_between_commit_and_done(tmp_path: Path) -> None:
    mark = tmp_path / "taken"
    run = backup("--snapshot-command", f"echo taken; touch {mark}")
    assert run.code == 0, run
    assert mark.exists()
    assert run.stdout == b""
    assert run.stderr == b"taken\n"
    assert phases(run) == [
        "tools are alive",
        "start",
        "guest begins",
        "frozen",
        "snapshot taken",
        "snapshotDone",
        "done",
        "backup ended",
    ]
    assert ends(run)[0]["outcome"] == "done"
    assert [line["text"] for line in run.of_kind("command")] == [
        "reset",
        "Capabilities_Register",
        "vmbackup.start 1",
        "vmbackup.snapshotDone",
    ]
    assert [line["event"]["name"] for line in run.of_kind("rpci")] == [
        "reset",
        "prov.snapshotCommit",
        "req.done",
    ]


def test_so_many_cycles_are_played_as_were_asked_for() -> None:
    run = backup("--cycles", "3", "--volumes", "/srv")
    assert [(line["cycle"], line["outcome"]) for line in ends(run)] == [
        (1, "done"),
        (2, "done"),
        (3, "done"),
    ]
    commands = [line["text"] for line in run.of_kind("command")]
    assert commands.count("vmbackup.start 1 /srv") == 3


def test_a_snapshot_command_that_fails_aborts_the_backup() -> None:
    run = backup("--snapshot-command", "exit 3")
    assert ends(run)[0]["outcome"] == "snapshot failed"
    assert ends(run)[0]["error"] == "the snapshot command ended with exit code 3"
    assert run.of_kind("command")[-1]["text"] == "vmbackup.abort"


def test_an_abort_comes_as_late_as_was_asked_for() -> None:
    run = backup("--never-done", "--abort-after", "0.2")
    assert ends(run)[0]["outcome"] == "aborted"
    moments = {line["phase"]: line["monotonic"] for line in run.of_kind("phase")}
    assert moments["abort"] - moments["start"] >= 0.2


def test_a_guest_that_ends_in_a_backup_ends_the_emulation() -> None:
    script = (
        "import vmtpy._core as c; t = c.Tclo(c.PortBackdoor())\n"
        "while t.poll() != b'vmbackup.start 1': t.answer(b'OK ')\n"
    )
    run = emulate(sys.executable, "-c", script, options=("--backup-after", "0"))
    assert run.code == 0
    assert ends(run)[0]["outcome"] == "lost"
