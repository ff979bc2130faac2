"""open-vm-tools' places for scripts, and which scripts there nobody would run any more.

`vmtpy run` looks at its start and `vmtpy doctor` whenever it is asked: backups of a machine whose
scripts have silently stopped are no longer consistent. Without pathlib, for the agent's sake.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from vmtpy import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.config import HooksConfig

# services/plugins/vmbackup/scriptOps.c
PRE_FREEZE = "/usr/sbin/pre-freeze-script"
POST_THAW = "/usr/sbin/post-thaw-script"
BACKUP_SCRIPTS = "/etc/vmware-tools/backupScripts.d"
TOOLS_CONF = "/etc/vmware-tools/tools.conf"

REMEDY = (
    "set [hooks] legacy = true, link them into the hooks directory, or remove them; "
    "`vmtpy migrate` writes the configuration"
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


def complaint(scripts: list[str]) -> str:
    """One sentence about scripts of not_run()."""
    names = ", ".join(scripts[:5]) + (", …" if len(scripts) > 5 else "")
    return f"snapshots are taken without these scripts, which open-vm-tools runs: {names}"


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

    try:
        text = files.read_text(f"{root}{TOOLS_CONF}")
    except OSError:
        return False
    return not tools_conf.boolean(tools_conf.parse(text), "vmbackup", "execScripts", default=True)
