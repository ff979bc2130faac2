"""What keeps a process from the backdoor: containers, seccomp, and who refuses I/O privilege.

Looks into /proc and /sys; imported only where VMware does not answer.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

SYS_RAWIO = 17  # capabilities(7)
SECCOMP_FILTER = "2"
ALLOW_IT = (
    "allow iopl in the seccomp profile of the container (or in SystemCallFilter= of the service)"
)


class Refusal(NamedTuple):
    """Why something was refused, and what to do about it."""

    why: str
    remedy: str


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 (no pathlib)
            return file.read()
    except OSError:
        return ""


def _status(proc: str, field: str) -> str:
    text = _read(f"{proc}/self/status")
    _, found, rest = text.partition(f"\n{field}:")
    return rest.split(maxsplit=1)[0] if found and rest.split() else ""


def filtered(root: str = "/") -> bool:
    """True if a seccomp filter watches this process's system calls."""
    return _status(f"{root}/proc", "Seccomp") == SECCOMP_FILTER


def container(root: str = "/") -> str:
    """The kind of container that this is, "" if it looks like none."""
    if kind := _read(f"{root}/run/systemd/container").strip():
        return kind
    for mark, kind in (("run/.containerenv", "podman"), (".dockerenv", "docker")):
        if os.access(f"{root}/{mark}", os.F_OK):
            return kind
    groups = _read(f"{root}/proc/1/cgroup")
    for mark in ("docker", "kubepods", "containerd", "lxc", "libpod"):
        if mark in groups:
            return mark
    return ""


def privilege(error: int, root: str = "/") -> Refusal | None:
    """Why the kernel refuses I/O privilege (iopl), from its errno; None if it does not.

    The cases are told apart by what else the kernel says of itself and of this process.
    """
    if error == 0:
        return None
    if error == errno.EPERM:
        return _not_permitted(root)
    if error != errno.ENOSYS:
        return Refusal(f"iopl failed: {os.strerror(error)}", "")
    if filtered(root):
        return Refusal(
            "the kernel has no iopl (CONFIG_X86_IOPL_IOPERM), or a seccomp filter hides it",
            f"{ALLOW_IT}, or use a kernel that has it",
        )
    return Refusal(
        "the kernel was built without iopl (CONFIG_X86_IOPL_IOPERM)",
        "use a kernel that has it, as those of the distributions",
    )


def _not_permitted(root: str) -> Refusal:
    lockdown = _read(f"{root}/sys/kernel/security/lockdown").partition("[")[2].partition("]")[0]
    users = _read(f"{root}/proc/self/uid_map").split()
    if not int(_status(f"{root}/proc", "CapEff") or "0", 16) >> SYS_RAWIO & 1:
        refusal = Refusal(
            "this process lacks CAP_SYS_RAWIO, which iopl asks for",
            "run it as root, or give it that capability (docker run --cap-add SYS_RAWIO; "
            "CapabilityBoundingSet= of the service)",
        )
    elif lockdown not in ("", "none"):
        refusal = Refusal(
            f"the kernel is locked down ({lockdown}), which forbids iopl",
            "boot without Secure Boot, or without lockdown= on the kernel's command line",
        )
    elif filtered(root):
        refusal = Refusal("a seccomp filter forbids iopl", ALLOW_IT)
    elif users and users != ["0", "0", "4294967295"]:
        refusal = Refusal(
            "CAP_SYS_RAWIO of a user namespace does not count for iopl",
            "run it as root of the machine, outside of the container",
        )
    else:
        refusal = Refusal("the kernel's security module forbids iopl", "look into the kernel's log")
    return refusal
