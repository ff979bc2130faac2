"""The functions of open-vm-tools that vmtpy does not have: who uses them, what to use instead, and
files that show that a machine uses them. It serves `vmtpy migrate`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Absent(NamedTuple):
    """A function of open-vm-tools that vmtpy does not have.

    Attributes:
        what: the function.
        missed_by: who uses it.
        instead: what to use in its place; "" if there is nothing.
        signs: globs of files that exist on machines where it is used.
        mounts: types of filesystems that are mounted where it is used.
    """

    what: str
    missed_by: str
    instead: str = ""
    signs: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()


ABSENT = (
    Absent(
        "guest customization (deployPkg)",
        "clones with a customization specification (vSphere's own, Terraform's `customize`, "
        "Ansible's `customization`)",
        "cloud-init with guestinfo.userdata, which it reads by vmtpy-rpctool",
        ("var/log/vmware-imc/*", "var/log/vmware-imc"),
    ),
    Absent(
        "guest operations (programs run and files copied by the host) and VGAuth",
        "Invoke-VMScript, Copy-VMGuestFile, `govc guest.*`, Ansible's vmware_vm_shell, backup and "
        "disaster recovery products that run scripts inside the guest",
        "SSH; for snapshots, vmtpy's hooks",
        ("var/lib/vmware/VGAuth/aliasStore/*.xml",),
    ),
    Absent(
        "`vmtoolsd --cmd`",
        "scripts that run `vmtoolsd --cmd`",
        "`vmtpy rpc`, with the same text; `vmtpy-rpctool` stands in for vmware-rpctool and "
        "`vmtpy-toolbox-cmd` for vmware-toolbox-cmd",
    ),
    Absent(
        "setting the clock to the host's time by default",
        "virtual machines without NTP",
        "chrony, or [time] synchronize = true",
    ),
    Absent(
        "shared folders (vmhgfs-fuse), drag and drop, copy and paste, screen sizes",
        "users of desktops on Workstation and Fusion",
        "open-vm-tools-desktop, which can stay installed there",
        mounts=("fuse.vmhgfs-fuse", "vmhgfs"),
    ),
    Absent(
        "lists of programs, containers and services (appinfo, containerinfo, servicediscovery)",
        "VMware Aria Operations and other inventories",
    ),
    Absent(
        "GuestStore, global configuration, component manager (Salt), data sets",
        "administrators who distribute files, agents or settings by vSphere",
        "",
        ("opt/saltstack/salt", "etc/salt/minion.d/*vmware*"),
    ),
    Absent(
        "`vm-support`, `vmware-xferlogs`, `vmware-toolbox-cmd disk|device|script|upgrade`",
        "VMware's support, and the shrinking of virtual disks",
        "`vmtpy doctor` and `vmtpy status` for support; `fstrim` to release unused space",
    ),
)


def used(absent: Absent, root: str = "") -> Iterator[str]:
    """The paths on this machine that show that a function is used."""
    for pattern in absent.signs:
        for path in sorted(Path(root or "/").glob(pattern))[:1]:
            yield str(path)[len(root) :]


def mounted(absent: Absent, mounts: str) -> list[str]:
    """The mount points in the text of /proc/mounts that show that a function is used."""
    lines = [line.split() for line in mounts.splitlines()]
    return [words[1] for words in lines if len(words) > 2 and words[2] in absent.mounts]
