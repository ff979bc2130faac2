"""The scripts that open-vm-tools runs: around snapshots and at power operations.

Those around snapshots are run in place, with [hooks] legacy. For power operations one program in
/etc/vmtpy/power.d calls what open-vm-tools would have called.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.hooks import legacy
from vmtpy.hooks.legacy import DIRECTORY
from vmtpy.hooks.trust import distrust
from vmtpy.migrate import Fate, Outcome, Setting, tools_conf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.migrate.tools_conf import Sections

POWER_HOOK = f"{legacy.POWER_HOOKS}/50-open-vm-tools"
# Operation of open-vm-tools → the names by which vmtpy calls power hooks.
OPERATIONS = {
    "poweron": "poweron",
    "poweroff": "halt|reboot",
    "suspend": "suspend",
    "resume": "resume",
}
# The lines of open-vm-tools' own *-vm-default that are code. It runs what is in
# scripts/*-vm-default.d, and scripts/vmware/network, which acts at suspend and resume only.
DEFAULT_SCRIPTS = {"aaa22bf1fa46299795fde79011127697f5dd3ea56707df63d553decdb315fdaa"}
TIMEOUT = 600  # seconds: open-vm-tools has no limit for one script, this is vmtpy's highest
NETWORK = f"{DIRECTORY}/scripts/vmware/{legacy.NETWORK}"


def backup_scripts(root: str, sections: Sections, outcome: Outcome) -> None:
    """The fate of pre-freeze-script, post-thaw-script and backupScripts.d."""
    found = legacy.backup_scripts(root)
    wanted = tools_conf.boolean(sections, "vmbackup", "execScripts", default=True)
    told = sections.get("vmbackup", {}).get("execScripts")
    if told is not None:
        thing = f"[vmbackup] execScripts = {told}"
        outcome.fates.append(Fate(thing, "[hooks] legacy = " + ("true" if wanted else "false")))
    for path in dict.fromkeys((*found, *_all(root, legacy.BACKUP_SCRIPTS))):
        if path not in found:
            note = "it is not executable: open-vm-tools fails on it, vmtpy passes over it"
            outcome.fates.append(Fate(path, "", note))
        elif wanted:
            note = _trouble(f"{root}{path}")
            outcome.fates.append(Fate(path, "[hooks] legacy = true", note))
        else:
            outcome.fates.append(
                Fate(path, "", "execScripts = false: open-vm-tools does not run it")
            )
    if found and wanted:
        origin = "open-vm-tools' scripts run where they are"
        outcome.settings.append(Setting("hooks", "legacy", True, origin))
        origin = "open-vm-tools has no limit for a script; lower it once you know what they take"
        outcome.settings.append(Setting("hooks", "timeout", TIMEOUT, origin))


def power_scripts(root: str, sections: Sections, outcome: Outcome) -> None:
    """The fate of the scripts for power operations, and the hook that calls them."""
    cases = []
    for operation, hook in OPERATIONS.items():
        commands = list(_commands(root, operation, sections, outcome))
        if commands:
            lines = "".join(f"    run {shlex.join(one)}\n" for one in commands)
            cases.append(f"{hook})\n{lines}    ;;\n")
    if Path(f"{root}{NETWORK}").exists():
        note = "open-vm-tools stops the network at suspend and starts it at resume; vmtpy leaves it"
        outcome.fates.append(Fate(NETWORK, "", note))
    if cases:
        outcome.power_hook = HOOK.format(cases="".join(cases))


HOOK = """\
#!/bin/sh
# Runs the power scripts of open-vm-tools, as its vmtoolsd would. Written by `vmtpy migrate`.
status=0
run() {{
    if [ -x "$1" ]; then "$@" || status=$?; else echo "$1 is not there any more"; fi
}}
case $1 in
{cases}esac
exit $status
"""


def _commands(
    root: str, operation: str, sections: Sections, outcome: Outcome
) -> Iterator[list[str]]:
    """What open-vm-tools would run for an operation, without its own default script."""
    key = f"{operation}-script"
    told = sections.get("powerops", {}).get(key)
    default = f"{DIRECTORY}/{operation}-vm-default"
    path = default if told is None else told.strip()
    if told == "":
        outcome.fates.append(Fate(f"[powerops] {key} =", "the default", "no script is run"))
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
        thing = path if told is None else f"[powerops] {key} = {told}"
        outcome.fates.append(Fate(thing, POWER_HOOK, _trouble(here)))
        yield [path]
    elif told is not None:
        note = f"{path} is not there or not executable"
        outcome.fates.append(Fate(f"[powerops] {key} = {told}", "", note))


def _is_default(path: str) -> bool:
    """Whether a script is the one that open-vm-tools ships, or is not there at all."""
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    code = [one.strip() for one in lines if one.strip() and not one.strip().startswith("#")]
    text = "".join(f"{one}\n" for one in code)
    return hashlib.sha256(text.encode()).hexdigest() in DEFAULT_SCRIPTS


def _all(root: str, directory: str) -> list[str]:
    try:
        names = sorted(one.name for one in Path(f"{root}{directory}").iterdir() if one.is_file())
    except OSError:
        return []
    return [f"{directory}/{one}" for one in names]


def _trouble(path: str) -> str:
    """Why vmtpy would refuse a script, and what to do; "" if it would not."""
    try:
        reason = distrust(path)
    except OSError as error:
        reason = str(error.strerror)
    return f"careful: vmtpy refuses it, for {reason}; chown root, chmod go-w" if reason else ""
