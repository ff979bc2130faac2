"""Describes the machine and the programs with which a result was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from benchmarks import disks
from benchmarks.contenders import freezers


def describe() -> dict[str, object]:
    """The machine."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_mib": _memory_mib(),
        "kernel": platform.release(),
        "system": _system(),
        "virtualisation": _virtualisation(),
        "rcu_expedited": _read("/sys/kernel/rcu_expedited"),
        "load_before": round(os.getloadavg()[0], 2),
    }


def storage(store: Path) -> str:
    """What disk images there lie on, for people."""
    inside = [one for one in disks.mounts() if store.resolve().is_relative_to(one.path)]
    mount = max(inside, key=lambda one: len(one.path))
    if mount.fs == "tmpfs":
        return "disk images in memory"
    return f"disk images on {mount.fs} ({mount.source})"


def stolen() -> float:
    """Seconds that the hypervisor has kept from the processors, all together."""
    fields = _read("/proc/stat").split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK") if len(fields) > 8 else 0.0


def versions() -> dict[str, str]:
    """The versions of the installed contenders and of Python."""
    found = {name: one.version() for name, one in freezers().items() if not one.missing()}
    found["python"] = platform.python_version()
    return {name: version for name, version in found.items() if version}


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _processor() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_mib() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _virtualisation() -> str:
    try:
        done = subprocess.run(
            ["systemd-detect-virt"], capture_output=True, text=True, timeout=10, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip()
