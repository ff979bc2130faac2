"""`vmtpy emulate --as esxi`: a guest is treated as ESXi does, and judged as vSphere would."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.emulation import EMULATE, TIMEOUT, Run, emulate, require_ptrace
from support.loop import loop_mount, require_loop

from vmtpy.host.esxi import BURST, PING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loop import LoopMount

TOOLS = Path(__file__).parent / "guests" / "tools.py"
ESXI = ("--as", "esxi")
BACKUP = ("--backup-after", "1", "--end-after-backup")


def file_request(line: dict[str, Any]) -> bool:
    """The command is an HGFS packet."""
    text = base64.b64decode(line["text_base64"]) if "text_base64" in line else line["text"].encode()
    return text.startswith(b"f ")


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    require_loop()
    with loop_mount() as made:
        yield made


def verdict(run: Run) -> dict[str, Any]:
    (last,) = run.of_kind("verdict")
    return last


def agent(mount: LoopMount, *options: str) -> Run:
    mount.check_ours()
    command = [sys.executable, "-m", "vmtpy", "run", "--include", mount.path]
    return emulate(*command, options=(*ESXI, *BACKUP, *options))


def test_the_agent_lives_a_whole_life_with_a_good_verdict(mount: LoopMount) -> None:
    run = agent(mount, "--backup-after", "5")  # by then a busy guest has told of itself
    told = verdict(run)
    assert told["tools"] == {"good": True, "state": "running", "reasons": []}
    assert told["power"] == {"good": True, "state": "possible", "reasons": []}
    assert told["guest_info"] == {"good": True, "state": "complete", "reasons": []}
    assert [snapshot["state"] for snapshot in told["snapshots"]] == [
        "quiesced, the host has the manifest"
    ], told
    assert told["remarks"] == []
    assert told["good"]
    assert run.code == 0
    (done,) = [line["ms"] for line in run.of_kind("phase") if line["phase"] == "done"]
    fetches = [line["ms"] for line in run.of_kind("command") if file_request(line)]
    assert fetches
    assert min(fetches) >= done, "the host fetches the manifest when the guest is done"


def test_the_machine_is_stunned_while_the_snapshot_is_taken(mount: LoopMount) -> None:
    """For 0.4 s. tests/system/test_trap_host.py shows that a stun stops all threads."""
    run = agent(mount)
    moments = {line["phase"]: line["ms"] for line in run.of_kind("phase")}
    assert moments["snapshot taken"] - moments["frozen"] >= 400
    assert [line["outcome"] for line in run.of_kind("phase") if "outcome" in line] == ["done"]


def test_commands_go_by_the_backdoor_and_requests_by_vsock(mount: LoopMount) -> None:
    run = agent(mount)
    assert {line["way"] for line in run.of_kind("command")} == {"backdoor"}
    assert {line["way"] for line in run.of_kind("rpci")} <= {"vsock", "privileged vsock"}
    commands = [line.get("text") or line["text_base64"] for line in run.of_kind("command")]
    assert commands[: len(BURST) - 1] == [command.decode() for command in BURST[:-1]]
    assert PING.decode() in commands


def test_a_guest_that_does_little_is_told_what_it_lacks() -> None:
    run = emulate(sys.executable, TOOLS, options=(*ESXI, *BACKUP))
    assert run.code == 124
    told = verdict(run)
    assert not told["good"]
    assert told["tools"]["reasons"] == ["the guest announced no version"]
    assert len(told["power"]["reasons"]) == 2
    assert told["guest_info"]["reasons"] == [
        "no host name",
        "no operating system",
        "no uptime",
        "no network",
        "no disks",
    ]
    (snapshot,) = told["snapshots"]
    assert snapshot["state"] == "not quiesced"
    assert snapshot["reasons"] == [
        "the host did not get the manifest: the guest did not send req.genericManifest"
    ]


def test_a_program_that_never_speaks_is_no_tools_and_its_own_failure_stays() -> None:
    silent = emulate("true", options=ESXI)
    assert silent.code == 124
    assert verdict(silent)["tools"]["reasons"] == ["the guest never asked the host for commands"]
    assert emulate("sh", "-c", "exit 3", options=ESXI).code == 3


def test_people_read_the_verdict_last(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [*EMULATE, *ESXI, "-o", str(out), "--", "true"]
    assert subprocess.run(command, check=False, timeout=TIMEOUT).returncode == 124
    lines = [
        line.split("verdict ")[1] for line in out.read_text().splitlines() if "verdict" in line
    ]
    assert lines[0] == "VMware Tools: not running: the guest never asked the host for commands"
    assert lines[2].startswith("guest info: incomplete: no host name; ")
