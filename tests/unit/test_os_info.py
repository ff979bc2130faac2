"""The names of the operating system as the host is told them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from vmtpy.services import os_info

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("ID=debian\nVERSION_ID=12", "debian12-64"),
        ("ID=debian\nVERSION_ID=", "debian-64"),
        ("ID=ubuntu\nVERSION_ID=24.04\nID_LIKE=debian", "ubuntu-64"),
        ('ID="rhel"\nVERSION_ID="9.4"', "rhel9-64"),
        ("ID=rocky\nVERSION_ID=9.4\nID_LIKE='rhel centos fedora'", "rockylinux-64"),
        ("ID=amzn\nVERSION_ID=2023", "amazonlinux3-64"),
        ("ID=sled\nVERSION_ID=15.5", "sles15-64"),
        ("ID=photon\nVERSION_ID=5.0", "vmware-photon-64"),
        ("ID=raspbian\nVERSION_ID=11\nID_LIKE=debian", "debian-64"),
        ("ID=arch", "other6xlinux-64"),
        ("", "other6xlinux-64"),
    ],
)
def test_the_short_name_is_one_that_vsphere_knows(
    release: str, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "os-release"
    file.write_text(release)
    assert os_info.short_name(os_info.os_release((file,)), "6.1.0-13") == expected


def test_a_kernel_newer_than_vsphere_is_just_linux() -> None:
    assert os_info.short_name({}, "7.0") == "otherlinux-64"


def test_os_release_is_read_as_a_shell_would(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_bytes(
        b'# comment="no"\nPRETTY_NAME="A \\"quoted\\" \\$name"\nNAME=\'plain $x\'\n\nBAD\nX=\xff\n'
    )
    found = os_info.os_release((tmp_path / "none", file))
    assert found["PRETTY_NAME"] == 'A "quoted" $name'
    assert found["NAME"] == "plain $x"
    assert "BAD" not in found


def test_without_os_release_the_kernel_gives_the_name(tmp_path: Path) -> None:
    found = os_info.read((tmp_path / "none",))
    assert found.full_name.startswith("Linux ")


def test_the_detailed_record_has_the_layout_that_open_vm_tools_sends() -> None:
    system = os_info.OsInfo("Debian 12", "debian12-64", {"bitness": "64", "x": "it's", "y": ""})
    record = os_info.encode(system)
    assert struct.unpack_from("<I", record)[0] == 1
    assert record[4:133].rstrip(b"\0") == b"debian12-64"
    assert record[133:648].rstrip(b"\0") == b"Debian 12"
    assert record[648:] == b"bitness='64' x='its'\0"


def test_names_that_are_too_long_are_cut_and_ended() -> None:
    record = os_info.encode(os_info.OsInfo("f" * 600, "s" * 200, {}))
    assert record[4:133] == b"s" * 128 + b"\0"
    assert record[133:648] == b"f" * 512 + b"\0\0\0"
