"""The service's files, and their installation under a root of the test's own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.patience import PATIENCE

from vmtpy import service, udev
from vmtpy.cli import install_service, uninstall_service
from vmtpy.errors import ConfigError, SystemCallError
from vmtpy.service import OPENRC, SYSTEMD, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

VMTPY = ["/opt/vmtpy/bin/vmtpy"]


def settings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("ExecS", "Type", "ExecR"))]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """Service managers' commands that record their calls."""
    programs, recorded = tmp_path / "programs", tmp_path / "calls"
    programs.mkdir()
    recorded.touch()
    for name in ("systemctl", "rc-update", "rc-service"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{recorded}"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return lambda: recorded.read_text().splitlines()


def root_with(kind: service.Manager, tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / kind.sign).mkdir(parents=True)
    return root


def test_the_unit_calls_this_installation_with_its_configuration() -> None:
    assert settings(service.render(SYSTEMD, VMTPY, "/etc/vmtpy.toml")) == [
        "Type=notify",
        "ExecStart=/opt/vmtpy/bin/vmtpy run --config /etc/vmtpy.toml",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "ExecStopPost=-/opt/vmtpy/bin/vmtpy thaw",
    ]


def test_a_module_of_an_interpreter_will_do() -> None:
    text = service.render(SYSTEMD, ["/usr/bin/python3", "-m", "vmtpy"])
    assert "ExecStart=/usr/bin/python3 -m vmtpy run\n" in text
    assert "ExecStopPost=-/usr/bin/python3 -m vmtpy thaw\n" in text
    assert "bin/vmtpy run" not in text


def test_names_with_blanks_and_signs_are_quoted() -> None:
    text = service.render(SYSTEMD, VMTPY, '/srv/my 100%/"$x".toml')
    assert r'--config "/srv/my 100%%/\"$$x\".toml"' in text


@pytest.mark.parametrize("config", ["", "/etc/my vmtpy.toml"])
def test_systemd_finds_nothing_wrong_with_it(config: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs the program systemd-analyze")
    unit = tmp_path / "vmtpy.service"
    unit.write_text(service.render(SYSTEMD, ["/bin/true"], config))
    done = subprocess.run(
        ["systemd-analyze", "--no-pager", "verify", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_script_for_openrc_starts_and_thaws_what_it_should(tmp_path: Path) -> None:
    """Read by a shell as openrc-run does; the tools of OpenRC are played."""
    called = tmp_path / "my vmtpy"
    called.write_text('#!/bin/sh\necho "called $*"\n')
    called.chmod(0o755)
    script = tmp_path / "script"
    script.write_text(service.render(OPENRC, [str(called)], "/etc/my vmtpy.toml"))
    played = (
        'ebegin() { :; }; eend() { return "$1"; }; need() { echo "need $*"; }; after() { :; }\n'
        'supervise-daemon() { echo "supervise-daemon $*"; }; RC_SVCNAME=vmtpy\n'
        f'. "{script}"; depend; reload; stop_post\n'
        'eval "set -- \\"\\$command\\" $command_args"; "$@"; echo "$supervisor"\n'
    )
    # dash allows no function with a dash in its name, nor does every busybox
    shell = ["bash", "-c"] if shutil.which("bash") else ["busybox", "sh", "-c"]
    done = subprocess.run([*shell, played], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "need localmount",
        "supervise-daemon vmtpy --signal HUP --pidfile /run/vmtpy.pid",
        "called thaw",
        "called run --config /etc/my vmtpy.toml",
        "supervise-daemon",
    ]


def test_installing_writes_enables_and_starts(
    tmp_path: Path, calls: Callable[[], list[str]]
) -> None:
    root = root_with(SYSTEMD, tmp_path)
    assert service.manager(root) is SYSTEMD
    file = service.install(SYSTEMD, service.render(SYSTEMD, VMTPY), root)
    assert file == root / "etc/systemd/system/vmtpy.service"
    assert file.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in file.parent.iterdir()] == ["vmtpy.service"]
    assert calls() == [
        "systemctl daemon-reload",
        "systemctl enable vmtpy.service",
        "systemctl restart vmtpy.service",
    ]
    service.install(SYSTEMD, service.render(SYSTEMD, VMTPY, "/etc/new.toml"), root)
    assert "/etc/new.toml" in file.read_text()


def test_removing_undoes_it(tmp_path: Path, calls: Callable[[], list[str]]) -> None:
    root = root_with(SYSTEMD, tmp_path)
    assert service.uninstall(SYSTEMD, root) is None
    file = service.install(SYSTEMD, service.render(SYSTEMD, VMTPY), root)
    assert service.uninstall(SYSTEMD, root) == file
    assert not file.exists()
    assert calls()[3:] == [
        "systemctl disable --now vmtpy.service",
        "systemctl daemon-reload",
    ]


def test_openrc_is_served_as_well(tmp_path: Path, calls: Callable[[], list[str]]) -> None:
    root = root_with(OPENRC, tmp_path)
    assert service.manager(root) is OPENRC
    file = service.install(OPENRC, service.render(OPENRC, VMTPY), root)
    assert file.stat().st_mode & 0o777 == 0o755
    service.uninstall(OPENRC, root)
    assert calls() == [
        "rc-update add vmtpy default",
        "rc-service vmtpy restart",
        "rc-service --ifstarted vmtpy stop",
        "rc-update delete vmtpy --all",
    ]


def test_what_somebody_else_has_put_there_stays(tmp_path: Path) -> None:
    root = root_with(SYSTEMD, tmp_path)
    file = root / SYSTEMD.file
    file.parent.mkdir(parents=True)
    file.write_text("[Service]\nExecStart=/bin/other\n")
    for action in (
        lambda: service.install(SYSTEMD, "x", root),
        lambda: service.uninstall(SYSTEMD, root),
    ):
        with pytest.raises(ServiceError, match="was not written by vmtpy and was left as it is"):
            action()
    assert "/bin/other" in file.read_text()


def test_without_a_service_manager_it_is_refused_clearly(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="neither systemd nor OpenRC runs here"):
        service.manager(tmp_path)


def test_what_the_service_manager_says_is_passed_on(
    tmp_path: Path, calls: Callable[[], list[str]]
) -> None:
    program = tmp_path / "programs" / "systemctl"
    program.write_text("#!/bin/sh\necho 'Unit is masked.' >&2; exit 1\n")
    root = root_with(SYSTEMD, tmp_path)
    with pytest.raises(ServiceError, match=r"`systemctl daemon-reload` failed: Unit is masked\."):
        service.install(SYSTEMD, service.render(SYSTEMD, VMTPY), root)


def broken(programs: Path, name: str, command: str) -> None:
    """A service manager that refuses one command, and records all."""
    program = programs / name
    program.write_text(f'{program.read_text()}[ "$1" != {command} ]\n')


def test_where_the_service_does_not_start_nothing_of_it_stays(
    tmp_path: Path, calls: Callable[[], list[str]]
) -> None:
    root = root_with(SYSTEMD, tmp_path)
    broken(tmp_path / "programs", "systemctl", "restart")
    with pytest.raises(ServiceError, match="systemctl restart"):
        service.install(SYSTEMD, service.render(SYSTEMD, VMTPY), root)
    assert sorted(root.iterdir()) == [root / "run"]
    assert calls()[3:] == [
        "systemctl disable --now vmtpy.service",
        "systemctl daemon-reload",
    ]


def test_where_a_new_service_does_not_start_the_earlier_one_is_back(
    tmp_path: Path, calls: Callable[[], list[str]]
) -> None:
    root = root_with(SYSTEMD, tmp_path)
    earlier = service.render(SYSTEMD, VMTPY)
    file = service.install(SYSTEMD, earlier, root)
    file.chmod(0o640)
    broken(tmp_path / "programs", "systemctl", "restart")
    with pytest.raises(ServiceError, match="systemctl restart"):
        service.install(SYSTEMD, service.render(SYSTEMD, VMTPY, "/etc/new.toml"), root)
    assert file.read_text() == earlier
    assert file.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in file.parent.iterdir()] == ["vmtpy.service"]
    assert calls()[-4:] == [
        "systemctl daemon-reload",
        "systemctl daemon-reload",
        "systemctl enable vmtpy.service",
        "systemctl restart vmtpy.service",
    ]


def image_with(tmp_path: Path, *programs: str) -> Path:
    """A tree in which an image is built."""
    image = tmp_path / "image"
    for name in ("usr/bin/vmtpy", *programs):
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        (image / name).touch()
    return image


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def test_an_image_gets_files_and_a_link_and_nobody_is_told(
    tmp_path: Path, calls: Callable[[], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    image = image_with(tmp_path, "usr/lib/systemd/systemd")
    before = tree(image)
    into = ["--root", str(image)]
    assert install_service.main([*into, "--command", "/usr/bin/vmtpy"]) == 0
    unit = image / SYSTEMD.file
    assert "ExecStart=/usr/bin/vmtpy run\n" in unit.read_text()
    assert str((image / SYSTEMD.link).readlink()) == "/etc/systemd/system/vmtpy.service"
    assert (image / udev.FILE).exists()
    assert tree(image) == sorted([*before, SYSTEMD.file, SYSTEMD.link, udev.FILE])
    if shutil.which("systemctl", path="/usr/bin:/bin"):
        asked = ["/usr/bin/systemctl", "--root", str(image), "is-enabled", "vmtpy.service"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.stdout == "enabled\n", done.stderr
    assert uninstall_service.main(into) == 0
    assert tree(image) == before
    assert calls() == []


def test_an_image_with_openrc_gets_its_runlevel(tmp_path: Path) -> None:
    image = image_with(tmp_path, "sbin/openrc-run")
    into = ["--root", str(image), "--command", "/usr/bin/vmtpy"]
    assert install_service.main(into) == 0
    assert (image / OPENRC.file).stat().st_mode & 0o777 == 0o755
    assert str((image / OPENRC.link).readlink()) == "/etc/init.d/vmtpy"


@pytest.mark.parametrize(
    ("programs", "what"),
    [
        ((), "neither systemd nor OpenRC"),
        (("lib/systemd/systemd", "usr/sbin/openrc-run"), "both systemd and OpenRC"),
    ],
)
def test_an_image_whose_kind_cannot_be_told_needs_it_named(
    tmp_path: Path, programs: tuple[str, ...], what: str
) -> None:
    image = image_with(tmp_path, *programs)
    into = ["--root", str(image), "--command", "/usr/bin/vmtpy"]
    with pytest.raises(ServiceError, match=f"{what}: choose one, as by `--kind systemd`"):
        install_service.main(into)
    assert install_service.main([*into, "--kind", "openrc"]) == 0
    assert (image / OPENRC.file).exists()


def test_an_image_without_the_program_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    image = image_with(tmp_path, "lib/systemd/systemd")
    before = tree(image)
    into = ["--root", str(image), "--command", "/opt/vmtpy"]
    with pytest.raises(
        ServiceError, match=r"/opt/vmtpy does not exist in .*: install vmtpy in that tree first"
    ):
        install_service.main(into)
    assert tree(image) == before


def test_the_configuration_inside_the_image_counts(tmp_path: Path) -> None:
    image = image_with(tmp_path, "lib/systemd/systemd")
    into = ["--root", str(image), "--command", "/usr/bin/vmtpy"]
    (image / "etc/vmtpy").mkdir(parents=True)
    (image / "etc/vmtpy/vmtpy.toml").write_text("[pol]\n")
    with pytest.raises(ConfigError, match=r"image/etc/vmtpy/vmtpy\.toml: unknown key 'pol'"):
        install_service.main(into)
    (image / "etc/vmtpy/vmtpy.toml").write_text("")
    (image / "etc/my.toml").write_text("")
    assert install_service.main([*into, "--config", "/etc/my.toml"]) == 0
    assert "run --config /etc/my.toml\n" in (image / SYSTEMD.file).read_text()
    with pytest.raises(ConfigError, match="No such file"):
        install_service.main([*into, "--config", "/etc/other.toml"])


def test_an_image_that_cannot_be_enabled_is_left_as_it_was(tmp_path: Path) -> None:
    image = image_with(tmp_path, "lib/systemd/systemd")
    wants = image / "etc/systemd/system/multi-user.target.wants"
    wants.parent.mkdir(parents=True)
    wants.write_text("a file where a directory should be")
    before = tree(image)
    with pytest.raises(SystemCallError, match=r"^symlink .*vmtpy\.service"):
        install_service.main(["--root", str(image), "--command", "/usr/bin/vmtpy"])
    assert tree(image) == before


def test_the_commands_of_the_page_on_images_run(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs/images.md"
    blocks = re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    image = image_with(tmp_path, "lib/systemd/systemd", "opt/vmtpy/bin/vmtpy")
    before = tree(image)
    trees = []
    for block in blocks:
        script = f'vmtpy() {{ {shlex.quote(sys.executable)} -m vmtpy "$@"; }}\n{block}'
        environment = {**os.environ, "ROOT": str(image)}
        subprocess.run(["sh", "-ec", script], env=environment, check=True, timeout=60)
        trees.append(tree(image))
    assert trees == [sorted([*before, SYSTEMD.file, SYSTEMD.link, udev.FILE]), before]


def test_print_shows_the_file_and_installs_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "vmtpy.toml"
    config.write_text("[poll]\nmax = 1\n")
    assert install_service.main(["--print", "systemd", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert f"run --config {config}\n" in shown
    assert shown.startswith("# The guest agent as a service of systemd")
    assert install_service.main(["--print", "openrc"]) == 0
    assert capsys.readouterr().out.startswith("#!/sbin/openrc-run\n")


def test_a_bad_configuration_is_not_installed(tmp_path: Path) -> None:
    config = tmp_path / "vmtpy.toml"
    config.write_text("[poll]\nmaxi = 1\n")
    with pytest.raises(ConfigError, match="has no key 'maxi'"):
        install_service.main(["--print", "systemd", "--config", str(config)])


def test_the_command_is_the_script_that_was_called_or_the_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "vmtpy"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert service.command() == [str(script)]
    monkeypatch.setattr(sys, "argv", ["/x/vmtpy/__main__.py"])
    assert service.command() == [sys.executable, "-m", "vmtpy"]
