"""Why a kernel refuses I/O privilege, and what container this is: on made-up /proc and /sys."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from vmtpy import surroundings

if TYPE_CHECKING:
    from pathlib import Path

ALL = "000001ffffffffff"
WITHOUT_RAWIO = "000001fffffdffff"


def machine(
    root: Path,
    *,
    capabilities: str = ALL,
    seccomp: int = 0,
    lockdown: str = "",
    users: str = "         0          0 4294967295\n",
) -> str:
    """A /proc and /sys as the kernel has them."""
    process = root / "proc/self"
    process.mkdir(parents=True)
    text = f"Name:\tvmtpy\nCapPrm:\t{ALL}\nCapEff:\t{capabilities}\nSeccomp:\t{seccomp}\n"
    (process / "status").write_text(text + f"Seccomp_filters:\t{seccomp // 2}\n")
    (process / "uid_map").write_text(users)
    if lockdown:
        (root / "sys/kernel/security").mkdir(parents=True)
        (root / "sys/kernel/security/lockdown").write_text(lockdown)
    return str(root)


def refusal(error: int, root: str) -> surroundings.Refusal:
    found = surroundings.io_privilege(error, root)
    assert found is not None
    return found


def test_without_a_refusal_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert surroundings.io_privilege(0, machine(tmp_path)) is None


@pytest.mark.parametrize(
    ("facts", "error", "why", "remedy"),
    [
        ({}, errno.ENOSYS, "built without iopl (CONFIG_X86_IOPL_IOPERM)", "use a kernel"),
        ({"seccomp": 2}, errno.ENOSYS, "or a seccomp filter hides it", "seccomp profile"),
        ({"capabilities": WITHOUT_RAWIO}, errno.EPERM, "lacks CAP_SYS_RAWIO", "--cap-add"),
        (
            {"lockdown": "none [integrity] confidentiality\n"},
            errno.EPERM,
            "locked down (integrity)",
            "Secure Boot",
        ),
        ({"lockdown": "[none] integrity\n", "seccomp": 2}, errno.EPERM, "seccomp", "allow iopl"),
        ({"seccomp": 2}, errno.EPERM, "a seccomp filter forbids", "SystemCallFilter="),
        ({"users": "0 100000 65536\n"}, errno.EPERM, "user namespace", "outside the container"),
        ({}, errno.EPERM, "security module", "kernel's log"),
        ({}, errno.EINVAL, "iopl failed: Invalid argument", ""),
    ],
)
def test_each_refusal_has_its_own_reason_and_remedy(
    facts: dict[str, str | int], error: int, why: str, remedy: str, tmp_path: Path
) -> None:
    found = refusal(error, machine(tmp_path, **facts))  # type: ignore[arg-type]
    assert why in found.why
    assert remedy in found.remedy


def test_the_missing_capability_comes_before_lockdown_and_filters(tmp_path: Path) -> None:
    root = machine(
        tmp_path, capabilities=WITHOUT_RAWIO, lockdown="none integrity [confidentiality]", seccomp=2
    )
    assert "CAP_SYS_RAWIO" in refusal(errno.EPERM, root).why


@pytest.mark.parametrize(
    ("file", "text", "kind"),
    [
        ("run/systemd/container", "systemd-nspawn\n", "systemd-nspawn"),
        (".dockerenv", "", "docker"),
        ("run/.containerenv", "", "podman"),
        ("proc/1/cgroup", "0::/kubepods.slice/kubepods-besteffort.slice/x.scope\n", "kubepods"),
        ("proc/1/cgroup", "0::/init.scope\n", ""),
    ],
)
def test_a_container_is_known_by_its_marks(file: str, text: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert surroundings.container(str(tmp_path)) == kind


def test_where_there_is_no_proc_nothing_is_claimed(tmp_path: Path) -> None:
    assert surroundings.container(str(tmp_path)) == ""
    assert not surroundings.filtered(str(tmp_path))
