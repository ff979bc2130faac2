"""`vmtpy-toolbox-cmd` beside Debian's vmware-toolbox-cmd: the same outputs and exit codes."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import guestlib
from support.emulation import TIMEOUT, emulate, require_ptrace
from support.loop import require_root

import vmtpy

if TYPE_CHECKING:
    from pathlib import Path

PEER = shutil.which("vmware-toolbox-cmd") or ""
# Ours under the peer's name, which messages begin with; its configuration in the peer's directory.
OURS = f"""\
import pathlib, sys
sys.argv[0] = {PEER!r}
from vmtpy.toolbox import config, main
config.FILE = pathlib.Path("/etc/vmware-tools/vmtpy.toml")
sys.exit(main())
"""
PROGRAMS = {"theirs": (PEER,), "ours": (sys.executable, "-c", OURS)}
# What vmtpy has another text for.
HELP = ["-h", "--help", "help", "help stat", "help nonsense", "help config", "stat hosttime -h"]
USAGE = [
    "",
    "nonsense",
    "stat",
    "stat nonsense",
    "stat memory",
    "timesync",
    "timesync nonsense",
    "config",
    "config get",
    "config get logging",
    "config set vmbackup execScripts",
    "config nonsense a b",
    "--nonsense",
    "-x",
    "--quiet=1",
    "stat -x speed",
    "-q",
]
STATISTICS = [
    "stat sessionid",
    "stat balloon",
    "stat swap",
    "stat memlimit",
    "stat memres",
    "stat cpures",
    "stat cpulimit",
    "stat raw",
    "stat raw text session",
    "stat raw json vscsi scsi0:0",
    "-q stat raw",
    "-q stat swap",
    "stat swap extra",
]

pytestmark = pytest.mark.skipif(
    not PEER, reason="capability missing: vmware-toolbox-cmd (open-vm-tools)"
)


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


@pytest.fixture(scope="module", autouse=True)
def _cpuid() -> None:
    """Once, as this machine can: CPUID is not what is compared here."""


class Result(NamedTuple):
    code: str
    stdout: str
    stderr: str


def run(who: str, cases: list[str], into: Path, *options: str) -> tuple[list[Result], list[str]]:
    """Runs a program once for each case, one after the other on the same host, with a directory
    /etc/vmware-tools of its own. Returns the results, and what the host was asked."""
    lines = ["mount -t tmpfs tmpfs /etc/vmware-tools"] if "config set" in "".join(cases) else []
    for number, words in enumerate(cases):
        files = f">{into}/{who}{number}.out 2>{into}/{who}{number}.err"
        lines.append(f"{shlex.join(PROGRAMS[who])} {words} {files}")
        lines.append(f"echo $? >{into}/{who}{number}.code")
    command = ("unshare", "-m") if lines[0].startswith("mount") else ()
    done = emulate(*command, "sh", "-c", "\n".join(lines), options=options)
    assert (done.code, done.stderr) == (0, b"")
    results = []
    for number in range(len(cases)):
        texts = [(into / f"{who}{number}.{kind}").read_text() for kind in ("code", "out", "err")]
        results.append(Result(texts[0].strip(), *texts[1:]))
    asked = [line["request"].rstrip("\0") for line in done.of_kind("rpci")]
    # Refused version 3, theirs asks for 2, which hosts before ESX 4 have.
    return results, [question for question in asked if question != "guestlib.info.get 2"]


def compare(cases: list[str], into: Path, *options: str) -> list[Result]:
    """Asserts that both are alike in all, and returns what they said."""
    theirs, their_questions = run("theirs", cases, into, *options)
    ours, our_questions = run("ours", cases, into, *options)
    assert [*zip(cases, ours, strict=True)] == [*zip(cases, theirs, strict=True)]
    assert our_questions == their_questions
    return ours


def test_wrong_command_lines(tmp_path: Path) -> None:
    cases = [usage for usage in USAGE if "config" not in usage]
    results = compare(cases, tmp_path)
    assert {result.code for result in results} == {"1", "64"}


def test_configuration(tmp_path: Path) -> None:
    require_root()
    cases = [
        *(usage for usage in USAGE if "config" in usage),
        "config get guestinfo poll-interval",
        "config set guestinfo poll-interval 45",
        "config get guestinfo poll-interval",
        "config set guestinfo poll-interval 0",
        "config get guestinfo poll-interval",
        "config remove guestinfo poll-interval",
        "config remove guestinfo poll-interval",
        "config get guestinfo poll-interval",
        "config set vmbackup excludedFileSystems '/mnt/*,/srv/a b'",
        "config get vmbackup excludedFileSystems",
        "config set vmbackup execScripts false",
        "config get vmbackup execScripts",
        "config set vmbackup ignoreFrozenFileSystems true",
        "config get vmbackup ignoreFrozenFileSystems",
        "config get nothing known",
        "config remove nothing known",
    ]
    results = dict(zip(cases, compare(cases, tmp_path), strict=True))
    shown = "[vmbackup] excludedFileSystems = /mnt/*,/srv/a b\n"
    assert results["config get vmbackup excludedFileSystems"] == ("0", shown, "")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--answer", "guestlib.=0 Guestlib is disabled"),
        ("--answer", "guestlib.info.get=1 short"),
        ("--answer", "guestlib.stat.get=1 session: 1\nvm.uuid: x\n"),
    ],
    ids=["unknown", "refused", "short", "raw"],
)
def test_statistics_of_hosts_with_few(options: tuple[str, ...], tmp_path: Path) -> None:
    compare(STATISTICS, tmp_path, *options)


@pytest.mark.parametrize(
    "answer",
    [
        guestlib.answer(),
        guestlib.answer(invalid=(2, 12, 18)),
        guestlib.answer(count=12, session=1),
        guestlib.answer(announced=30),
        guestlib.answer() + b"more",
        guestlib.answer(version=2),
    ],
    ids=["full", "invalid", "few", "fewer", "longer", "version"],
)
def test_statistics_of_esxi(answer: bytes, tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(b"1 " + answer)
    option = f"guestlib.info.get 3=@{tmp_path}/answer"
    compare(
        [statistic for statistic in STATISTICS if "raw" not in statistic],
        tmp_path,
        "--answer",
        option,
    )


@pytest.mark.parametrize(
    "answer",
    [guestlib.answer()[:-20], guestlib.answer(count=5, announced=9)],
    ids=["cut", "more"],
)
def test_answers_against_the_protocol_have_their_exit_codes(answer: bytes, tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(b"1 " + answer)
    options = ("--answer", f"guestlib.info.get 3=@{tmp_path}/answer")
    cases = ["stat sessionid", "stat swap", "-q stat swap"]
    theirs, _ = run("theirs", cases, tmp_path, *options)
    ours, _ = run("ours", cases, tmp_path, *options)
    assert [our[:2] for our in ours] == [line[:2] for line in theirs] == [("75", "")] * 3
    assert ours[0].stderr == "UpdateInfo failed: Other error\n"


def test_keeping_time(tmp_path: Path) -> None:
    words = ["status", "disable", "enable", "enable", "status", "disable", "status"]
    cases = [f"timesync {word}" for word in words] + ["-q timesync status", "-q timesync enable"]
    results = compare(cases, tmp_path)
    assert [result.code for result in results] == ["69", "0", "0", "0", "0", "0", "69", "69", "0"]
    refused = ("--answer", "vmx.set_option=0 No permission")
    results = compare(["timesync enable", "-q timesync enable"], tmp_path, *refused)
    assert results[0] == ("1", "", "Error: No permission\n")


def test_the_processors_speed(tmp_path: Path) -> None:
    """Each emulated host measures it anew."""
    cases = ["stat speed", "-q stat speed"]
    results = [*run("theirs", cases, tmp_path)[0], *run("ours", cases, tmp_path)[0]]
    assert {(result.code, result.stderr) for result in results} == {("0", "")}
    speeds = [int(result.stdout.removesuffix(" MHz\n")) for result in results]
    assert max(speeds) < 1.2 * min(speeds)


def test_the_hosts_time(tmp_path: Path) -> None:
    """Ours between two of theirs."""
    moments = []
    for who in ("theirs", "ours", "theirs"):
        ((code, text, _),), _ = run(who, ["stat hosttime"], tmp_path)
        assert code == "0"
        moments.append(time.strptime(text, "%d %b %Y %H:%M:%S\n"))
    assert moments == sorted(moments)


def test_help_has_its_own_text_and_their_exit_codes(tmp_path: Path) -> None:
    cases = [*HELP, "-v", "--version", "-h -v"]
    theirs, _ = run("theirs", cases, tmp_path)
    ours, _ = run("ours", cases, tmp_path)
    for words, their, our in zip(cases, theirs, ours, strict=True):
        assert (words, our.code, our.stderr) == (words, their.code, their.stderr)
        assert our.stdout
    number, bracket, build = ours[-1].stdout.partition(" (build-")
    assert number.split(".")[:3] == vmtpy.__version__.split(".")
    assert len(number.split(".")) == len(theirs[-1].stdout.partition(" ")[0].split("."))
    assert bracket
    assert build == "0)\n"


def test_off_vmware(tmp_path: Path) -> None:
    if vmtpy.probe():
        pytest.skip("capability missing: a machine that is not VMware's")
    results = [
        subprocess.run([*value, "-v"], capture_output=True, timeout=TIMEOUT, check=False)
        for value in PROGRAMS.values()
    ]
    assert len({(result.returncode, result.stdout, result.stderr) for result in results}) == 1
    assert results[0].returncode == 1
