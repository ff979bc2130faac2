"""docs/leaving-open-vm-tools.md: its commands run, and its table is what `vmtpy migrate` does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.emulation import emulate, require_ptrace
from support.programs import ENTRIES, rpctool

from vmtpy import __main__ as command_line
from vmtpy import toolbox, udev
from vmtpy.cli import migrate
from vmtpy.hooks import legacy
from vmtpy.migrate import scripts
from vmtpy.migrate.absent import ABSENT
from vmtpy.toolbox import codes

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/leaving-open-vm-tools.md").read_text()
OVFENV = (
    '<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" '
    'xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"><PropertySection>'
    '<Property oe:key="hostname" oe:value="web1"/></PropertySection></Environment>'
)


def commands(language: str) -> list[str]:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    """On a machine of the test's own, on an emulated host where they speak to one."""
    require_ptrace()
    (tmp_path / "etc").mkdir()
    outputs = {}
    for line in commands("sh"):
        program, *words = line.split()
        assert program == "vmtpy"
        command = [sys.executable, "-m", "vmtpy", *words]
        if words[0] == "migrate":
            done = subprocess.run(
                [*command, "--root", str(tmp_path)], capture_output=True, check=False, timeout=60
            )
            code, outputs[line] = done.returncode, done.stdout
        else:
            run = emulate(*command, options=("--guestinfo", f"ovfEnv={OVFENV}"))
            code, outputs[line] = run.code, run.stdout
        assert code == 0, line
    assert len(outputs) == 5
    assert outputs["vmtpy guestinfo ovfenv"] == b"hostname=web1\n"
    assert (tmp_path / "etc/vmtpy/vmtpy.toml").exists()


def test_the_commands_for_root_exist() -> None:
    lines = commands("console")
    assert len(lines) == 6
    for line in lines:
        sign, program, *words = line.split()
        assert sign == "#"
        assert program in ("systemctl", "ln", "vmtpy")
        if program == "vmtpy":
            assert words[0] in command_line.COMMANDS
    # One unit a line: newer versions of systemd disable neither of two if one is missing.
    stopped = [line.split()[-1] for line in lines if "systemctl disable --now" in line]
    assert stopped == ["open-vm-tools", "vmtoolsd"]
    entries = re.findall(r"command -v (\S+)\)", "\n".join(lines))
    assert entries == ["vmtpy-rpctool", "vmtpy-toolbox-cmd"]
    assert {*entries, "vmtpy"} == {*ENTRIES, Path(rpctool()).name}


@pytest.mark.parametrize(
    ("section", "key", "value", "becomes"),
    [
        ("vmbackup", "excludedFileSystems", "/mnt/*", "[quiesce] exclude"),
        ("vmbackup", "ignoreFrozenFileSystems", "true", '[quiesce] already_frozen = "accept"'),
        ("vmbackup", "execScripts", "true", "[hooks] legacy"),
        ("guestinfo", "poll-interval", "45", "[guest_info] interval"),
        ("guestinfo", "poll-interval", "0", "[guest_info] enabled = false"),
    ],
)  # fmt: skip
def test_the_table_says_what_migrate_does(
    section: str, key: str, value: str, becomes: str, tmp_path: Path
) -> None:
    file = tmp_path / legacy.TOOLS_CONF[1:]
    file.parent.mkdir(parents=True)
    file.write_text(f"[{section}]\n{key}={value}\n")
    (fate,) = migrate.examine(str(tmp_path)).fates
    assert fate.becomes.startswith(becomes)
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `[{section}] {key}`")]
    assert becomes.rpartition("] ")[2] in row


def test_the_page_names_what_the_code_has() -> None:
    for name in (
        legacy.PRE_FREEZE,
        legacy.POST_THAW,
        legacy.BACKUP_SCRIPTS,
        legacy.TOOLS_CONF,
        scripts.POWER_HOOK,
        f"{scripts.TIMEOUT} s",
        f"{udev.SECONDS} s",
        f"exit code {codes.EX_TEMPFAIL}",
    ):
        assert name in TEXT, name
    assert all(f"`{command}`" in TEXT for command in toolbox.COMMANDS)
    lost = TEXT.partition("## What is lost")[2].lower()
    for word in ("guest customization", "guest operations", "vgauth", "shared folders", "clock"):
        assert word in lost
        assert any(word in command.what.lower() for command in ABSENT)
