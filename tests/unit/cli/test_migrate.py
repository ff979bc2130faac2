"""`vmtpy migrate` on made-up machines, and on the files that Debian's open-vm-tools brings."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.loop import require_program, require_root

from vmtpy import config
from vmtpy.cli import migrate
from vmtpy.errors import SystemCallError, VmtError
from vmtpy.hooks import legacy
from vmtpy.migrate import absent, configuration, scripts
from vmtpy.services.power_hooks import run_power_hooks

if TYPE_CHECKING:
    from collections.abc import Callable

THEIRS = Path("/etc/vmware-tools")
SCRIPT = "#!/bin/sh\n"


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Makes a file of the machine below tmp_path."""

    def made(path: str, text: str = SCRIPT, mode: int = 0o755) -> Path:
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    return made


def migrated(root: Path, *options: str) -> config.Config:
    assert migrate.main(["--root", str(root), *options]) == 0
    return config.load(root / "etc/vmtpy/vmtpy.toml")


def fates(root: Path) -> dict[str, str]:
    """What becomes of each thing."""
    return {fate.thing: fate.becomes for fate in migrate.examine(str(root)).fates}


@pytest.mark.parametrize(
    ("text", "table", "setting"),
    [
        (
            "[vmbackup]\nexcludedFileSystems=/mnt/*, /srv/a b,,\n",
            "quiesce",
            {"exclude": ("/mnt/*", "/srv/a b")},
        ),
        ("[vmbackup]\nexcludedFileSystems=mnt,*/b\n", "quiesce", {"exclude": ("*/b",)}),
        (
            "[vmbackup]\nignoreFrozenFileSystems=true\n",
            "quiesce",
            {"already_frozen": "accept"},
        ),
        ("[guestinfo]\npoll-interval=45\n", "guest_info", {"interval": 45.0}),
        ("[guestinfo]\npoll-interval=99999\n", "guest_info", {"interval": 3600.0}),
        ("[guestinfo]\npoll-interval=0\n", "guest_info", {"enabled": False}),
    ],
)
def test_a_setting_becomes_one_of_ours(
    text: str, table: str, setting: dict[str, object], tmp_path: Path, put: Callable[..., Path]
) -> None:
    put(legacy.TOOLS_CONF, text)
    made = migrated(tmp_path)
    expected = getattr(config.Config(), table)._replace(**setting)
    assert made == config.Config()._replace(**{table: expected}), "and nothing else is set"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[vmbackup]\nexcludedFileSystems=\n",
        "[vmbackup]\nexcludedFileSystems=mnt,srv\n",
        "[vmbackup]\nignoreFrozenFileSystems=false\n",
        "[vmbackup]\nenableSyncDriver=true\nenableSyncDriver=false\n",
        "[guestinfo]\npoll-interval=often\nprimary-nics=eth0\n",
        "[logging]\nvmsvc.level=debug \n[vmbackup]\nexecScripts=true \n",
        "[unknown]\nkey=value\x1b[2J\x7f\n",
    ],
)
def test_what_has_no_counterpart_changes_nothing(
    text: str, tmp_path: Path, put: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    put(legacy.TOOLS_CONF, text)
    assert migrated(tmp_path) == config.Config()
    assert "\x1b" not in capsys.readouterr().out


def test_a_file_that_open_vm_tools_does_not_take_is_named(
    tmp_path: Path, put: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    put(legacy.TOOLS_CONF, "[vmbackup]\nexcludedFileSystems=/mnt\nnonsense\n")
    assert migrated(tmp_path) == config.Config()
    assert "ignores this file, because line 3" in capsys.readouterr().out


def test_strange_names_survive(tmp_path: Path, put: Callable[..., Path]) -> None:
    put(legacy.TOOLS_CONF, '[vmbackup]\nexcludedFileSystems=/a"b,/ü\\\\c,/d\x7f\n')
    assert migrated(tmp_path).quiesce.exclude == ('/a"b', "/ü\\c", "/d\x7f")


def test_scripts_around_snapshots_go_on(
    tmp_path: Path, put: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    put(legacy.PRE_FREEZE)
    put(f"{legacy.BACKUP_SCRIPTS}/10-db")
    put(f"{legacy.BACKUP_SCRIPTS}/20-forgotten", mode=0o644)
    put(f"{legacy.BACKUP_SCRIPTS}/30-open").chmod(0o777)
    put(f"{legacy.BACKUP_SCRIPTS}/40-db.old")
    hooks = migrated(tmp_path).hooks
    assert (hooks.legacy, hooks.timeout) == (True, 600.0)
    assert legacy.not_run(hooks, str(tmp_path)) == []
    said = capsys.readouterr().out
    assert "20-forgotten\n      the file is not executable: open-vm-tools fails on it" in said
    said = " ".join(said.split())
    assert "40-db.old open-vm-tools runs it, vmtpy skips it (the name of a backup copy): " in said
    assert re.search(
        r"30-open → \[hooks\] legacy = true vmtpy refuses to run it: .* writable by everybody", said
    )


def test_a_pre_freeze_script_that_is_not_executable_is_named(
    tmp_path: Path, put: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    put(legacy.PRE_FREEZE, mode=0o644)
    assert migrated(tmp_path) == config.Config()
    said = " ".join(capsys.readouterr().out.split())
    assert (
        f"{legacy.PRE_FREEZE} the file is not executable: open-vm-tools fails on it, and so does"
        in (said)
    )


def test_scripts_that_tools_conf_switches_off_stay_off(
    tmp_path: Path, put: Callable[..., Path]
) -> None:
    put(legacy.PRE_FREEZE)
    put(legacy.TOOLS_CONF, "[vmbackup]\nexecScripts=false\n")
    assert migrated(tmp_path) == config.Config()
    assert fates(tmp_path)[legacy.PRE_FREEZE] == ""


def noting(put: Callable[..., Path], path: str, seen: Path) -> Path:
    return put(path, f'#!/bin/sh\necho "{path} $*" >> {seen}\n')


def rooted(root: Path) -> None:
    """Makes the hook's paths those below the test's root, as a chroot would."""
    hook = root / scripts.POWER_HOOK[1:]
    hook.write_text(hook.read_text().replace("run /", f"run {root}/"))


def test_power_scripts_are_called_as_open_vm_tools_would(
    tmp_path: Path, put: Callable[..., Path]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root (files of root's)")
    seen = tmp_path / "seen"
    put(
        legacy.TOOLS_CONF,
        "[powerops]\npoweron-script=mine\nsuspend-script=\nresume-script=/gone\n",
    )
    noting(put, "/etc/vmware-tools/mine", seen)
    noting(put, "/etc/vmware-tools/scripts/poweroff-vm-default.d/10-a", seen)
    noting(put, "/etc/vmware-tools/scripts/poweroff-vm-default.d/20-b", seen)
    put("/etc/vmware-tools/scripts/poweroff-vm-default.d/notes", mode=0o644)
    noting(put, "/etc/vmware-tools/scripts/vmware/network", seen)
    noting(put, "/etc/vmware-tools/scripts/vmware/zz", seen)
    noting(put, "/etc/vmware-tools/suspend-vm-default", seen)
    migrated(tmp_path)
    rooted(tmp_path)
    assert legacy.power_not_run(str(tmp_path)) == []
    place = str(tmp_path / "etc/vmtpy/power.d")
    lines: list[str] = []
    for operation in ("poweron", "halt", "suspend", "resume", "reboot"):
        assert run_power_hooks(operation, 10, lines.append, place) == []
    off = "/etc/vmware-tools/scripts/poweroff-vm-default.d"
    last = "/etc/vmware-tools/scripts/vmware/zz poweroff-vm"
    halted = [f"{off}/10-a poweroff-vm", f"{off}/20-b poweroff-vm", last]
    assert seen.read_text().splitlines() == ["/etc/vmware-tools/mine ", *halted, *halted]


def test_a_power_script_whose_name_is_no_utf8_is_called(
    tmp_path: Path, put: Callable[..., Path]
) -> None:
    seen = tmp_path / "seen"
    directory = "/etc/vmware-tools/scripts/poweron-vm-default.d"
    script = put(f"{directory}/10-a", f"#!/bin/sh\necho $1 > {seen}\n")
    script.rename(script.with_name(os.fsdecode(b"10-\xff")))
    migrated(tmp_path)
    assert legacy.power_not_run(str(tmp_path)) == []
    hook = tmp_path / scripts.POWER_HOOK[1:]
    text = hook.read_bytes()
    assert f"{directory}/10-".encode() + b"\xff" in text
    hook.write_bytes(text.replace(directory.encode(), str(script.parent).encode()))
    subprocess.run([hook, "poweron"], check=True, timeout=60)
    assert seen.read_text() == "poweron-vm\n"


def test_a_power_script_that_fails_stops_the_operation_and_one_that_is_gone_does_not(
    tmp_path: Path, put: Callable[..., Path]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root (files of root's)")
    put("/etc/vmware-tools/scripts/poweroff-vm-default.d/10-a", "#!/bin/sh\nexit 3\n")
    gone = put("/etc/vmware-tools/scripts/suspend-vm-default.d/10-a")
    migrated(tmp_path)
    rooted(tmp_path)
    gone.unlink()
    place, lines = str(tmp_path / "etc/vmtpy/power.d"), list[str]()
    (failure,) = run_power_hooks("halt", 10, lines.append, place)
    assert "exit code 3" in failure
    assert run_power_hooks("suspend", 10, lines.append, place) == []
    assert lines[-1].endswith(f"{gone} does not exist any more")


def test_a_default_script_that_was_edited_is_the_administrators(
    tmp_path: Path, put: Callable[..., Path]
) -> None:
    put("/etc/vmware-tools/resume-vm-default", "#!/bin/sh\necho mine\n")
    assert fates(tmp_path)["/etc/vmware-tools/resume-vm-default"] == scripts.POWER_HOOK


def test_a_dry_run_shows_everything_and_writes_nothing(
    tmp_path: Path, put: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    put(legacy.PRE_FREEZE)
    put("/etc/vmware-tools/resume-vm-default", "#!/bin/sh\necho mine\n")
    assert migrate.main(["--root", str(tmp_path), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "  legacy = true\n" in said
    assert "/etc/vmtpy/power.d/50-open-vm-tools would be:" in said
    assert "      run /etc/vmware-tools/resume-vm-default\n" in said
    assert not (tmp_path / "etc/vmtpy").exists()


def test_an_image_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "image"
    with pytest.raises(VmtError, match=rf"--root {missing} is not a directory"):
        migrate.main(["--root", str(missing)])
    assert not missing.exists()


def test_for_an_image_no_next_command_touches_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    migrated(tmp_path)
    _, _, following = capsys.readouterr().out.partition("Run these next")
    commands = [line for line in following.splitlines() if line.startswith("  ")]
    assert len(commands) == 2
    for command in (part for line in commands for part in line.split("||")):
        assert str(tmp_path) in command
        assert "--now" not in command


def test_a_configuration_that_is_there_stays_unless_forced(
    tmp_path: Path, put: Callable[..., Path]
) -> None:
    put("/etc/vmware-tools/resume-vm-default", "#!/bin/sh\necho mine\n")
    mine = put("/etc/vmtpy/vmtpy.toml", "[poll]\nmax = 1\n")
    with pytest.raises(configuration.ExistsError, match="vmtpy has changed nothing") as caught:
        migrated(tmp_path)
    assert "--force" in caught.value.hint
    assert mine.read_text() == "[poll]\nmax = 1\n"
    assert not (tmp_path / scripts.POWER_HOOK[1:]).exists()
    assert migrated(tmp_path, "--force") == config.Config()
    assert (tmp_path / scripts.POWER_HOOK[1:]).stat().st_mode & 0o777 == 0o755
    assert sorted(entry.name for entry in mine.parent.iterdir()) == ["power.d", "vmtpy.toml"]


def test_a_file_that_comes_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vmtpy.toml"
    monkeypatch.setattr(configuration, "refuse_existing", lambda _: file.write_text("theirs"))
    with pytest.raises(configuration.ExistsError):
        configuration.write(file, "ours")
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["theirs"]


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file")
    with pytest.raises(SystemCallError, match=r"write .*/etc/vmtpy/vmtpy.toml: Not a directory"):
        configuration.write(tmp_path / "etc/vmtpy/vmtpy.toml", "x")


@pytest.mark.parametrize("options", [(), ("--force",)])
@pytest.mark.parametrize("obstacle", ["power.d", scripts.POWER_HOOK])
def test_a_hook_that_cannot_be_written_leaves_no_configuration(
    options: tuple[str, ...], obstacle: str, tmp_path: Path, put: Callable[..., Path]
) -> None:
    put("/etc/vmware-tools/resume-vm-default", "#!/bin/sh\necho mine\n")
    if obstacle == "power.d":
        put("/etc/vmtpy/power.d", "a file")
    else:
        (tmp_path / obstacle[1:]).mkdir(parents=True)
    with pytest.raises((SystemCallError, configuration.ExistsError)) as caught:
        migrated(tmp_path, *options)
    assert scripts.POWER_HOOK in str(caught.value)
    assert [entry.name for entry in (tmp_path / "etc/vmtpy").iterdir()] == ["power.d"]


def test_what_was_written_goes_if_a_later_file_comes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setattr(configuration, "refuse_existing", lambda _: second.write_text("theirs"))
    with pytest.raises(configuration.ExistsError, match="second exists"):
        configuration.write_all({first: ("ours", 0o644), second: ("ours", 0o644)})
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["theirs"]


def test_what_was_replaced_comes_back_if_a_later_file_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, link, last = tmp_path / "first", tmp_path / "link", tmp_path / "last"
    first.write_text("theirs")
    first.chmod(0o640)
    link.symlink_to("first")
    replace = Path.replace

    def failing(new: Path, file: Path) -> Path:
        if file == last:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(new, file)

    monkeypatch.setattr(Path, "replace", failing)
    files = dict.fromkeys((first, link, last), ("ours", 0o644))
    with pytest.raises(SystemCallError, match="last: No space left on device"):
        configuration.write_all(files, force=True)
    assert sorted(tmp_path.iterdir()) == [first, link]
    assert (first.read_text(), first.stat().st_mode & 0o777) == ("theirs", 0o640)
    assert str(link.readlink()) == "first"


@pytest.mark.parametrize("name", ["/etc/vmtpy/vmtpy.toml", scripts.POWER_HOOK])
def test_a_link_that_leads_nowhere_exists(
    name: str, tmp_path: Path, put: Callable[..., Path]
) -> None:
    put("/etc/vmware-tools/resume-vm-default", "#!/bin/sh\necho mine\n")
    link = tmp_path / name[1:]
    link.parent.mkdir(parents=True)
    link.symlink_to("/nowhere")
    with pytest.raises(configuration.ExistsError, match="vmtpy has changed nothing"):
        migrated(tmp_path)
    files = [file for file in (tmp_path / "etc/vmtpy").rglob("*") if not file.is_dir()]
    assert files == [link]
    migrated(tmp_path, "--force")
    assert link.is_file()
    assert not link.is_symlink()


def test_signs_of_use_are_told(
    tmp_path: Path, put: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    put("/var/log/vmware-imc/toolsDeployPkg.log")
    migrated(tmp_path)
    said = capsys.readouterr().out
    assert said.count("IN USE HERE") == 1
    assert "SEEMS TO BE IN USE HERE: /var/log/vmware-imc/toolsDeployPkg.log" in said
    for word in ("deployPkg", "guest operations", "vmtoolsd --cmd", "shared folders", "appinfo"):
        assert word in said


def test_mounted_shared_folders_are_seen() -> None:
    mounts = "vmhgfs-fuse /mnt/hgfs fuse.vmhgfs-fuse rw 0 0\n/dev/sda1 / ext4 rw 0 0\n"
    (folders,) = (function for function in absent.ABSENT if function.mounts)
    assert absent.mounted(folders, mounts) == ["/mnt/hgfs"]


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    """A machine with the files of Debian's open-vm-tools, and nothing else."""
    if not (THEIRS / "tools.conf.example").exists():
        pytest.skip("capability missing: open-vm-tools")
    listed = subprocess.run(
        ["dpkg", "-L", "open-vm-tools"], capture_output=True, text=True, check=True, timeout=60
    )
    for file in map(Path, listed.stdout.splitlines()):
        if file.is_relative_to(THEIRS) and file.is_file():
            copy = tmp_path / str(file)[1:]
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
    return tmp_path


def test_the_package_as_it_comes_becomes_the_defaults(packaged: Path) -> None:
    assert migrated(packaged) == config.Config()
    assert not (packaged / "etc/vmtpy/power.d").exists()
    assert set(fates(packaged).values()) == {""}
    assert scripts.NETWORK in fates(packaged)


def test_every_key_of_the_packages_example_is_known(packaged: Path) -> None:
    """All of them set, as their comments show them."""
    example = (THEIRS / "tools.conf.example").read_text()
    keys = re.sub(r"(?m)^#(?=[\w.-]+ ?=)", "", example)
    (packaged / legacy.TOOLS_CONF[1:]).write_text(keys)
    found = migrate.examine(str(packaged)).fates
    assert len(found) > 60
    assert [fate.thing for fate in found if "not known" in fate.note] == []


def test_the_command_line_runs_it(packaged: Path) -> None:
    command = [sys.executable, "-m", "vmtpy", "migrate", "--root", str(packaged)]
    for code in (0, 1):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == code
    assert done.stderr.splitlines() == [
        f"vmtpy migrate: {packaged}/etc/vmtpy/vmtpy.toml exists; vmtpy has changed nothing",
        f"vmtpy migrate: {configuration.ExistsError.hint}",
    ]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "vmtpy", "migrate", "--dry-run"],
        [
            "-c",
            "from vmtpy.demo import play; assert play._mounts()[-1].split()[1][-1] == '\\udce9'",
        ],
    ],
    ids=["migrate", "demo"],
)
def test_a_mount_point_that_is_no_utf8_ends_nothing(command: list[str], tmp_path: Path) -> None:
    require_root()
    require_program("unshare")
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    shell = f'mount -t tmpfs none {tmp_path}/caf* && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", shell, "sh", sys.executable, *command],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
