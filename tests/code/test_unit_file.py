"""The unit for systemd: it is valid, keeps no guardian from its work, and hides no mount."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
UNIT = ROOT / "src/vmtpy/data/vmtpy.service"
# Each of them makes systemd put the service into a mount namespace of its own.
NAMESPACING = set(
    """
    BindPaths BindReadOnlyPaths ExecPaths InaccessiblePaths MountFlags MountImages NoExecPaths
    PrivateDevices PrivateMounts PrivateTmp ProcSubset ProtectControlGroups ProtectHome
    ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc
    ProtectSystem ReadOnlyPaths ReadWritePaths RootDirectory RootImage TemporaryFileSystem
    PrivateNetwork PrivateUsers PrivateIPC DynamicUser
    """.split()  # noqa: SIM905
)


@pytest.fixture
def service() -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with a command that exists."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs the program systemd-analyze")
    unit = tmp_path / "vmtpy.service"
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/vmtpy", "/bin/true"))
    return unit


def analyze(*arguments: str) -> str:
    command = ["systemd-analyze", "--no-pager", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_nothing_wrong_with_it(installed: Path) -> None:
    assert analyze("verify", str(installed)) == ""


def test_its_exposure_is_what_the_page_says(installed: Path) -> None:
    found = re.search(
        r"exposure level .*: ([\d.]+)", analyze("security", "--offline=true", str(installed))
    )
    assert found is not None
    assert f"exposure {found[1]} " in (ROOT / "docs/service.md").read_text()


def test_the_agent_sees_every_mount_as_it_is(service: dict[str, str]) -> None:
    assert not service.keys() & NAMESPACING


def test_the_guardian_outlives_the_main_process(service: dict[str, str]) -> None:
    assert service["KillMode"] == "process"
    assert service["OOMPolicy"] == "continue"


def test_what_was_left_frozen_is_thawed_when_the_service_ends(service: dict[str, str]) -> None:
    assert service["ExecStopPost"].endswith("/vmtpy thaw")


def test_no_death_waits_for_a_core_dump(service: dict[str, str]) -> None:
    assert service["LimitCORE"] == "0"
    assert service["WatchdogSignal"] == "SIGKILL"


def test_the_example_of_an_override_is_valid_and_hides_no_mount(installed: Path) -> None:
    override = (ROOT / "contrib/systemd/override.conf").read_text()
    folder = installed.with_name(f"{installed.name}.d")
    folder.mkdir()
    (folder / "override.conf").write_text(override)
    said = analyze("verify", str(installed))
    assert "override.conf" not in said, said
    commented = re.findall(r"^#?(\w+)=", override, re.MULTILINE)
    assert not NAMESPACING & set(commented)
    (folder / "override.conf").write_text(override.replace("MemoryMax=128M", "MemoryMacks=1"))
    assert "override.conf" in analyze("verify", str(installed))
