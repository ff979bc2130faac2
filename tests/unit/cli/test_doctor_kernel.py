"""What the doctor says of a kernel that lacks something, on trees of files made for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from vmtpy.doctor.kernel_features import check_features

if TYPE_CHECKING:
    from pathlib import Path

    from vmtpy.doctor import Finding

OLD, NEW = "5.10.0-32-amd64", "6.12.117+deb13-amd64"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A kernel that has everything, and two disks."""
    for disk in ("8:0", "8:16"):
        write(tmp_path / "sys/class/bdi" / disk / "max_bytes", "0")
        write(tmp_path / "sys/kernel/debug/bdi" / disk / "stats", "BdiWriteback: 0 kB")
    write(tmp_path / "sys/kernel/rcu_expedited", "0\n")
    write(tmp_path / "sys/kernel/rcu_normal", "0\n")
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def without_bounds(root: Path) -> None:
    for file in root.glob("sys/class/bdi/*/max_bytes"):
        file.unlink()


def said(root: Path, release: str = NEW, converge: str = "auto") -> list[Finding]:
    found = list(check_features(root, release, converge))
    assert all((finding.check, finding.level) == ("kernel", "note") for finding in found)
    return found


def test_of_a_kernel_that_has_everything_nothing_is_said(root: Path) -> None:
    assert said(root) == []


def test_a_kernel_without_a_limit_for_each_disk_cannot_slow_writers_down(root: Path) -> None:
    without_bounds(root)
    (found,) = said(root, OLD)
    assert found.text == (
        "Linux 5.10 has no limit on the dirty pages of one disk (Linux 6.2 and later have): where "
        "writers outrun their disk, vmtpy cannot slow them down, and refuses a backup that would "
        "hold them for longer than filesystem_timeout"
    )
    assert 'converge = "global"' in found.remedy


@pytest.mark.parametrize("converge", ["off", "global"])
def test_who_does_not_want_that_limit_does_not_read_of_it(root: Path, converge: str) -> None:
    without_bounds(root)
    assert said(root, OLD, converge) == []


def test_without_debugfs_what_is_dirty_of_each_disk_is_not_known(root: Path) -> None:
    (root / "sys/kernel/debug").rename(root / "elsewhere")
    (found,) = said(root)
    assert "how much of each disk is dirty" in found.text
    assert "sys/kernel/debug/bdi/8:0/stats: No such file or directory" in found.text
    assert found.remedy == "mount -t debugfs debugfs /sys/kernel/debug"


def test_a_disk_that_came_or_went_meanwhile_is_no_lack(root: Path) -> None:
    (root / "sys/kernel/debug/bdi/8:0/stats").unlink()
    assert said(root) == []


def test_who_may_not_read_debugfs_cannot_tell(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "sys/kernel/debug/bdi").rename(root / "elsewhere")
    assert len(said(root)) == 1
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for any user but root
    assert said(root) == []


def test_a_kernel_that_cannot_expedite_its_grace_periods_freezes_later(root: Path) -> None:
    (root / "sys/kernel/rcu_expedited").unlink()
    (found,) = said(root, OLD)
    assert found.text == "Linux 5.10 has no rcu_expedited: a freeze takes 30 to 45 ms more"


def test_a_real_time_kernel_is_one_of_these(root: Path) -> None:
    write(root / "sys/kernel/rcu_normal", "1\n")
    (found,) = said(root)
    assert "rcu_normal is set" in found.text


def test_where_sysfs_is_not_mounted_nothing_can_be_said(tmp_path: Path) -> None:
    assert said(tmp_path) == []
