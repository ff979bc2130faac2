"""Derives vSphere's names of the operating system from os-release(5) and uname(2).

It serves guest_info.py. The detailed record (SetGuestInfo 11) has the layout that open-vm-tools
12.2 was seen to send.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from _typeshed import StrPath

# os-release's ID → open-vm-tools' name of the distribution, spelled as in lib/include/guest_os.h.
DISTRIBUTIONS = {
    "almalinux": "almaLinux",
    "amzn": "amazonlinux",
    "asianux": "asianux",
    "centos": "centos",
    "coreos": "coreos",
    "debian": "debian",
    "fedora": "Fedora",
    "flatcar": "flatcar",
    "fusionos": "fusionos",
    "kylin": "kylinlinux",
    "miraclelinux": "miraclelinux",
    "ol": "oraclelinux",
    "opensuse": "opensuse",
    "opensuse-leap": "opensuse",
    "opensuse-tumbleweed": "opensuse",
    "pardus": "pardus",
    "photon": "vmware-photon",
    "prolinux": "prolinux",
    "rhcos": "rhel",
    "rhel": "rhel",
    "rocky": "rockyLinux",
    "sl-micro": "suse",
    "sle-micro": "sles",
    "sle_hpc": "sles",
    "sled": "sles",
    "sles": "sles",
    "sles_sap": "sles",
    "turbolinux": "turbolinux",
    "ubuntu": "ubuntu",
}
# The major versions that have a name of their own in vSphere (lib/include/guest_os_tables.h).
VERSIONS = {
    "amazonlinux": ("2", "3"),
    "asianux": ("3", "4", "5", "7", "8", "9"),
    "centos": ("6", "7", "8", "9"),
    "debian": ("4", "5", "6", "7", "8", "9", "10", "11", "12", "13"),
    "oraclelinux": ("6", "7", "8", "9", "10"),
    "rhel": ("3", "4", "5", "6", "7", "8", "9", "10"),
    "sles": ("10", "11", "12", "15", "16"),
}
# Distributions that vSphere also knows without a version, as in its "CentOS 4/5 or later".
UNNUMBERED = ("centos", "oraclelinux", "sles")
# Distributions whose versions are not those of their family.
OWN_VERSIONS = ("rhcos", "sle-micro")
KERNELS = ("3", "4", "5", "6", "7")  # vSphere uses the last one for all later kernels
FILES = ("/etc/os-release", "/usr/lib/os-release")
# u32 version; short name; full name, padded to a multiple of four.
DETAILS = struct.Struct("<I129s513s2x")


class OsInfo(NamedTuple):
    """The operating system.

    Attributes:
        full_name: "Debian GNU/Linux 12 (bookworm)".
        name: vSphere's name, "debian12-64".
        details: the fields of the detailed record.
    """

    full_name: str
    name: str
    details: dict[str, str]


def read(paths: tuple[StrPath, ...] = FILES) -> OsInfo:
    """The operating system that runs here."""
    release = os_release(paths)
    system = os.uname()
    full_name = release.get("PRETTY_NAME") or f"{system.sysname} {system.release}"
    details = {
        "architecture": "Arm" if processor(system.machine) == "arm-" else "X86",
        "bitness": "64" if system.machine.endswith("64") else "32",
        "distroAddlVersion": release.get("VERSION", ""),
        "distroName": release.get("NAME", ""),
        "distroVersion": release.get("VERSION_ID", ""),
        "familyName": system.sysname,
        "kernelVersion": system.release,
        "prettyName": full_name,
    }
    return OsInfo(full_name, short_name(release, system.release, system.machine), details)


def short_name(release: dict[str, str], kernel: str, machine: str = "x86_64") -> str:
    """vSphere's name of the operating system.

    vSphere shows no system at all for a name that it does not know, so a system that is not in its
    table gets the name of its kernel: "other6xlinux-64".

    Args:
        release: the fields of os-release.
        kernel: the kernel's release, "6.1.0-13-amd64".
        machine: the processor, as in uname.
    """
    identity = release.get("ID", "")
    name = DISTRIBUTIONS.get(identity, "")
    if name in VERSIONS:
        version = major_version(identity, release)
        if version in VERSIONS[name]:
            name += version
        elif name not in UNNUMBERED:
            name = ""
    bits = "-64" if machine.endswith("64") else ""
    return f"{processor(machine)}{name or by_kernel(kernel)}{bits}"


def major_version(identity: str, release: dict[str, str]) -> str:
    """The version in vSphere's name of the distribution; "" without one."""
    if identity == "amzn":  # version 1 was named by years, and open-vm-tools reports it as 2
        year = release.get("VERSION_ID", "")
        return "3" if year == "2023" else "2"
    if identity in OWN_VERSIONS:
        return release.get("RHEL_VERSION", "").partition(".")[0]
    return release.get("VERSION_ID", "").partition(".")[0]


def by_kernel(kernel: str) -> str:
    """vSphere's name of a Linux of which only the kernel is known."""
    major, _, rest = kernel.partition(".")
    if major in KERNELS:
        return f"other{major}xlinux"
    if major == "2":
        return "other26xlinux" if rest.startswith("6") else "other24xlinux"
    if major.isdigit() and int(major) > int(KERNELS[-1]):
        return f"other{KERNELS[-1]}xlinux"
    return "otherlinux"


def processor(machine: str) -> str:
    """The prefix of the names of systems that do not run on x86; else ""."""
    if machine.startswith(("aarch64", "arm")):
        return "arm-"
    return "riscv-" if machine.startswith("riscv") else ""


def os_release(paths: tuple[StrPath, ...] = FILES) -> dict[str, str]:
    """The fields of the first of these files that can be read."""
    for path in paths:
        try:
            lines = Path(path).read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        pairs = [line.strip().partition("=") for line in lines if not line.startswith("#")]
        return {key: unquote(value) for key, separator, value in pairs if separator}
    return {}


def unquote(value: str) -> str:
    """A value without the shell's quotes and backslashes."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        quote, value = value[0], value[1:-1]
        if quote == "'":
            return value
    for character in '\\"$`':
        value = value.replace("\\" + character, character)
    return value


def encode(system: OsInfo) -> bytes:
    """The body of `SetGuestInfo  11`."""
    known = {key: value.replace("'", "") for key, value in system.details.items() if value}
    words = [f"{key}='{value}'" for key, value in known.items()]
    name = system.name.encode()[:128]
    full_name = system.full_name.encode()[:512]
    return DETAILS.pack(1, name, full_name) + " ".join(words).encode() + b"\0"
