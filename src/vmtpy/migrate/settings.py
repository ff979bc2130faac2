"""Translates the keys of tools.conf, as of open-vm-tools 12, or says why a key has no counterpart.

It serves `vmtpy migrate` and `vmtpy-toolbox-cmd config`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmtpy.config import PATHS
from vmtpy.config_edit import in_toml
from vmtpy.migrate import Fate, Outcome, Setting, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy.migrate.tools_conf import Sections

NICS = (
    "vmtpy reports the interfaces that have a driver and those that stand on them, the one with "
    "the default route first, and no veth or bridge of containers"
)
WINDOWS = "the key is only for Windows"
TRUE, FALSE = ("true", "1"), ("false", "0")

# Sections none of whose keys have a counterpart.
SECTIONS = {
    "appinfo": "vmtpy does not report which programs run here",
    "autoupgrade": "vmtpy is updated by the tool that installed it, such as pip, never by the host",
    "cbhelper": WINDOWS,
    "componentmgr": "vmtpy does not install components, such as Salt, for the host",
    "containerinfo": "vmtpy does not report which containers run here",
    "deployPkg": "vmtpy does not customize guests; cloud-init does, with data from guestinfo",
    "devicehelper": WINDOWS,
    "globalconf": "vmtpy reads no configuration from the GuestStore",
    "gueststore": "vmtpy does not read the GuestStore",
    "gueststoreupgrade": WINDOWS,
    "resolutionKMS": "vmtpy does not resize screens",
    "servicediscovery": "vmtpy does not report which services run here",
    "setenvironment": "use Environment= in an override of vmtpy.service",
    "unity": WINDOWS,
    "unsetenvironment": "use UnsetEnvironment= in an override of vmtpy.service",
}
# Keys without a counterpart in other sections. The key "" stands for all other keys of a section.
KEYS = {
    "guestinfo": {
        "diskinfo-include-reserved": "vmtpy reports the free space that df shows",
        "diskinfo-report-device": "vmtpy always reports the devices of filesystems",
        "disable-perf-mon": "only [guest_info] enabled = false stops statistics, with all reports",
        "disable-query-diskinfo": "only [guest_info] enabled = false stops disks, with all reports",
        "enable-stat-logging": "vmtpy does not log statistics",
        "exclude-nics": NICS,
        "low-priority-nics": NICS,
        "max-ipv4-routes": "the number of routes is not configurable",
        "max-ipv6-routes": "the number of routes is not configurable",
        "primary-nics": NICS,
        "stats-interval": "vmtpy reports statistics every 20 s",
    },
    "guestosinfo": {
        "": "vmtpy derives the name of the operating system from /etc/os-release",
    },
    "logging": {
        "": "the log goes to the journal, or to standard error; see `vmtpy run --log-level`",
    },
    "vmbackup": {
        "enableNullDriver": "vmtpy has one way to freeze, and does not freeze if the host says so",
        "enableVSS": WINDOWS,
        "enableXmlManifest": "vmtpy always offers the manifest to the host",
        "scriptArg": "scripts get only the argument that the host sends",
        "timeout": "[quiesce] timeout limits the time from the first freeze (30 s), and [hooks] "
        "timeout the time of each script",
        "vss.disableAppQuiescing": WINDOWS,
    },
}
# Keys about scripts, which scripts.py translates.
ELSEWHERE = {
    ("powerops", "poweron-script"),
    ("powerops", "poweroff-script"),
    ("powerops", "suspend-script"),
    ("powerops", "resume-script"),
    ("vmbackup", "execScripts"),
}


def translate(sections: Sections, outcome: Outcome) -> None:
    """Adds the fate of each key, and the settings that it becomes."""
    for section, keys in sections.items():
        for key, value in keys.items():
            if (section, key) in ELSEWHERE:
                continue
            thing = printable(f"[{section}] {key} = {value}")
            rule = RULES.get((section, key))
            made = rule(value, thing) if rule else absent(section, key, thing)
            for result in made:
                if isinstance(result, Setting):
                    outcome.settings.append(result)
                else:
                    outcome.fates.append(result)


Made = list["Fate | Setting"]


def absent(section: str, key: str, thing: str) -> Made:
    known = KEYS.get(section, {})
    note = SECTIONS.get(section) or known.get(key) or known.get("")
    return [Fate(thing, "", note or "`vmtpy migrate` does not know this key; check its purpose")]


def becomes(table: str, key: str, value: Value, thing: str, note: str = "") -> Made:
    setting = Setting(table, key, value, f"tools.conf {thing}")
    return [setting, Fate(thing, f"[{table}] {key} = {in_toml(value)}", note)]


def printable(text: str) -> str:
    """The text without control characters and line breaks, which become question marks."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def exclude(value: str, thing: str) -> Made:
    given = [path.strip() for path in value.split(",") if path.strip()]
    if not given:
        return [Fate(thing, "", "the list is empty")]
    paths = [path for path in given if re.fullmatch(PATHS.pattern, path)]
    vain = [printable(path) for path in given if path not in paths]
    note = (
        f"these begin without a slash, so they match no mount point: {', '.join(vain)}"
        if vain
        else ""
    )
    return (
        becomes("quiesce", "exclude", list(paths), thing, note)
        if paths
        else [Fate(thing, "", note)]
    )


def already_frozen(value: str, thing: str) -> Made:
    if value.strip() in TRUE:
        return becomes("quiesce", "already_frozen", "accept", thing)
    return [Fate(thing, "the default", "")]


def sync_driver(value: str, thing: str) -> Made:
    if value.strip() in FALSE:
        note = (
            "a quiesced snapshot always freezes: take snapshots without quiescing, or list the "
            "filesystems not to freeze in [quiesce] exclude"
        )
        return [Fate(thing, "", note)]
    return [Fate(thing, "the default", "")]


def interval(value: str, thing: str) -> Made:
    try:
        seconds = int(value)
    except ValueError:
        note = "the value is not a number of seconds, and open-vm-tools ignores it, too"
        return [Fate(thing, "", note)]
    if seconds <= 0:
        return becomes("guest_info", "enabled", False, thing, "vmtpy then reports only the uptime")
    kept = min(max(seconds, 1), 3600)
    note = "this is the longest interval that vmtpy allows" if kept != seconds else ""
    return becomes("guest_info", "interval", kept, thing, note)


def guest_operations(value: str, thing: str) -> Made:
    if value.strip() in TRUE:
        note = "vmtpy never runs programs or copies files for the host"
        return [Fate(thing, "the default", note)]
    return [Fate(thing, "", "vmtpy does not run programs or copy files for the host")]


def log_level(value: str, thing: str) -> Made:
    levels = {"critical": "error", "message": "info", "none": "error"}
    level = levels.get(value.strip(), value.strip())
    if level in ("error", "warning", "info", "debug"):
        note = "this is an option of the command line, not a key of the configuration"
        return [Fate(thing, f"vmtpy run --log-level {level}", note)]
    return absent("logging", "", thing)


RULES: dict[tuple[str, str], Callable[[str, str], Made]] = {
    ("vmbackup", "excludedFileSystems"): exclude,
    ("vmbackup", "ignoreFrozenFileSystems"): already_frozen,
    ("vmbackup", "enableSyncDriver"): sync_driver,
    ("guestinfo", "poll-interval"): interval,
    ("guestoperations", "disabled"): guest_operations,
    ("guestoperations", "useVGAuth"): lambda _, thing: guest_operations("", thing),
    ("logging", "vmsvc.level"): log_level,
}
