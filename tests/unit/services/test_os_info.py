"""The names of the operating system as the host is told them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmtpy.services import os_info

if TYPE_CHECKING:
    from pathlib import Path


# Every name that vSphere's hosts take for a Linux of 64 bits, in open-vm-tools' case (the key map
# of its lib/include/guest_os_tables.h, 13.0; Flatcar since vSphere 9).
KNOWN = {
    f"{name}-64"
    for name in (
        *("almaLinux", "amazonlinux2", "amazonlinux3", "coreos", "Fedora", "flatcar", "fusionos"),
        *("kylinlinux", "miraclelinux", "opensuse", "pardus", "prolinux", "rockyLinux", "suse"),
        *("turbolinux", "ubuntu", "vmware-photon", "mandriva", "otherlinux", "CRXPod1", "CRXSys1"),
        *(f"asianux{n}" for n in (3, 4, 5, 7, 8, 9)),
        *(f"centos{n}" for n in ("", 6, 7, 8, 9)),
        *(f"debian{n}" for n in range(4, 14)),
        *(f"oraclelinux{n}" for n in ("", 6, 7, 8, 9, 10)),
        *(f"other{n}xlinux" for n in (24, 26, 3, 4, 5, 6, 7)),
        *(f"rhel{n}" for n in range(3, 11)),
        *(f"sles{n}" for n in ("", 10, 11, 12, 15, 16)),
    )
}


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("ID=debian\nVERSION_ID=12", "debian12-64"),
        ("ID=debian\nVERSION_ID=13", "debian13-64"),
        ("ID=debian\nVERSION_ID=99", "other6xlinux-64"),
        ("ID=debian", "other6xlinux-64"),
        ("ID=ubuntu\nVERSION_ID=24.04\nID_LIKE=debian", "ubuntu-64"),
        ('ID="rhel"\nVERSION_ID="9.4"', "rhel9-64"),
        ('ID="rhel"\nVERSION_ID="10.0"', "rhel10-64"),
        ("ID=rhel", "other6xlinux-64"),
        ("ID=rocky\nVERSION_ID=9.4\nID_LIKE='rhel centos fedora'", "rockyLinux-64"),
        ("ID=almalinux\nVERSION_ID=9.4", "almaLinux-64"),
        ("ID=fedora\nVERSION_ID=42", "Fedora-64"),
        ("ID=centos\nVERSION_ID=9", "centos9-64"),
        ("ID=centos\nVERSION_ID=10", "centos-64"),
        ("ID=ol\nVERSION_ID=8.10", "oraclelinux8-64"),
        ("ID=ol\nVERSION_ID=11.0", "oraclelinux-64"),
        ("ID=asianux\nVERSION_ID=7", "asianux7-64"),
        ("ID=asianux\nVERSION_ID=2", "other6xlinux-64"),
        ("ID=amzn\nVERSION_ID=2018.03", "amazonlinux2-64"),
        ("ID=amzn\nVERSION_ID=2", "amazonlinux2-64"),
        ("ID=amzn\nVERSION_ID=2023", "amazonlinux3-64"),
        ("ID=sled\nVERSION_ID=15.5", "sles15-64"),
        ("ID=sles\nVERSION_ID=16.0", "sles16-64"),
        ("ID=sles\nVERSION_ID=13.0", "sles-64"),
        ("ID=sles_sap\nVERSION_ID=15.5\nID_LIKE=sles", "sles15-64"),
        ("ID=sles_sap\nID_LIKE=sles", "sles-64"),
        ("ID=sle-micro\nVERSION_ID=5.5", "sles-64"),
        ("ID=sl-micro\nVERSION_ID=6.1", "suse-64"),
        ("ID=opensuse-leap\nVERSION_ID=15.6", "opensuse-64"),
        ("ID=photon\nVERSION_ID=5.0", "vmware-photon-64"),
        ("ID=rhcos\nVERSION_ID=4.14\nRHEL_VERSION=9.2\nID_LIKE='rhel fedora'", "rhel9-64"),
        ("ID=rhcos\nVERSION_ID=4.14\nID_LIKE='rhel fedora'", "other6xlinux-64"),
        ('ID=rhcos\nID_LIKE="rhel fedora"', "other6xlinux-64"),
        ("ID=kylin\nVERSION_ID=V10", "kylinlinux-64"),
        ('ID=miraclelinux\nID_LIKE="rhel fedora"', "miraclelinux-64"),
        ("ID=pardus\nID_LIKE=debian", "pardus-64"),
        ("ID=prolinux\nID_LIKE=rhel", "prolinux-64"),
        ("ID=fusionos", "fusionos-64"),
        ('ID=kali\nID_LIKE="debian"', "other6xlinux-64"),
        ('ID=cloudlinux\nID_LIKE="rhel fedora centos"', "other6xlinux-64"),
        ("ID=raspbian\nVERSION_ID=11\nID_LIKE=debian", "other6xlinux-64"),
        ("ID=gentoo", "other6xlinux-64"),
        ("ID=flatcar\nID_LIKE=coreos", "flatcar-64"),
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
    assert expected in KNOWN


@given(
    identity=st.sampled_from([*os_info.DISTRIBUTIONS, "arch", "", "nobody"]),
    version=st.sampled_from(["", "1", "2.6", "8.10", "2018.03", "2023", "99", "V10", "4\udcff"]),
    kernel=st.sampled_from(["2.4.37", "2.6.32-754", "3.10.0", "5.4", "7.0-rc1", "12.1", "x", ""]),
)
def test_no_other_name_is_ever_told(identity: str, version: str, kernel: str) -> None:
    release = {"ID": identity, "VERSION_ID": version, "RHEL_VERSION": version}
    assert os_info.short_name(release, kernel) in KNOWN


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("2.2.26", "other24xlinux-64"),
        ("2.4.37", "other24xlinux-64"),
        ("2.6.32-754.el6", "other26xlinux-64"),
        ("3.10.0-1160", "other3xlinux-64"),
        ("4.19.0", "other4xlinux-64"),
        ("5.10.0-33-amd64", "other5xlinux-64"),
        ("6.18", "other6xlinux-64"),
        ("7.0", "other7xlinux-64"),
        ("8.1", "other7xlinux-64"),
        ("unknown", "otherlinux-64"),
    ],
)
def test_a_system_that_vsphere_does_not_know_goes_by_its_kernel(kernel: str, expected: str) -> None:
    assert os_info.short_name({}, kernel) == expected


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "debian12-64"),
        ("aarch64", "arm-debian12-64"),
        ("riscv64", "riscv-debian12-64"),
        ("i686", "debian12"),
    ],
)
def test_other_processors_stand_in_front(machine: str, expected: str) -> None:
    release = {"ID": "debian", "VERSION_ID": "12"}
    assert os_info.short_name(release, "6.1", machine) == expected


def test_the_processor_stands_in_front_of_a_kernels_name_too() -> None:
    assert os_info.short_name({"ID": "arch"}, "6.18", "aarch64") == "arm-other6xlinux-64"


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
