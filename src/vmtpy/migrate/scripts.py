"""Finds the scripts that open-vm-tools runs around snapshots and at power operations.

It serves `vmtpy migrate`. With [hooks] legacy vmtpy runs the scripts for snapshots where they are.
For power operations one program in /etc/vmtpy/power.d runs the scripts that open-vm-tools would
run.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.hooks import legacy
from vmtpy.hooks.directory import why_not
from vmtpy.hooks.legacy import DIRECTORY
from vmtpy.hooks.trust import distrust
from vmtpy.migrate import Fate, Outcome, Setting, tools_conf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.migrate.tools_conf import Sections

POWER_HOOK = f"{legacy.POWER_HOOKS}/50-open-vm-tools"
# An operation of open-vm-tools → the arguments with which vmtpy calls power hooks for it.
OPERATIONS = {
    "poweron": "poweron",
    "poweroff": "halt|reboot",
    "suspend": "suspend",
    "resume": "resume",
}
# SHA-256 of the code lines of open-vm-tools' own *-vm-default. That script runs the scripts in
# scripts/*-vm-default.d, and scripts/vmware/network, which acts only at suspend and resume.
DEFAULT_SCRIPTS = {
    "aaa22bf1fa46299795fde79011127697f5dd3ea56707df63d553decdb315fdaa",  # 12.2
    "08e82b439d3bdf2a1e499eb4f59c33a151ede628c40ba0cbc8c35d245309bcfd",  # 12.5 and 13.0
}
TIMEOUT = 600  # seconds; open-vm-tools has no limit for a script, and this is vmtpy's highest
NETWORK = f"{DIRECTORY}/scripts/vmware/{legacy.NETWORK}"


def backup_scripts(root: str, sections: Sections, outcome: Outcome) -> None:
    """Adds the fates of pre-freeze-script, post-thaw-script and backupScripts.d."""
    scripts = legacy.backup_scripts(root)
    wanted = tools_conf.boolean(sections, "vmbackup", "execScripts", default=True)
    written = sections.get("vmbackup", {}).get("execScripts")
    if written is not None:
        thing = f"[vmbackup] execScripts = {written}"
        outcome.fates.append(Fate(thing, "[hooks] legacy = " + ("true" if wanted else "false")))
    pair = [
        path for path in (legacy.PRE_FREEZE, legacy.POST_THAW) if Path(f"{root}{path}").is_file()
    ]
    for path in dict.fromkeys((*pair, *scripts, *_all(root, legacy.BACKUP_SCRIPTS))):
        if path not in scripts:
            note = "the file is not executable: open-vm-tools fails on it, vmtpy skips it"
            if path in pair:
                note = (
                    "the file is not executable: open-vm-tools fails on it, and so does vmtpy with "
                    "[hooks] legacy = true"
                )
            outcome.fates.append(Fate(path, "", note))
        elif wanted and (reason := _skipped(root, path)):
            note = f"open-vm-tools runs it, vmtpy skips it ({reason}): rename it if it is to run"
            outcome.fates.append(Fate(path, "", note))
        elif wanted:
            note = _trouble(f"{root}{path}")
            outcome.fates.append(Fate(path, "[hooks] legacy = true", note))
        else:
            outcome.fates.append(
                Fate(path, "", "with execScripts = false open-vm-tools does not run it either")
            )
    if scripts and wanted:
        origin = "vmtpy runs open-vm-tools' scripts where they are"
        outcome.settings.append(Setting("hooks", "legacy", True, origin))
        origin = "open-vm-tools has no limit; lower this when you know how long the scripts take"
        outcome.settings.append(Setting("hooks", "timeout", TIMEOUT, origin))


def _skipped(root: str, path: str) -> str:
    """Why vmtpy takes a script in backupScripts.d for no hook; "" if it runs the script."""
    in_directory = path.startswith(f"{legacy.BACKUP_SCRIPTS}/")
    return why_not(Path(f"{root}{path}")) if in_directory else ""


def power_scripts(root: str, sections: Sections, outcome: Outcome) -> None:
    """Adds the fates of the scripts for power operations, and the hook that runs them."""
    cases = []
    for operation, hook in OPERATIONS.items():
        commands = list(_commands(root, operation, sections, outcome))
        if commands:
            lines = "".join(f"    run {shlex.join(words)}\n" for words in commands)
            cases.append(f"{hook})\n{lines}    ;;\n")
    if Path(f"{root}{NETWORK}").exists():
        note = (
            "open-vm-tools stops the network at suspend and starts it at resume; vmtpy leaves the "
            "network as it is"
        )
        outcome.fates.append(Fate(NETWORK, "", note))
    if cases:
        outcome.power_hook = HOOK.format(cases="".join(cases))


HOOK = """\
#!/bin/sh
# Runs the power scripts of open-vm-tools, as its vmtoolsd would. Written by `vmtpy migrate`.
status=0
run() {{
    if [ -x "$1" ]; then "$@" || status=$?; else echo "$1 does not exist any more"; fi
}}
case $1 in
{cases}esac
exit $status
"""


def _commands(
    root: str, operation: str, sections: Sections, outcome: Outcome
) -> Iterator[list[str]]:
    """The commands that open-vm-tools would run for an operation, without its default script."""
    key = f"{operation}-script"
    written = sections.get("powerops", {}).get(key)
    default = f"{DIRECTORY}/{operation}-vm-default"
    path = default if written is None else written.strip()
    if written == "":
        outcome.fates.append(Fate(f"[powerops] {key} =", "the default", "no script runs"))
        return
    if not path.startswith("/"):
        path = f"{DIRECTORY}/{path}"
    here = f"{root}{path}"
    if path == default and _is_default(here):
        for script in legacy.default_scripts(root, operation):
            fate = Fate(script, POWER_HOOK, _trouble(f"{root}{script}"))
            if fate not in outcome.fates:
                outcome.fates.append(fate)
            yield [script, f"{operation}-vm"]
    elif legacy.is_program(here):
        thing = path if written is None else f"[powerops] {key} = {written}"
        outcome.fates.append(Fate(thing, POWER_HOOK, _trouble(here)))
        yield [path]
    elif written is not None:
        note = f"{path} does not exist or is not executable"
        outcome.fates.append(Fate(f"[powerops] {key} = {written}", "", note))


def _is_default(path: str) -> bool:
    """Whether a script is the one that open-vm-tools ships, or does not exist."""
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    code = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    text = "".join(f"{line}\n" for line in code)
    return hashlib.sha256(text.encode()).hexdigest() in DEFAULT_SCRIPTS


def _all(root: str, directory: str) -> list[str]:
    try:
        files = [file for file in Path(f"{root}{directory}").iterdir() if file.is_file()]
    except OSError:
        return []
    return sorted(f"{directory}/{file.name}" for file in files)


def _trouble(path: str) -> str:
    """Why vmtpy would refuse a script, and what to do; "" if it would not."""
    try:
        reason = distrust(path)
    except OSError as error:
        reason = str(error.strerror)
    return f"vmtpy refuses to run it: {reason}; `chown root` and `chmod go-w` it" if reason else ""
