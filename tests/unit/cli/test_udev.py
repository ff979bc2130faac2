"""The rules for udev: installed, removed, applied by a real udevadm to made-up devices, and checked
by the doctor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from vmtpy import service, udev
from vmtpy.cli import install_service, uninstall_service
from vmtpy.doctor import machine
from vmtpy.service import ServiceError

if TYPE_CHECKING:
    from pathlib import Path

UDEVADM = shutil.which("udevadm", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin:/bin")
DISK = {"vendor": "VMware  ", "model": "Virtual disk    ", "type": "0", "timeout": "30"}


def device(root: Path, name: str = "sda", **attributes: str) -> None:
    made = root / "sys/block" / name / "device"
    made.mkdir(parents=True)
    for attribute, value in {**DISK, **attributes}.items():
        (made / attribute).write_text(f"{value}\n")


def test_the_rules_are_installed_and_removed(tmp_path: Path) -> None:
    assert udev.uninstall(tmp_path) is None
    file = udev.install(tmp_path)
    assert file == tmp_path / "etc/udev/rules.d/60-vmtpy.rules"
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(file.parent.iterdir()) == [file]
    assert udev.install(tmp_path) == file, "again, over our own"
    assert udev.uninstall(tmp_path) == file
    assert list(file.parent.iterdir()) == []


def test_another_file_in_their_place_stays(tmp_path: Path) -> None:
    file = tmp_path / udev.FILE
    file.parent.mkdir(parents=True)
    file.write_text("# mine\n")
    for action in (udev.install, udev.uninstall):
        with pytest.raises(udev.UdevError, match="was not written by vmtpy and was left as it is"):
            action(tmp_path)
    assert file.read_text() == "# mine\n"


def test_where_no_udev_runs_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "udevadm control --reload: " in udev.apply()


@pytest.fixture
def rooted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """install-service and uninstall-service under a root of the test's own, without managers."""
    root = tmp_path / "root"
    (root / service.SYSTEMD.sign).mkdir(parents=True)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("systemctl", "udevadm"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/calls"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(service, "ROOT", root)
    for module in (install_service, uninstall_service):
        monkeypatch.setattr(module, "need_root", lambda: None)
    return root


def test_the_service_brings_and_takes_them(
    rooted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install_service.main([]) == 0
    assert (rooted / udev.FILE).read_text() == udev.SOURCE.read_text()
    calls = (rooted.parent / "calls").read_text().splitlines()
    assert [call for call in calls if call.startswith("udevadm")] == [
        " ".join(command) for command in udev.APPLY
    ]
    assert uninstall_service.main([]) == 0
    assert not (rooted / udev.FILE).exists()
    assert f"removed {rooted / udev.FILE}; disks keep" in capsys.readouterr().out


def test_a_service_beside_another_agent_is_warned_of(
    rooted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vmtoolsd = rooted.parent / "proc" / "7"
    vmtoolsd.mkdir(parents=True)
    (vmtoolsd / "comm").write_text("vmtoolsd\n")
    (vmtoolsd / "cmdline").write_text("/usr/bin/vmtoolsd\0")
    check = machine.check_clients
    monkeypatch.setattr(machine, "check_clients", lambda _: check(vmtoolsd.parent))
    assert install_service.main([]) == 0
    error = capsys.readouterr().err
    assert "warning: vmtoolsd (process 7) also takes the host's commands" in error
    assert "systemctl disable --now open-vm-tools" in error


def test_a_service_that_cannot_be_installed_leaves_no_rules(rooted: Path) -> None:
    program = rooted.parent / "programs/systemctl"
    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ServiceError):
        install_service.main([])
    assert sorted(rooted.iterdir()) == [rooted / "run"]


# udevadm finds these devices under /sys, and these rules alone.
INSIDE = """\
set -e
mount -t tmpfs none /sys
cp -r "$1/." /sys
mkdir -p /run/udev
mount -t tmpfs none /run/udev
mkdir /run/udev/rules.d
for place in /etc /usr/local/lib /usr/lib /lib; do
    if [ -d $place/udev/rules.d ]; then mount -t tmpfs none $place/udev/rules.d; fi
done
cp "$2" /run/udev/rules.d
export SYSTEMD_DEVICE_VERIFY_SYSFS=0
shift 2
"$@" 1>&2
cat /sys/devices/timeout
"""


@pytest.mark.parametrize(
    ("attributes", "seconds"),
    [
        ({}, "180"),
        ({"vendor": "VMware, ", "model": "VMware Virtual S"}, "180"),
        ({"vendor": "QEMU    "}, "30"),
        ({"model": "CDROM", "type": "5"}, "30"),
        ({"timeout": "5"}, "180"),
        ({"timeout": "179"}, "180"),
        ({"timeout": "300"}, "300"),
        ({"timeout": "2000"}, "2000"),
    ],
    ids=["ESXi", "Workstation", "another vendor's", "a CD", "5", "179", "300", "2000"],
)
def test_udev_raises_the_timeout_of_vmware_disks(
    attributes: dict[str, str], seconds: str, tmp_path: Path
) -> None:
    if UDEVADM is None or os.geteuid() != 0:
        pytest.skip("capability missing: udevadm, and root to give it a /sys of its own")
    made = tmp_path / "sys/devices"
    made.mkdir(parents=True)
    for attribute, value in {**DISK, **attributes}.items():
        (made / attribute).write_text(f"{value}\n")
    (made / "uevent").write_text("DEVTYPE=scsi_device\n")
    (tmp_path / "sys/bus/scsi").mkdir(parents=True)
    (made / "subsystem").symlink_to("../bus/scsi")
    command = [UDEVADM, "test", "--action", "add", "/sys/devices"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", INSIDE, "sh", tmp_path / "sys", udev.SOURCE, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == seconds, done.stderr


def found(root: Path) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in machine.check_disks(root)]


def test_a_machine_without_vmware_disks_is_not_spoken_of(tmp_path: Path) -> None:
    device(tmp_path, vendor="ATA     ")
    device(tmp_path, "sr0", type="5")
    (tmp_path / "sys/block/vda/device").mkdir(parents=True)
    assert found(tmp_path) == []


def test_a_hasty_disk_is_a_problem_even_with_rules(tmp_path: Path) -> None:
    device(tmp_path)
    device(tmp_path, "sdb", timeout="180")
    udev.install(tmp_path)
    ((level, text),) = found(tmp_path)
    assert level == "problem"
    assert "sda (30 s)" in text
    assert "sdb" not in text


def test_rules_that_would_be_missed_at_the_next_boot_are_a_problem(tmp_path: Path) -> None:
    device(tmp_path, timeout="180")
    assert [level for level, _ in found(tmp_path)] == ["problem"]
    theirs = tmp_path / "lib/udev/rules.d/99-vmware-scsi-udev.rules"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('ATTRS{vendor}=="VMware*", ATTR{timeout}="180"\n')
    assert found(tmp_path) == [("ok", "1 with a SCSI timeout of 180 s or more")]
    theirs.unlink()
    udev.install(tmp_path)
    assert found(tmp_path) == [("ok", "1 with a SCSI timeout of 180 s or more")]
