"""What open-vm-tools does and vmtpy does not: who misses it, what to do, and signs of its use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Absent(NamedTuple):
    """One thing that is lost.

    Attributes:
        what: it is.
        missed_by: who will miss it.
        instead: what does the same, "" if nothing does.
        signs: globs of files that are there where it is used.
    """

    what: str
    missed_by: str
    instead: str = ""
    signs: tuple[str, ...] = ()


ABSENT = (
    Absent(
        "guest customization (deployPkg)",
        "clones with a customization specification: of vSphere itself, Terraform's `customize`, "
        "Ansible's `customization`",
        "cloud-init with guestinfo.userdata, which vmtpy-rpctool serves",
        ("var/log/vmware-imc/*", "var/log/vmware-imc"),
    ),
    Absent(
        "guest operations (programs run and files copied by the host) and VGAuth",
        "Invoke-VMScript, Copy-VMGuestFile, `govc guest.*`, Ansible's vmware_vm_shell, backup and "
        "disaster recovery products that run scripts inside the guest",
        "SSH; hooks of vmtpy around snapshots",
        ("var/lib/vmware/VGAuth/aliasStore/*.xml",),
    ),
    Absent(
        "`vmtoolsd --cmd`",
        "scripts that call vmtoolsd by its name",
        "`vmtpy rpc`, with the same text; `vmtpy-rpctool` stands in for vmware-rpctool and "
        "`vmtpy-toolbox-cmd` for vmware-toolbox-cmd",
    ),
    Absent(
        "the clock set by the host",
        "virtual machines without NTP",
        "[time] synchronize = true, or better chrony",
    ),
    Absent(
        "shared folders (vmhgfs-fuse), drag and drop, copy and paste, screen sizes",
        "users of desktops on Workstation and Fusion",
        "keep open-vm-tools-desktop there",
    ),
    Absent(
        "lists of programs, containers and services (appinfo, containerinfo, servicediscovery)",
        "VMware Aria Operations and other inventories",
    ),
    Absent(
        "GuestStore, global configuration, component manager (Salt), data sets",
        "files, agents and settings that vSphere hands out",
        "",
        ("opt/saltstack/salt", "etc/salt/minion.d/*vmware*"),
    ),
    Absent(
        "`vm-support`, `vmware-xferlogs`, `vmware-toolbox-cmd disk|device|script|upgrade`",
        "VMware's support, and the shrinking of virtual disks",
        "`vmtpy doctor` and `vmtpy status` for support; `fstrim` gives space back",
    ),
)


def used(one: Absent, root: str = "") -> Iterator[str]:
    """Signs that it is used on this machine: paths."""
    for pattern in one.signs:
        for path in sorted(Path(root or "/").glob(pattern))[:1]:
            yield str(path)[len(root) :]


def shared_folders(mounts: str) -> list[str]:
    """Where shared folders are mounted, by the text of /proc/mounts."""
    lines = [one.split() for one in mounts.splitlines()]
    return [one[1] for one in lines if len(one) > 2 and one[2] in ("fuse.vmhgfs-fuse", "vmhgfs")]
