"""`with vmtpy.freeze(…)`, `vmtpy freeze` and `vmtpy thaw`, on real filesystems."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.freezing import FreezingProcess
from support.loop import LoopMount, find_mount, loop_mount, require_root
from support.patience import PATIENCE, await_true
from support.rcu import await_rcu_restored
from support.writer import Writer

import vmtpy
from vmtpy.cli import thaw as thaw_command
from vmtpy.record import as_dict


def command(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vmtpy", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )


def run(*arguments: object) -> tuple[int, str, str]:
    with command(*arguments) as process:
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err


def is_frozen(mount: LoopMount) -> bool:
    """Asks as anyone can: a second freeze of a frozen filesystem is refused."""
    try:
        mount.freeze()
    except OSError:
        return True
    mount.thaw()
    return False


def test_the_body_of_a_freeze_runs_while_frozen() -> None:
    with loop_mount("ext4") as mount, Writer(mount.path / "log") as writer:
        writing = sys.dont_write_bytecode
        with vmtpy.freeze([mount.path]) as session:
            assert session.frozen
            assert is_frozen(mount)
            assert sys.dont_write_bytecode
            assert session.record.outcome == vmtpy.Outcome.NONE
        assert not session.frozen
        assert sys.dont_write_bytecode == writing
        assert session.record.outcome == vmtpy.Outcome.RELEASED
        assert json.loads(json.dumps(as_dict(session.record)))["outcome"] == "released"
        writer.wait_for_more()


def test_an_exception_of_the_body_thaws_and_goes_on() -> None:
    with loop_mount("ext4") as mount:
        with pytest.raises(KeyError), vmtpy.freeze([mount.path]) as session:
            raise KeyError("mine")
        assert session.record.outcome == vmtpy.Outcome.ABORTED
        assert not mount.thaw()


def test_a_body_that_was_not_covered_to_its_end_is_told() -> None:
    with loop_mount("ext4") as mount:
        with (
            pytest.raises(vmtpy.FreezeError, match=r"the limit of 3 s has passed") as caught,
            vmtpy.freeze([mount.path], timeout=3) as session,
        ):
            await_true(lambda: not session.frozen)
        assert caught.value.record.outcome == vmtpy.Outcome.EXPIRED  # type: ignore[attr-defined]
        assert not session.frozen


def test_a_failure_to_freeze_is_an_exception_before_the_body() -> None:
    with loop_mount("ext4") as mount:
        mount.freeze()
        with (
            pytest.raises(vmtpy.FreezeError, match="already frozen by someone else") as caught,
            vmtpy.freeze([mount.path]),
        ):
            pytest.fail("the body ran")
        assert "vmtpy thaw" in caught.value.hint
        with vmtpy.freeze([mount.path], already_frozen="accept") as session:
            assert session.frozen
        assert mount.thaw()


def test_a_path_that_is_no_mount_point_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(vmtpy.PlanError):
        vmtpy.freeze([tmp_path])
    with pytest.raises(ValueError, match="already_frozen"):
        vmtpy.freeze([tmp_path], already_frozen="maybe")


def test_the_command_runs_while_frozen_and_gives_its_exit_code(tmp_path: Path) -> None:
    copy = tmp_path / "copy.img"
    with loop_mount("ext4") as mount:
        script = f"cp --sparse=always {mount.image} {copy}; echo copied; exit 7"
        code, out, err = run("freeze", mount.path, "--", "sh", "-c", script)
        assert (code, out, err) == (7, "copied\n", "")
        assert not is_frozen(mount)
    check = ["e2fsck", "-fn", str(copy)]
    assert subprocess.run(check, capture_output=True, timeout=60, check=False).returncode == 0


def test_a_command_that_outlives_the_limit_is_told() -> None:
    with loop_mount("ext4") as mount:
        code, _, err = run("freeze", "--timeout", "3", mount.path, "--", "sleep", "3.1")
        assert code == 1
        assert (
            err == "vmtpy freeze: the freeze ended before sleep did: the limit of 3 s has passed\n"
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_thaws_and_ends_the_command(number: signal.Signals) -> None:
    with loop_mount("ext4") as mount, Writer(mount.path / "log") as writer:
        script = "echo started; exec sleep 600"
        with command("freeze", mount.path, "--", "sh", "-c", script) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            process.send_signal(number)
            assert process.wait(timeout=PATIENCE) == 128 + number
        writer.wait_for_more()


def test_a_command_that_is_killed_gives_128_and_its_signal() -> None:
    with loop_mount("ext4") as mount:
        assert run("freeze", mount.path, "--", "sh", "-c", "kill -9 $$")[0] == 128 + 9


def test_nothing_is_frozen_for_a_command_that_is_not_there() -> None:
    code, _, err = run("freeze", "/no/mount", "--", "no-such-program")
    assert (code, err) == (127, "vmtpy freeze: no-such-program: the command was not found\n")
    code, _, err = run("freeze", "/no/mount", "true")
    assert code == 2
    assert "COMMAND is missing" in err


def test_thaw_says_that_there_is_nothing_to_thaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(thaw_command, "RUN_DIRECTORY", str(tmp_path))
    assert thaw_command.main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"nothing to thaw: there is no marker in {tmp_path}; `fsfreeze ")


def test_thaw_thaws_what_the_dead_left_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(thaw_command, "RUN_DIRECTORY", str(tmp_path))
    with loop_mount("ext4") as mount:
        with FreezingProcess([mount.path], tmp_path) as agent:
            assert agent.line() == "frozen"
            assert thaw_command.main(["--json"]) == 1
            [told] = json.loads(capsys.readouterr().out)
            assert told["result"] == "refused"
            assert thaw_command.main([]) == 1
            error = capsys.readouterr().err
            assert f"is alive and holds this freeze: {mount.path}\nvmtpy thaw: --force " in error
            guardian = agent.guardian()
            os.kill(agent.pid, signal.SIGSTOP)  # it would thaw as soon as its guardian is gone
            os.kill(guardian, signal.SIGKILL)
            agent.process.kill()
            agent.process.wait(timeout=PATIENCE)
        assert thaw_command.main([]) == 0
        assert capsys.readouterr().out == f"{mount.path} is thawed\n"
        assert not mount.thaw()
        assert thaw_command.main([]) == 0


@pytest.mark.parametrize(("when", "outcome"), [("1", "FAILED"), ("2", "RELEASED")])
def test_an_error_out_of_the_kernel_itself_leaves_nothing_frozen(
    when: str, outcome: str, tmp_path: Path
) -> None:
    """strace makes the first (FIFREEZE) or second (FITHAW) ioctl on the mount fail."""
    require_root()
    probe = (
        subprocess.run(
            ["strace", "-o", "/dev/null", "true"],
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if Path("/usr/bin/strace").exists()
        else None
    )
    if probe is None or probe.returncode != 0:
        pytest.skip("needs strace and the right to trace")
    with loop_mount("ext4") as mount:
        assert find_mount(mount.path) is not None
        strace = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-P", str(mount.path)]
        strace += ["-e", "trace=ioctl", "-e", f"inject=ioctl:error=EIO:when={when}"]
        with FreezingProcess([mount.path], tmp_path / "run", wrapper=strace) as agent:
            if when == "2":
                assert agent.line() == "frozen"
                agent.release()
            line = agent.line()
            assert line.split()[0] == outcome
            if when == "1":
                assert line == f"FAILED FIFREEZE {mount.path}: Input/output error"
            assert "INJECTED" in (tmp_path / "trace").read_text()
            assert not mount.thaw()
            assert list((tmp_path / "run").iterdir()) == []
            await_rcu_restored()
