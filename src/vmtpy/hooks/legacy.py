"""open-vm-tools' places for scripts, and which scripts there nobody would run any more.

`vmtpy run` looks at its start and `vmtpy doctor` whenever it is asked: backups of a machine whose
scripts have silently stopped are no longer consistent. Without pathlib, for the agent's sake.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from vmtpy import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.config import HooksConfig

# services/plugins/vmbackup/scriptOps.c
PRE_FREEZE = "/usr/sbin/pre-freeze-script"
POST_THAW = "/usr/sbin/post-thaw-script"
BACKUP_SCRIPTS = "/etc/vmware-tools/backupScripts.d"
DIRECTORY = "/etc/vmware-tools"
TOOLS_CONF = f"{DIRECTORY}/tools.conf"
NETWORK = "network"  # in scripts/vmware; acts at suspend and resume only
OPERATIONS = ("poweron", "poweroff", "suspend", "resume")
POWER_HOOKS = "/etc/vmtpy/power.d"
MOST_TEXT = 65536  # bytes of a script that are looked through


class Complaint(NamedTuple):
    """Scripts that are not run.

    Attributes:
        check: a word for the doctor.
        text: one sentence that names them.
        remedy: what to do.
    """

    check: str
    text: str
    remedy: str


def complaints(hooks: HooksConfig, root: str = "") -> Iterator[Complaint]:
    """What is wrong with this configuration on this machine."""
    if found := not_run(hooks, root):
        yield Complaint(
            "hooks",
            f"snapshots are taken without scripts that open-vm-tools runs: {_names(found)}",
            "set [hooks] legacy = true, link them into the hooks directory, or remove them; "
            "`vmtpy migrate` writes the configuration",
        )
    if found := power_not_run(root):
        yield Complaint(
            "power",
            f"power operations pass over scripts that open-vm-tools runs: {_names(found)}",
            f"call them from {POWER_HOOKS}, as `vmtpy migrate` has it done, or remove them",
        )


def backup_scripts(root: str = "") -> list[str]:
    """The scripts that open-vm-tools runs around a snapshot, in its order.

    Args:
        root: where the machine's root directory is, without a final slash.
    """
    return [one for one in _candidates(root) if is_program(f"{root}{one}")]


def not_run(hooks: HooksConfig, root: str = "") -> list[str]:
    """The scripts that open-vm-tools would run around a snapshot and this configuration does not.

    What a link in the hooks directory leads to is run. With `execScripts = false` in tools.conf
    open-vm-tools runs none either.
    """
    if hooks.legacy:
        return []
    found = backup_scripts(root)
    if not found or _switched_off(root):
        return []
    run = {os.path.realpath(one) for one in _entries(f"{root}{hooks.directory}")}
    return [one for one in found if os.path.realpath(f"{root}{one}") not in run]


def power_scripts(root: str = "") -> list[str]:
    """The scripts of the administrator that open-vm-tools runs at power operations.

    An edited default script is none here: `vmtpy migrate` alone looks into these.
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
    """What open-vm-tools' default script for an operation runs, in its order; without its own
    `network`.
    """
    theirs = f"{root}{DIRECTORY}/scripts/vmware"
    own = [one for one in _entries(theirs) if one != f"{theirs}/{NETWORK}"]
    added = _entries(f"{root}{DIRECTORY}/scripts/{operation}-vm-default.d")
    found = [*own, *added] if operation in ("poweron", "resume") else [*added, *own]
    return [one[len(root) :] for one in found if is_program(one)]


def power_not_run(root: str = "") -> list[str]:
    """Those of power_scripts() that no program in /etc/vmtpy/power.d is or names."""
    found = power_scripts(root)
    hooks = [one for one in _entries(f"{root}{POWER_HOOKS}") if is_program(one)] if found else []
    run = {os.path.realpath(one) for one in hooks}
    text = "\n".join(map(_text, hooks))
    return [one for one in found if one not in text and os.path.realpath(f"{root}{one}") not in run]


def _text(hook: str) -> str:
    """Of a script; "" for what is too large to be one, or may not be read."""
    try:
        if os.stat(hook).st_size > MOST_TEXT:  # noqa: PTH116
            return ""
        return files.read_text(hook)
    except OSError:
        return ""


def _names(scripts: list[str]) -> str:
    return ", ".join(scripts[:5]) + (", …" if len(scripts) > 5 else "")


def is_program(path: str) -> bool:
    """Whether this is a regular file that may be executed."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (pathlib: 0.6 MiB)
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _candidates(root: str) -> Iterator[str]:
    yield from (PRE_FREEZE, POST_THAW)
    yield from (one[len(root) :] for one in _entries(f"{root}{BACKUP_SCRIPTS}"))


def _entries(directory: str) -> list[str]:
    try:
        return [f"{directory}/{one}" for one in sorted(os.listdir(directory))]  # noqa: PTH208
    except OSError:
        return []


def _switched_off(root: str) -> bool:
    from vmtpy.migrate import tools_conf

    return not tools_conf.boolean(_tools_conf(root), "vmbackup", "execScripts", default=True)


def _tools_conf(root: str) -> dict[str, dict[str, str]]:
    try:
        text = files.read_text(f"{root}{TOOLS_CONF}")
    except OSError:
        return {}
    from vmtpy.migrate import tools_conf

    try:
        return tools_conf.parse(text)
    except tools_conf.ToolsConfError:  # open-vm-tools has its defaults, too
        return {}
