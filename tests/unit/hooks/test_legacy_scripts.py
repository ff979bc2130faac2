"""Scripts of open-vm-tools that nobody runs any more: found, named, and not named without need."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from vmtpy.cli import run
from vmtpy.config import Config, HooksConfig
from vmtpy.doctor import storage
from vmtpy.hooks import legacy
from vmtpy.migrate import tools_conf

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = "#!/bin/sh\n"


def put(root: Path, path: str, text: str = SCRIPT, mode: int = 0o755) -> Path:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with one script at each of open-vm-tools' places."""
    put(tmp_path, legacy.PRE_FREEZE)
    put(tmp_path, legacy.POST_THAW)
    put(tmp_path, f"{legacy.BACKUP_SCRIPTS}/10-db")
    put(tmp_path, f"{legacy.BACKUP_SCRIPTS}/README", mode=0o644)
    (tmp_path / f"{legacy.BACKUP_SCRIPTS[1:]}/subdirectory").mkdir()
    return tmp_path


ALL = [legacy.PRE_FREEZE, legacy.POST_THAW, f"{legacy.BACKUP_SCRIPTS}/10-db"]


def test_programs_are_found_and_nothing_else(root: Path) -> None:
    assert legacy.backup_scripts(str(root)) == ALL
    assert legacy.not_run(HooksConfig(), str(root)) == ALL


def test_a_machine_without_any_has_none(tmp_path: Path) -> None:
    assert legacy.not_run(HooksConfig(), str(tmp_path)) == []


def test_the_configuration_that_runs_them_ends_the_complaint(root: Path) -> None:
    assert legacy.not_run(HooksConfig(legacy=True), str(root)) == []


def test_a_link_in_the_hooks_directory_counts_as_run(root: Path) -> None:
    directory = root / "etc/vmtpy/hooks.d"
    directory.mkdir(parents=True)
    (directory / "10-db").symlink_to(root / legacy.BACKUP_SCRIPTS[1:] / "10-db")
    assert legacy.not_run(HooksConfig(), str(root)) == ALL[:2]


def test_what_tools_conf_switches_off_is_missed_by_nobody(root: Path) -> None:
    put(root, legacy.TOOLS_CONF, "[vmbackup]\nexecScripts=false\n")
    assert legacy.not_run(HooksConfig(), str(root)) == []
    put(root, legacy.TOOLS_CONF, "[vmbackup]\nexecScripts=true\n")
    assert legacy.not_run(HooksConfig(), str(root)) == ALL


POWER = "/etc/vmware-tools/scripts/poweroff-vm-default.d/10-app"


def test_power_scripts_are_found_where_open_vm_tools_looks(root: Path) -> None:
    put(root, POWER)
    put(root, POWER.replace("10-app", "notes"), mode=0o644)
    put(root, "/etc/vmware-tools/poweroff-vm-default")
    put(root, "/etc/vmware-tools/mine")
    put(root, "/srv/suspend")
    put(root, legacy.TOOLS_CONF, "[powerops]\npoweron-script=mine\nsuspend-script=/srv/suspend\n")
    assert legacy.power_scripts(str(root)) == ["/etc/vmware-tools/mine", POWER, "/srv/suspend"]
    put(root, legacy.TOOLS_CONF, "[powerops]\npoweroff-script=\nresume-script=/gone\n")
    assert legacy.power_scripts(str(root)) == []


def test_power_scripts_are_missed_until_a_hook_is_or_names_them(root: Path) -> None:
    script = put(root, POWER)
    assert legacy.power_not_run(str(root)) == [POWER]
    ((check, text, _),) = legacy.complaints(HooksConfig(legacy=True), str(root))
    assert (check, POWER in text) == ("power", True)
    hook = put(root, "/etc/vmtpy/power.d/50-hook", f"#!/bin/sh\nexec {POWER} poweroff-vm\n")
    assert legacy.power_not_run(str(root)) == []
    hook.chmod(0o644)
    assert legacy.power_not_run(str(root)) == [POWER]
    hook.unlink()
    hook.symlink_to(script)
    assert legacy.power_not_run(str(root)) == []
    assert list(legacy.complaints(HooksConfig(legacy=True), str(root))) == []


def test_the_agent_looks_without_large_modules(root: Path) -> None:
    put(root, legacy.TOOLS_CONF, "[powerops]\npoweroff-script=mine\n")
    put(root, "/etc/vmware-tools/mine")
    put(root, "/etc/vmtpy/power.d/50-hook")
    program = (
        "import sys, vmtpy.cli.run; from vmtpy.config import HooksConfig; "
        "from vmtpy.hooks import legacy; before = set(sys.modules); "
        "assert len(list(legacy.complaints(HooksConfig(), sys.argv[1]))) == 2; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["vmtpy.migrate", "vmtpy.migrate.tools_conf"]


@pytest.fixture
def installed(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine as if it had those scripts."""
    for name in ("PRE_FREEZE", "POST_THAW", "BACKUP_SCRIPTS", "TOOLS_CONF"):
        monkeypatch.setattr(legacy, name, f"{root}{getattr(legacy, name)}")
    return root


def test_doctor_calls_them_a_problem(installed: Path) -> None:
    (found,) = storage.check_hooks(Config(hooks=HooksConfig(directory="")))
    assert (found.check, found.level) == ("hooks", "problem")
    assert all(str(installed / script.lstrip("/")) in found.text for script in ALL)
    assert "[hooks] legacy = true" in found.remedy


def test_run_warns_before_it_starts(
    installed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(run, "Agent", start)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # restored: main() sets it
    with pytest.raises(InterruptedError):
        run.main([])
    said = capsys.readouterr().err
    assert "PROBLEM: snapshots do not run these scripts, which open-vm-tools runs" in said
    assert legacy.PRE_FREEZE in said  # below the root of the fixture
    put(installed, "config", "[hooks]\nlegacy = true\n")
    with pytest.raises(InterruptedError):
        run.main(["--config", str(installed / "config")])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a]\nk=v\n", {"a": {"k": "v"}}),
        ("[a]\n k = v w\n#k=x\n\n[b]\n", {"a": {"k": "v w"}, "b": {}}),
        ("[a]\nk=v \n[a]\nl=a=b\r\n", {"a": {"k": "v ", "l": "a=b"}}),
        ("[a]\nk=one\\ntwo\\s\\\\ \\q\n", {"a": {"k": "one\ntwo \\ \\q"}}),
        ("[a]\nk=\ufffd\nl=1", {"a": {"l": "1"}}),
        ("", {}),
    ],
)
def test_tools_conf_is_read_as_glib_reads_key_files(text: str, found: tools_conf.Sections) -> None:
    assert tools_conf.parse(text) == found


@pytest.mark.parametrize("text", ["k=v\n[a]\n", "[a]\nnonsense\n", "[]\n", "[a]\n=v\n", "[a] b\n"])
def test_a_line_that_glib_refuses_costs_the_whole_file(text: str, root: Path) -> None:
    with pytest.raises(tools_conf.ToolsConfError, match=r"line \d is not valid$"):
        tools_conf.parse(text)
    put(root, legacy.TOOLS_CONF, f"[vmbackup]\nexecScripts=false\n{text}nonsense\n")
    assert legacy.not_run(HooksConfig(), str(root)) == ALL, "as open-vm-tools, by its defaults"


@pytest.mark.parametrize(
    ("value", "truth"), [("true", True), ("1", True), ("false", False), ("0", False), ("no", True)]
)
def test_booleans_are_glibs(value: str, truth: bool) -> None:
    sections = tools_conf.parse(f"[a]\nk={value}\n")
    assert tools_conf.boolean(sections, "a", "k", default=True) is truth
    assert tools_conf.boolean(sections, "a", "other", default=False) is False
