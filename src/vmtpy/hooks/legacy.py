"""Finds scripts in open-vm-tools' directories that no program runs after the change to vmtpy.

`vmtpy run` reports them at its start, and `vmtpy doctor` whenever it runs, because a machine whose
scripts no longer run has backups that are not consistent. To save the agent's memory this module
does not use pathlib.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.config import HooksConfig

# services/plugins/vmbackup/scriptOps.c
PRE_FREEZE = "/usr/sbin/pre-freeze-script"
POST_THAW = "/usr/sbin/post-thaw-script"
BACKUP_SCRIPTS = "/etc/vmware-tools/backupScripts.d"
DIRECTORY = "/etc/vmware-tools"
TOOLS_CONF = f"{DIRECTORY}/tools.conf"
NETWORK = "network"  # in scripts/vmware; open-vm-tools' own, which acts only at suspend and resume
OPERATIONS = ("poweron", "poweroff", "suspend", "resume")
POWER_HOOKS = "/etc/vmtpy/power.d"
MOST_TEXT = 65536  # bytes of a script that are searched


class Complaint(NamedTuple):
    """Scripts that no program runs.

    Attributes:
        check: the name of the doctor's check.
        text: one sentence that names the scripts.
        remedy: what to do about them.
    """

    check: str
    text: str
    remedy: str


def complaints(hooks: HooksConfig, root: str = "") -> Iterator[Complaint]:
    """The complaints about this configuration on this machine."""
    if scripts := not_run(hooks, root):
        yield Complaint(
            "hooks",
            f"snapshots do not run these scripts, which open-vm-tools runs: {_names(scripts)}",
            "set [hooks] legacy = true (`vmtpy migrate` does), link the scripts into the hooks "
            "directory, or remove them",
        )
    if scripts := power_not_run(root):
        yield Complaint(
            "power",
            f"power operations do not run these scripts, which open-vm-tools runs: "
            f"{_names(scripts)}",
            f"run the scripts from a program in {POWER_HOOKS} (`vmtpy migrate` writes one), or "
            "remove them",
        )


def backup_scripts(root: str = "") -> list[str]:
    """The scripts that open-vm-tools runs around a snapshot, in its order.

    Args:
        root: the machine's root directory, without a final slash.
    """
    return [script for script in _candidates(root) if is_program(f"{root}{script}")]


def not_run(hooks: HooksConfig, root: str = "") -> list[str]:
    """The scripts that open-vm-tools would run around a snapshot and this configuration does not.

    A script to which a link in the hooks directory leads does run. With `execScripts = false` in
    tools.conf open-vm-tools does not run scripts either.
    """
    if hooks.legacy:
        return []
    scripts = backup_scripts(root)
    if not scripts or _switched_off(root):
        return []
    run = {os.path.realpath(entry) for entry in _entries(f"{root}{hooks.directory}")}
    return [script for script in scripts if os.path.realpath(f"{root}{script}") not in run]


def power_scripts(root: str = "") -> list[str]:
    """The administrator's scripts that open-vm-tools runs at power operations.

    Default scripts that were edited are not among them; `vmtpy migrate` reports those.
    """
    found = []
    named = _tools_conf(root).get("powerops", {})
    for operation in OPERATIONS:
        default = f"{operation}-vm-default"
        script = named.get(f"{operation}-script", default).strip()
        if script == default:
            found += default_scripts(root, operation)
        elif script:
            path = script if script.startswith("/") else f"{DIRECTORY}/{script}"
            found += [path] if is_program(f"{root}{path}") else []
    return list(dict.fromkeys(found))


def default_scripts(root: str, operation: str) -> list[str]:
    """The scripts that open-vm-tools' default script for an operation runs, in its order, except
    open-vm-tools' own `network`.
    """
    theirs = f"{root}{DIRECTORY}/scripts/vmware"
    own = [entry for entry in _entries(theirs) if entry != f"{theirs}/{NETWORK}"]
    added = _entries(f"{root}{DIRECTORY}/scripts/{operation}-vm-default.d")
    ordered = [*own, *added] if operation in ("poweron", "resume") else [*added, *own]
    return [entry[len(root) :] for entry in ordered if is_program(entry)]


def power_not_run(root: str = "") -> list[str]:
    """Those of power_scripts() that no program in /etc/vmtpy/power.d is or names."""
    found = power_scripts(root)
    hooks = (
        [entry for entry in _entries(f"{root}{POWER_HOOKS}") if is_program(entry)] if found else []
    )
    run = {os.path.realpath(hook) for hook in hooks}
    text = "\n".join(map(_text, hooks))
    return [
        script
        for script in found
        if script not in text and os.path.realpath(f"{root}{script}") not in run
    ]


def _text(hook: str) -> str:
    """Of a script; "" for what is too large to be one, or may not be read."""
    try:
        if Path(hook).stat().st_size > MOST_TEXT:
            return ""
        return Path(hook).read_text("utf-8", "surrogateescape")  # as paths are decoded
    except OSError:
        return ""


def _names(scripts: list[str]) -> str:
    return ", ".join(scripts[:5]) + (", …" if len(scripts) > 5 else "")


def is_program(path: str) -> bool:
    """Whether this is a regular file that may be executed."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _candidates(root: str) -> Iterator[str]:
    yield from (PRE_FREEZE, POST_THAW)
    yield from (entry[len(root) :] for entry in _entries(f"{root}{BACKUP_SCRIPTS}"))


def _entries(directory: str) -> list[str]:
    try:
        return [f"{directory}/{entry}" for entry in sorted(os.listdir(directory))]  # noqa: PTH208
    except OSError:
        return []


def _switched_off(root: str) -> bool:
    from vmtpy.migrate import tools_conf

    return not tools_conf.boolean(_tools_conf(root), "vmbackup", "execScripts", default=True)


def _tools_conf(root: str) -> dict[str, dict[str, str]]:
    try:
        text = Path(f"{root}{TOOLS_CONF}").read_text("utf-8", "replace")
    except OSError:
        return {}
    from vmtpy.migrate import tools_conf

    try:
        return tools_conf.parse(text)
    except tools_conf.ToolsConfError:  # open-vm-tools has its defaults, too
        return {}
