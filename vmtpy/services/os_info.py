"""The names of the operating system as vSphere wants them: from os-release(5) and uname.

Serves services/guest_info.py. The detailed record (SetGuestInfo 11) has the layout that
open-vm-tools 12.2 was seen to send.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from vmtpy import files

if TYPE_CHECKING:
    from vmtpy.files import Path

# os-release's ID → vSphere's guest identifier (lib/include/guest_os.h of open-vm-tools), and
# whether the major version belongs to it.
SHORT_NAMES = {
    "almalinux": ("almalinux", False),
    "amzn": ("amazonlinux", True),
    "asianux": ("asianux", True),
    "centos": ("centos", True),
    "debian": ("debian", True),
    "fedora": ("fedora", False),
    "flatcar": ("flatcar", False),
    "ol": ("oraclelinux", True),
    "opensuse": ("opensuse", False),
    "opensuse-leap": ("opensuse", False),
    "opensuse-tumbleweed": ("opensuse", False),
    "photon": ("vmware-photon", False),
    "rhel": ("rhel", True),
    "rocky": ("rockylinux", False),
    "sled": ("sles", True),
    "sles": ("sles", True),
    "ubuntu": ("ubuntu", False),
}
AMAZON = {"2": "2", "2023": "3"}  # year → vSphere's number
FILES = ("/etc/os-release", "/usr/lib/os-release")
# u32 version; short name; full name, padded to a multiple of four.
DETAILS = struct.Struct("<I129s513s2x")


class OsInfo(NamedTuple):
    """The operating system.

    Attributes:
        full_name: "Debian GNU/Linux 12 (bookworm)".
        name: as vSphere knows it: "debian12-64".
        details: what the detailed record says, by name.
    """

    full_name: str
    name: str
    details: dict[str, str]


def read(paths: tuple[Path, ...] = FILES) -> OsInfo:
    """The operating system that runs here."""
    release = os_release(paths)
    system = os.uname()
    full_name = release.get("PRETTY_NAME") or f"{system.sysname} {system.release}"
    details = {
        "architecture": "Arm" if system.machine.startswith("aarch64") else "X86",
        "bitness": "64" if system.machine.endswith("64") else "32",
        "distroAddlVersion": release.get("VERSION", ""),
        "distroName": release.get("NAME", ""),
        "distroVersion": release.get("VERSION_ID", ""),
        "familyName": system.sysname,
        "kernelVersion": system.release,
        "prettyName": full_name,
    }
    return OsInfo(full_name, short_name(release, system.release), details)


def short_name(release: dict[str, str], kernel: str) -> str:
    """vSphere's name for it; one that it does not know goes by its family, then by its kernel."""
    for identity in (release.get("ID", ""), *release.get("ID_LIKE", "").split()):
        if identity in SHORT_NAMES:
            name, numbered = SHORT_NAMES[identity]
            major = release.get("VERSION_ID", "").partition(".")[0]
            major = AMAZON.get(major, "") if identity == "amzn" else major
            # The version of a derivative is not that of the family.
            own = identity == release.get("ID")
            return f"{name}{major}-64" if numbered and major.isdigit() and own else f"{name}-64"
    major = kernel.partition(".")[0]
    return f"other{major}xlinux-64" if major in ("3", "4", "5", "6") else "otherlinux-64"


def os_release(paths: tuple[Path, ...] = FILES) -> dict[str, str]:
    """The fields of the first of these files that can be read."""
    for path in paths:
        try:
            lines = files.read_text(path).splitlines()
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
