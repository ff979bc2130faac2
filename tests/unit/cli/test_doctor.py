"""The doctor on made-up machines, and on this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from vmtpy import __version__, _core
from vmtpy._probe import Probe
from vmtpy.cli import doctor as command
from vmtpy.config import Config, HooksConfig, PostgresqlConfig
from vmtpy.doctor import Finding, machine, storage
from vmtpy.errors import PlanError
from vmtpy.hooks import directory as found_in
from vmtpy.hooks import legacy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ALL = "CapEff:\t000001ffffffffff\n"
NONE = "CapEff:\t00000000a80425fb\n"  # of a container


def levels(found: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, finding.level) for finding in found]


def only(found: Iterable[Finding]) -> Finding:
    (finding,) = found
    return finding


def process(
    proc: Path, number: int, name: str, command_line: str = "", wchan: str = "0", *, parent: int = 1
) -> None:
    entry = proc / str(number)
    entry.mkdir(parents=True)
    (entry / "comm").write_text(f"{name}\n")
    (entry / "cmdline").write_text(command_line.replace(" ", "\0") + "\0")
    (entry / "wchan").write_text(wchan)
    numbers = " ".join(str(number) for number in range(5, 53))
    (entry / "stat").write_text(f"{number} ({name}) S {parent} {numbers}\n")  # started at 22


def status(**values: object) -> dict[str, Any]:
    channel = {"connected": True, "trouble": "", "last_poll": 0.1}
    known = {
        "version": __version__,
        "pid": 7,
        "channel": channel,
        "refused_configuration": "",
        "last_backup": None,
    }
    return {**known, **values}


def test_vmware_is_good_and_anything_else_a_problem_with_its_reason() -> None:
    good = Probe("vmware", 6, "ESX", "VMwareVMware", "")
    assert only(machine.check_host(good)).text == "VMware ESX answers"
    by_call = replace(good, way="vmcall", encrypted="SEV")
    assert only(machine.check_host(by_call)).text == (
        "VMware ESX answers by vmcall; the memory is encrypted (SEV), so the agent uses only the "
        "low-bandwidth port"
    )
    bad = Probe("fault", 0, "", "", "the port faults", remedy="run it elsewhere")
    found = only(machine.check_host(bad))
    assert (found.level, found.text) == ("problem", "the port faults")
    assert found.remedy == "run it elsewhere"
    found = only(machine.check_host(bad, vsock=True))
    assert (found.level, found.text) == (
        "note",
        "VMware can be reached only over vsock: the port faults",
    )


@pytest.mark.parametrize(
    ("user", "text", "level", "words"),
    [
        (0, ALL, "ok", "may freeze"),
        (1000, NONE, "problem", "not root"),
        (0, NONE, "problem", "without CAP_SYS_ADMIN"),
    ],
)
def test_only_root_with_its_capability_may_freeze(
    user: int, text: str, level: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text(text)
    found = only(machine.check_privilege(tmp_path, user))
    assert found.level == level
    assert words in found.text


def test_another_client_is_named_with_the_way_to_end_it(tmp_path: Path) -> None:
    process(tmp_path, 1, "systemd")
    assert only(machine.check_clients(tmp_path)).level == "ok"
    process(tmp_path, 20, "vmtoolsd")
    found = only(machine.check_clients(tmp_path))
    assert found.level == "problem"
    assert "vmtoolsd (process 20)" in found.text
    assert (
        found.remedy == "systemctl disable --now open-vm-tools || systemctl disable --now vmtoolsd"
    )


@pytest.mark.parametrize("options", ["-n vmusr", "-nvmusr", "--name=vmusr", "--name vmusr"])
def test_the_desktops_part_of_open_vm_tools_is_no_other_client(
    options: str, tmp_path: Path
) -> None:
    process(tmp_path, 20, "vmtoolsd", f"/usr/bin/vmtoolsd {options} --blockFd 3")
    assert only(machine.check_clients(tmp_path)).level == "ok"
    process(tmp_path, 21, "vmtoolsd", "/usr/bin/vmtoolsd -n vmsvc")
    assert "vmtoolsd (process 21)" in only(machine.check_clients(tmp_path)).text


def test_two_agents_are_one_too_many_and_whoever_starts_one_is_not_counted(tmp_path: Path) -> None:
    process(tmp_path, 30, "vmtpy", "/usr/bin/python3 /usr/local/bin/vmtpy run")
    process(tmp_path, 31, "sudo", "sudo vmtpy plan --run")
    process(tmp_path, 32, "vmtpy", "python3 -m vmtpy emulate -- vmtpy run")
    assert only(machine.check_clients(tmp_path)).level == "ok"
    process(tmp_path, 33, "python", "python3 -m vmtpy run --include /srv")
    found = only(machine.check_clients(tmp_path))
    assert "2 agents of vmtpy run (processes 30, 33)" in found.text


def test_a_guardian_is_no_second_agent(tmp_path: Path) -> None:
    process(tmp_path, 30, "vmtpy", "/usr/bin/python3 /usr/local/bin/vmtpy run")
    process(tmp_path, 31, "vmtpy-guardian", "/usr/bin/python3 /usr/local/bin/vmtpy run")
    assert only(machine.check_clients(tmp_path)).level == "ok"


def test_a_child_that_is_about_to_become_a_hook_is_no_second_agent(tmp_path: Path) -> None:
    process(tmp_path, 30, "vmtpy", "/usr/bin/python3 /usr/local/bin/vmtpy run")
    process(tmp_path, 31, "vmtpy", "/usr/bin/python3 /usr/local/bin/vmtpy run", parent=30)
    assert only(machine.check_clients(tmp_path)).level == "ok"


def test_the_agent_must_run_be_connected_and_have_its_configuration() -> None:
    assert only(machine.check_agent(None, "no agent answers")).level == "problem"
    assert only(machine.check_agent(status(), "")).level == "ok"
    away = status(channel={"connected": False, "trouble": "no channel", "last_poll": None})
    assert "no channel" in only(machine.check_agent(away, "")).text
    refused = only(machine.check_agent(status(refused_configuration="x.toml: bad"), ""))
    assert (refused.level, "x.toml: bad" in refused.text) == ("problem", True)
    old = only(machine.check_agent(status(version="0.0.1"), ""))
    assert (old.level, old.remedy) == ("note", "`systemctl restart vmtpy`")


def test_a_last_backup_that_failed_is_noted() -> None:
    last = {"outcome": "expired", "error": "nobody said snapshotDone"}
    found = list(machine.check_agent(status(last_backup=last), ""))
    assert levels(found) == [("agent", "ok"), ("last backup", "note")]
    assert "nobody said snapshotDone" in found[1].text


@pytest.mark.parametrize(("mode", "level"), [("1", "problem"), ("0", "note")])
def test_denials_of_selinux_count_when_it_enforces(mode: str, level: str, tmp_path: Path) -> None:
    assert list(machine.check_selinux(tmp_path)) == []
    (tmp_path / "sys/fs/selinux").mkdir(parents=True)
    (tmp_path / "sys/fs/selinux/enforce").write_text(mode)
    assert only(machine.check_selinux(tmp_path)).level == "ok"
    log = tmp_path / machine.AUDIT_LOG
    log.parent.mkdir(parents=True)
    log.write_text(
        'type=AVC msg=audit(1): avc:  denied  { read } comm="httpd"\n'
        'type=AVC msg=audit(2): avc:  denied  { ioctl } for pid=9 comm="vmtpy-loop"\n'
    )
    found = only(machine.check_selinux(tmp_path))
    assert found.level == level
    assert '{ ioctl } for pid=9 comm="vmtpy-loop"' in found.text


def test_a_plan_with_nothing_to_freeze_is_a_problem_and_sync_only_a_note() -> None:
    found = list(storage.check_plan(lambda: _core.Plan([])))
    assert levels(found) == [("plan", "problem")]
    boot = _core.Filesystem("/boot/efi", type="vfat", sync_only=True)
    found = list(storage.check_plan(lambda: _core.Plan([_core.Filesystem("/"), boot])))
    assert levels(found) == [("plan", "ok"), ("plan", "note")]
    assert found[1].text == "/boot/efi (vfat) can only be synced, not frozen"


def test_a_plan_that_cannot_be_decided_is_a_problem_in_its_own_words() -> None:
    def fail() -> _core.Plan:
        raise PlanError("include /nowhere: not a mount point")

    assert only(storage.check_plan(fail)).text == "include /nowhere: not a mount point"
    assert list(storage.check_own_files(fail, {"the log": "/"})) == []


def test_own_files_on_what_is_frozen_are_noted_even_if_they_do_not_exist_yet() -> None:
    plan = _core.Plan([_core.Filesystem("/")])
    files = {"the log": "/no-such-directory/vmtpy.log", "the marker in": "/proc/self"}
    found = only(storage.check_own_files(lambda: plan, files))
    assert found.level == "note"
    assert "the log /no-such-directory/vmtpy.log lies on /, which will be frozen" in found.text


def test_a_mount_point_behind_a_server_is_not_looked_at() -> None:
    plan = _core.Plan([_core.Filesystem("/", behind_server=True)])
    assert list(storage.check_own_files(lambda: plan, {"the log": "/vmtpy.log"})) == []


def test_a_marker_that_nobody_holds_is_a_problem_and_a_held_one_is_not(tmp_path: Path) -> None:
    run, proc = tmp_path / "run", tmp_path / "proc"
    proc.mkdir()
    assert only(storage.check_frozen(run, proc, expected=False)).level == "ok"
    run.mkdir()
    (run / "freeze-40-1").write_bytes(
        b"vmtpy freeze marker 1\nboot x\nprocess 40 22\nfilesystem 7:0 /caf\xe9 ext4\nend\n"
    )
    found = only(storage.check_frozen(run, proc, expected=False))
    assert (found.level, found.remedy) == ("problem", "`vmtpy thaw`")
    assert "a dead vmtpy may have left /caf\ufffd frozen" in found.text
    process(proc, 40, "vmtpy")
    assert only(storage.check_frozen(run, proc, expected=False)).level == "note"
    (run / "freeze-40-1").write_text("process 40 99\n")  # another process with its number
    assert only(storage.check_frozen(run, proc, expected=False)).level == "problem"
    assert only(storage.check_frozen(run, proc, expected=True)).level == "note"


def test_who_waits_as_for_a_thaw_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "BETWEEN", 0.001)
    process(tmp_path, 50, "cp", wchan="percpu_rwsem_wait.part.0")
    process(tmp_path, 51, "sleep", wchan="do_nanosleep")
    found = only(storage.check_frozen(tmp_path / "run", tmp_path, expected=False))
    assert found.level == "problem"
    assert found.text == "processes wait as if for a frozen filesystem: cp (50)"


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("needs root (files of root's)")
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o022 and not directory.stat().st_mode & 0o1000:
            pytest.skip(f"needs a directory that only root can write, not {directory}")
    made = tmp_path / "hooks.d"
    made.mkdir(mode=0o755)
    return made


def test_hooks_that_will_not_run_are_problems(hooks: Path) -> None:
    config = Config(hooks=HooksConfig(directory=str(hooks)))
    assert only(storage.check_hooks(config)).text == "none"
    good = hooks / "10-good"
    good.write_text("#!/bin/sh\n")
    good.chmod(0o755)
    (hooks / "10-good.bak").write_text("")
    (hooks / "lib").mkdir()  # of the hooks; open-vm-tools does not look into directories, either
    assert only(storage.check_hooks(config)).text == "1 executable"
    (hooks / "20-forgotten").write_text("#!/bin/sh\n")
    open_to_all = hooks / "30-open"
    open_to_all.write_text("#!/bin/sh\n")
    open_to_all.chmod(0o777)
    found = list(storage.check_hooks(config))
    assert levels(found) == [("hooks", "problem")] * 2
    assert found[0].text.endswith("20-forgotten: not executable")
    assert "30-open is writable by everybody" in found[1].text


def test_scripts_of_open_vm_tools_that_will_not_run_are_problems(
    hooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (legacy, found_in):
        for name in ("PRE_FREEZE", "POST_THAW"):
            monkeypatch.setattr(place, name, str(hooks.parent / "none"))
        monkeypatch.setattr(place, "BACKUP_SCRIPTS", str(hooks))
    config = Config(hooks=HooksConfig(directory="", legacy=True))
    script = hooks / "10-db"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert only(storage.check_hooks(config)).text == "1 executable"
    script.chmod(0o775)
    found = only(storage.check_hooks(config))
    assert found.level == "problem"
    assert f"{script}: " in found.text
    assert "is writable by its group" in found.text


def test_a_hook_whose_interpreter_cannot_run_it_is_a_problem(hooks: Path) -> None:
    script = hooks / "10-windows"
    script.write_bytes(b"#!/bin/sh\r\necho $1\r\n")
    script.chmod(0o755)
    found = only(storage.check_hooks(Config(hooks=HooksConfig(directory=str(hooks)))))
    assert found.level == "problem"
    assert "its first line ends with a carriage return" in found.text
    assert "interpreter" in found.remedy


def test_a_hooks_directory_that_is_open_or_missing_is_a_problem(hooks: Path) -> None:
    hooks.chmod(0o777)
    found = only(storage.check_hooks(Config(hooks=HooksConfig(directory=str(hooks)))))
    assert "is writable by everybody" in found.text
    missing = Config(hooks=HooksConfig(directory="/nowhere/hooks.d"))
    assert "does not exist" in only(storage.check_hooks(missing)).text


def test_postgresql_without_its_extra_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(hooks=HooksConfig(directory=""), postgresql=PostgresqlConfig("host=/run"))
    monkeypatch.setattr(storage, "has_psycopg", lambda: False)
    remedy = f"{sys.executable} -m pip install 'vmtpy[postgresql]'"
    assert only(storage.check_hooks(config)).remedy == remedy
    monkeypatch.setattr(storage, "has_psycopg", lambda: True)
    assert only(storage.check_hooks(config)).level == "ok"


@pytest.mark.parametrize(
    ("found", "code", "end"),
    [
        ([Finding("a", "ok", "x"), Finding("b", "note", "y")], 0, "no problem"),
        ([Finding("a", "ok", "x"), Finding("b", "problem", "y", "z")], 1, "1 problem"),
    ],
)
def test_the_exit_code_is_zero_only_if_there_is_no_problem(
    found: list[Finding],
    code: int,
    end: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "examine", lambda _: iter(found))
    assert command.main([]) == code
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1].startswith(end)
    assert all(finding.text in shown and finding.remedy in shown for finding in found)
    assert command.main(["--json"]) == code
    assert [finding["level"] for finding in json.loads(capsys.readouterr().out)] == [
        finding.level for finding in found
    ]


def test_here_it_ends_and_names_the_bad_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[pol]\n")
    assert command.main(["--json", "--config", str(file)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found[0]["check"] == "configuration"
    assert found[0]["level"] == "problem"
    assert "unknown key 'pol'" in found[0]["text"]


def test_waiting_is_looked_for_in_the_real_proc() -> None:
    with subprocess.Popen(["sleep", "30"]) as sleeping:
        assert not storage.waits(storage.Path("/proc"), sleeping.pid)
        assert any(
            number == sleeping.pid for number, _, _ in machine.processes(storage.Path("/proc"))
        )
        sleeping.kill()
