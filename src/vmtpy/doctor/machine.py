"""Checks of the machine and of the agent that should run on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmtpy import __version__, kernel, udev
from vmtpy.doctor import Finding
from vmtpy.errors import KernelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy._probe import Probe
    from vmtpy.in_force import InForce

# During a backup the agent has a child with the same command line, which thaws if the agent dies.
GUARDIAN = "vmtpy-guardian"
# Programs that also poll the host for commands, by /proc/PID/comm.
CLIENTS = {
    "vmtoolsd": "systemctl disable --now open-vm-tools vmtoolsd",
    "vmware-guestd": "/etc/init.d/vmware-tools stop, and uninstall VMware Tools",
}
SYS_ADMIN = 21  # capabilities(7), by number
AUDIT_LOG = Path("var/log/audit/audit.log")
AUDIT_TAIL = 1 << 20


def check_configuration(running: InForce) -> Iterator[Finding]:
    """The file, and where the running agent has something else than it."""
    if running.error is not None:
        text, remedy = str(running.error), "correct it; the agent will not start"
        yield Finding("configuration", "problem", text, remedy)
    else:
        yield Finding("configuration", "ok", running.file or "the defaults")
    for key in running.differing:
        values = ", ".join(getattr(running.config.quiesce, key)) or "nothing"
        text = f"the running agent has another `{key}` than {running.file or 'the defaults'}"
        remedy = "if it was not started with --include: `systemctl reload vmtpy`"
        yield Finding("configuration", "note", f"{text}: {values}", remedy)


def check_kernel(release: str) -> Iterator[Finding]:
    if trouble := kernel.trouble_of(release):
        yield Finding("kernel", "problem", trouble, KernelError.hint)
    else:
        yield Finding("kernel", "ok", f"Linux {release}")


def check_host(found: Probe, *, vsock: bool = False) -> Iterator[Finding]:
    """`vsock`: the host listens there, although VMware's backdoor does not serve."""
    if vsock:
        text = f"VMware is reached over vsock alone: {found.reason}"
        yield Finding("host", "note", text, found.remedy)
        return
    if not found:
        yield Finding("host", "problem", found.reason, found.remedy)
        return
    way = f" by {found.way}" if found.way else ""
    text = f"VMware {found.product} answers{way}".replace("  ", " ")
    if found.encrypted:
        text += f"; the memory is encrypted ({found.encrypted}): low bandwidth alone"
    yield Finding("host", "ok", text)


def check_privilege(proc: Path, user: int) -> Iterator[Finding]:
    text = (proc / "self" / "status").read_text()
    bits = int(text.partition("CapEff:")[2].split()[0], 16)
    if user != 0 or not bits >> SYS_ADMIN & 1:
        what = "not root" if user else "root without CAP_SYS_ADMIN, as in a container"
        remedy = "run it as root in the virtual machine itself; only CAP_SYS_ADMIN may freeze"
        yield Finding("privilege", "problem", f"this is {what}", remedy)
    else:
        yield Finding("privilege", "ok", "root, and may freeze")


def check_clients(proc: Path) -> Iterator[Finding]:
    """Commands of the host go to one client: with two, each hears half of a conversation."""
    agents: dict[int, int] = {}
    rivals = False
    for process, name, command in processes(proc):
        if name in CLIENTS:
            rivals = True
            text = f"{name} (process {process}) answers the host, too: a snapshot may be its"
            yield Finding("clients", "problem", text, CLIENTS[name])
        elif name != GUARDIAN and is_agent(command):
            agents[process] = parent_of(proc, process)
    # A child that has its parent's command line has not become another program yet.
    grown = [str(process) for process, parent in agents.items() if parent not in agents]
    if len(grown) > 1:
        text = f"{len(grown)} agents of vmtpy run (processes {', '.join(grown)})"
        yield Finding("clients", "problem", text, "end all but the service")
    elif not rivals:
        yield Finding("clients", "ok", "nobody else answers the host")


def parent_of(proc: Path, process: int) -> int:
    """0 if it has ended meanwhile."""
    try:
        return int((proc / str(process) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_agent(command: list[str]) -> bool:
    """Whether a command line is `… vmtpy run …` itself, not a program that starts it."""
    words = command[:4]
    if "run" not in words or "emulate" in words:
        return False
    before = words[: words.index("run")]
    return bool(before) and Path(before[-1]).name == "vmtpy" and len(before) <= 3


def processes(proc: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Number, name and command line of each process."""
    for entry in sorted(int(one) for one in os.listdir(proc) if one.isdigit()):  # noqa: PTH208
        try:
            name = (proc / str(entry) / "comm").read_text("utf-8", "replace").strip()
            command = (proc / str(entry) / "cmdline").read_text("utf-8", "replace").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        yield entry, name, command


def check_agent(status: dict[str, Any] | None, trouble: str) -> Iterator[Finding]:
    """`status`: of the running agent, None with the reason in `trouble` if it cannot be had."""
    if status is None:
        yield Finding("agent", "problem", trouble, "`vmtpy install-service`, or start the service")
        return
    channel = status["channel"]
    if not channel["connected"]:
        why = channel["trouble"] or "it has not answered yet"
        text = f"the agent runs, but has no channel to the host: {why}"
        remedy = "see its log; `vmtpy rpc 'info-get guestinfo.ip'` tries a channel of its own"
        yield Finding("agent", "problem", text, remedy)
    elif status["refused_configuration"]:
        text = f"its new configuration was refused: {status['refused_configuration']}"
        yield Finding("agent", "problem", text, "correct it, then `systemctl reload vmtpy`")
    elif status["version"] != __version__:
        text = f"it is still version {status['version']}, installed is {__version__}"
        yield Finding("agent", "note", text, "`systemctl restart vmtpy`")
    else:
        yield Finding("agent", "ok", f"process {status['pid']} is connected to the host")
    last = status["last_backup"]
    if last and last["outcome"] != "released":
        text = f"the last one ended as {last['outcome']}: {last['error']}"
        yield Finding("last backup", "note", text, "see `vmtpy status` and the log")


def check_disks(root: Path) -> Iterator[Finding]:
    """VMware disks must outlast a datastore that stands still; nothing where there are none."""
    disks = dict(udev.disks(root))
    hasty = [f"{name} ({seconds} s)" for name, seconds in disks.items() if seconds < udev.SECONDS]
    remedy = "`vmtpy install-service` installs the rules for udev that set it"
    if hasty:
        text = (
            f"requests fail before {udev.SECONDS} s: {', '.join(hasty)}; filesystems turn "
            "read-only if the datastore stands still for that long"
        )
        yield Finding("disks", "problem", text, remedy)
    elif disks and udev.rules(root) is None:
        text = f"they have {udev.SECONDS} s for a request, but no rule sees to it at the next boot"
        yield Finding("disks", "problem", text, remedy)
    elif disks:
        yield Finding("disks", "ok", f"{len(disks)} with {min(disks.values())} s for a request")


def check_selinux(root: Path) -> Iterator[Finding]:
    try:
        enforcing = (root / "sys/fs/selinux/enforce").read_text().strip() == "1"
    except OSError:
        return
    denial = last_denial(root / AUDIT_LOG)
    if denial:
        remedy = "ausearch -m avc -c vmtpy | audit2allow -M vmtpy"
        if enforcing:
            yield Finding("SELinux", "problem", f"it has denied the agent: {denial}", remedy)
        else:
            yield Finding("SELinux", "note", f"it would deny the agent: {denial}", remedy)
    else:
        yield Finding("SELinux", "ok", "enforcing" if enforcing else "permissive")


def last_denial(log: Path) -> str:
    """The last denial of ours in the audit log, "" if there is none or it cannot be read."""
    try:
        with log.open("rb") as opened:
            opened.seek(max(0, log.stat().st_size - AUDIT_TAIL))
            lines = opened.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    ours = [one for one in lines if "avc:  denied" in one and 'comm="vmtpy' in one]
    return ours[-1].partition("avc:  ")[2] if ours else ""
