"""Checks of the machine and of the agent that should run on it, for `vmtpy doctor`.

Each check yields Findings. The checks read /proc, /sys and the running agent's status.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmtpy import __version__, kernel, udev
from vmtpy.agent_status import FIXED
from vmtpy.config_text import toml
from vmtpy.doctor import Finding
from vmtpy.errors import KernelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy._probe import Probe
    from vmtpy.in_force import InForce

# The guardian, a child that thaws if the agent dies, has the agent's command line and this comm.
GUARDIAN = "vmtpy-guardian"
# Other programs that poll the host for commands: /proc/PID/comm → remedy.
CLIENTS = {
    "vmtoolsd": "systemctl disable --now open-vm-tools || systemctl disable --now vmtoolsd",
    "vmware-guestd": "/etc/init.d/vmware-tools stop, and uninstall VMware Tools",
}
# The desktop's vmtoolsd, which takes no snapshots, is started as `vmtoolsd -n vmusr`.
DESKTOP = ("vmusr", "-nvmusr", "--name=vmusr")
SYS_ADMIN = 21  # capabilities(7), by number
AUDIT_LOG = Path("var/log/audit/audit.log")
AUDIT_TAIL = 1 << 20


def check_configuration(running: InForce) -> Iterator[Finding]:
    """Checks the file, and compares it with the configuration of the running agent."""
    if running.error is not None:
        text, remedy = str(running.error), "correct the file; the agent does not start with it"
        yield Finding("configuration", "problem", text, remedy)
        return
    yield Finding("configuration", "ok", running.file or "the defaults")
    for table, key in running.differing:
        value = toml(getattr(getattr(running.config, table), key))
        file = running.file or "the defaults"
        text = f"[{table}] {key} of the running agent differs from {file}: {value}"
        remedy = f"`systemctl {'restart' if table in FIXED else 'reload'} vmtpy`"
        if key == "include":
            remedy += ", unless the agent was started with --include"
        yield Finding("configuration", "note", text, remedy)


def check_kernel(release: str) -> Iterator[Finding]:
    if trouble := kernel.trouble_of(release):
        yield Finding("kernel", "problem", trouble, KernelError.hint)
    else:
        yield Finding("kernel", "ok", f"Linux {release}")


def check_host(found: Probe, *, vsock: bool = False) -> Iterator[Finding]:
    """Checks the way to the host. `vsock`: the host answers over vsock, but not by the backdoor."""
    if vsock:
        text = f"VMware can be reached only over vsock: {found.reason}"
        yield Finding("host", "note", text, found.remedy)
        return
    if not found:
        yield Finding("host", "problem", found.reason, found.remedy)
        return
    way = f" by {found.way}" if found.way else ""
    text = f"VMware {found.product} answers{way}".replace("  ", " ")
    if found.encrypted:
        text += (
            f"; the memory is encrypted ({found.encrypted}), so the agent uses only the "
            "low-bandwidth port"
        )
    yield Finding("host", "ok", text)


def check_privilege(proc: Path, user: int) -> Iterator[Finding]:
    text = (proc / "self" / "status").read_text()
    bits = int(text.partition("CapEff:")[2].split()[0], 16)
    if user != 0 or not bits >> SYS_ADMIN & 1:
        what = "is not root" if user else "is root without CAP_SYS_ADMIN, as in a container"
        remedy = "run it as root in the virtual machine itself; freezing needs CAP_SYS_ADMIN"
        yield Finding("privilege", "problem", f"this process {what}", remedy)
    else:
        yield Finding("privilege", "ok", "this process is root and may freeze")


def check_clients(proc: Path) -> Iterator[Finding]:
    """Checks that only one agent runs.

    The host sends each command to one client. With two, each receives a part of a conversation.
    """
    agents: dict[int, int] = {}
    rivals = False
    for process, name, command in processes(proc):
        if name in CLIENTS and not any(word in DESKTOP for word in command):
            rivals = True
            text = f"{name} (process {process}) also takes the host's commands: snapshots may fail"
            yield Finding("clients", "problem", text, CLIENTS[name])
        elif name != GUARDIAN and is_agent(command):
            agents[process] = parent_of(proc, process)
    # A child with the agent's own command line has been forked, but has not called exec yet.
    mains = [str(process) for process, parent in agents.items() if parent not in agents]
    if len(mains) > 1:
        text = f"{len(mains)} agents of vmtpy run (processes {', '.join(mains)})"
        yield Finding("clients", "problem", text, "end all agents but the service")
    elif not rivals:
        yield Finding("clients", "ok", "no other program takes the host's commands")


def parent_of(proc: Path, process: int) -> int:
    """The number of a process's parent; 0 if the process has ended meanwhile."""
    try:
        stat = (proc / str(process) / "stat").read_text("utf-8", "replace")
        return int(stat.rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_agent(command: list[str]) -> bool:
    """Whether a command line is `… vmtpy run …`, and not that of a program that starts it."""
    words = command[:4]
    if "run" not in words or "emulate" in words:
        return False
    before = words[: words.index("run")]
    return bool(before) and Path(before[-1]).name == "vmtpy" and len(before) <= 3


def processes(proc: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Number, name and command line of each process."""
    numbers = sorted(int(entry) for entry in os.listdir(proc) if entry.isdigit())  # noqa: PTH208
    for number in numbers:
        try:
            name = (proc / str(number) / "comm").read_text("utf-8", "replace").strip()
            command = (proc / str(number) / "cmdline").read_text("utf-8", "replace").split("\0")
        except OSError:  # the process has ended meanwhile
            continue
        yield number, name, command


def check_agent(status: dict[str, Any] | None, trouble: str) -> Iterator[Finding]:
    """Checks the running agent.

    Args:
        status: the agent's status; None if no agent answers.
        trouble: why there is no status.
    """
    if status is None:
        remedy = "start the service, or install it by `vmtpy install-service`"
        yield Finding("agent", "problem", trouble, remedy)
        return
    channel = status["channel"]
    if not channel["connected"]:
        why = channel["trouble"] or "the host has not answered yet"
        text = f"the agent runs, but has no channel to the host: {why}"
        remedy = "see the agent's log; `vmtpy rpc 'info-get guestinfo.ip'` tries another channel"
        yield Finding("agent", "problem", text, remedy)
    elif status["refused_configuration"]:
        text = f"the agent refused its new configuration: {status['refused_configuration']}"
        remedy = "correct the configuration, then `systemctl reload vmtpy`"
        yield Finding("agent", "problem", text, remedy)
    elif status["version"] != __version__:
        text = f"the agent runs version {status['version']}, but {__version__} is installed"
        yield Finding("agent", "note", text, "`systemctl restart vmtpy`")
    else:
        yield Finding("agent", "ok", f"process {status['pid']} is connected to the host")
    last = status["last_backup"]
    if last and last["outcome"] != "released":
        text = f"the last backup ended as {last['outcome']}: {last['error']}"
        yield Finding("last backup", "note", text, "see `vmtpy status` and the log")


def check_disks(root: Path) -> Iterator[Finding]:
    """Checks that VMware disks wait long enough for a datastore that pauses.

    A machine without VMware disks has no finding.
    """
    disks = dict(udev.disks(root))
    short = [f"{name} ({seconds} s)" for name, seconds in disks.items() if seconds < udev.SECONDS]
    remedy = "`vmtpy install-service` installs udev rules that set the timeout"
    if short:
        text = (
            f"the SCSI timeout of {', '.join(short)} is below {udev.SECONDS} s; filesystems turn "
            "read-only if the datastore pauses for longer than that"
        )
        yield Finding("disks", "problem", text, remedy)
    elif disks and udev.rules(root) is None:
        text = (
            f"the SCSI timeout is {udev.SECONDS} s now, but no udev rule sets it at the next boot"
        )
        yield Finding("disks", "problem", text, remedy)
    elif disks:
        text = f"{len(disks)} with a SCSI timeout of {min(disks.values())} s or more"
        yield Finding("disks", "ok", text)


def check_selinux(root: Path) -> Iterator[Finding]:
    try:
        enforcing = (root / "sys/fs/selinux/enforce").read_text().strip() == "1"
    except OSError:
        return
    denial = last_denial(root / AUDIT_LOG)
    if denial:
        remedy = "ausearch -m avc -c vmtpy | audit2allow -M vmtpy"
        if enforcing:
            yield Finding("SELinux", "problem", f"SELinux has denied the agent: {denial}", remedy)
        else:
            text = f"SELinux, if it were enforcing, would deny the agent: {denial}"
            yield Finding("SELinux", "note", text, remedy)
    else:
        yield Finding("SELinux", "ok", "enforcing" if enforcing else "permissive")


def last_denial(log: Path) -> str:
    """The last denial of vmtpy in the audit log; "" without a denial or a readable log."""
    try:
        with log.open("rb") as opened:
            opened.seek(max(0, log.stat().st_size - AUDIT_TAIL))
            lines = opened.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    denials = [line for line in lines if "avc:  denied" in line and 'comm="vmtpy' in line]
    return denials[-1].partition("avc:  ")[2] if denials else ""
