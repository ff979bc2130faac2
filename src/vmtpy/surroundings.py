"""Finds what keeps a process from the backdoor: a container, seccomp, or missing I/O privilege.

It serves the probe, which imports it only where VMware does not answer, and reads /proc and /sys.
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
    """Whether a seccomp filter checks this process's system calls."""
    return _status(f"{root}/proc", "Seccomp") == SECCOMP_FILTER


def container(root: str = "/") -> str:
    """The kind of container in which this process runs; "" if there is no sign of one."""
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


def io_privilege(error: int, root: str = "/") -> Refusal | None:
    """Why the kernel refuses I/O privilege (iopl); None if it does not.

    Args:
        error: the errno of iopl; 0 for success. One errno has several causes, which /proc and /sys
            tell apart.
        root: the directory with /proc and /sys.
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
            f"{ALLOW_IT}, or use a kernel with iopl",
        )
    return Refusal(
        "the kernel was built without iopl (CONFIG_X86_IOPL_IOPERM)",
        "use a kernel with iopl, as those of the distributions",
    )


def _not_permitted(root: str) -> Refusal:
    lockdown = _read(f"{root}/sys/kernel/security/lockdown").partition("[")[2].partition("]")[0]
    users = _read(f"{root}/proc/self/uid_map").split()
    if not int(_status(f"{root}/proc", "CapEff") or "0", 16) >> SYS_RAWIO & 1:
        refusal = Refusal(
            "this process lacks CAP_SYS_RAWIO, which iopl requires",
            "run it as root, or give it CAP_SYS_RAWIO (docker run --cap-add SYS_RAWIO; "
            "CapabilityBoundingSet= of the service)",
        )
    elif lockdown not in ("", "none"):
        refusal = Refusal(
            f"the kernel is locked down ({lockdown}), which forbids iopl",
            "disable Secure Boot, or remove lockdown= from the kernel's command line",
        )
    elif filtered(root):
        refusal = Refusal("a seccomp filter forbids iopl", ALLOW_IT)
    elif users and users != ["0", "0", "4294967295"]:
        refusal = Refusal(
            "iopl does not accept the CAP_SYS_RAWIO of a user namespace",
            "run it as root of the machine, outside the container",
        )
    else:
        refusal = Refusal("the kernel's security module forbids iopl", "see the kernel's log")
    return refusal
