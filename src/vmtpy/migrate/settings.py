"""The keys of tools.conf, as of open-vm-tools 12: what each becomes, or why it becomes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtpy.config_edit import in_toml
from vmtpy.migrate import Fate, Outcome, Setting, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy.migrate.tools_conf import Sections

NICS = "the host is told of every network interface that is up, in the kernel's order"
WINDOWS = "it is for Windows only"
TRUE, FALSE = ("true", "1"), ("false", "0")

# Sections of which nothing has a counterpart, whatever their keys.
SECTIONS = {
    "appinfo": "the host is not told which programs run here",
    "autoupgrade": "vmtpy is updated by pip or by what installed it, never by the host",
    "cbhelper": WINDOWS,
    "componentmgr": "vmtpy does not install components, such as Salt, for the host",
    "containerinfo": "the host is not told which containers run here",
    "deployPkg": "vmtpy does not customize guests; cloud-init does, by guestinfo",
    "devicehelper": WINDOWS,
    "globalconf": "vmtpy reads no configuration from the GuestStore",
    "gueststore": "vmtpy does not read the GuestStore",
    "gueststoreupgrade": WINDOWS,
    "resolutionKMS": "vmtpy does not resize screens",
    "servicediscovery": "the host is not told which services run here",
    "setenvironment": "use Environment= in an override of vmtpy.service",
    "unity": WINDOWS,
    "unsetenvironment": "use UnsetEnvironment= in an override of vmtpy.service",
}
# Keys without a counterpart in sections that have one. "": every other key of the section.
KEYS = {
    "guestinfo": {
        "diskinfo-include-reserved": "the space that is told is what df shows",
        "diskinfo-report-device": "devices are always told with the filesystems",
        "disable-perf-mon": "statistics end with [guest_info] enabled = false, like all the rest",
        "disable-query-diskinfo": "disks are always told, or nothing is",
        "enable-stat-logging": "statistics are not logged",
        "exclude-nics": NICS,
        "low-priority-nics": NICS,
        "max-ipv4-routes": "the number of routes is not configurable",
        "max-ipv6-routes": "the number of routes is not configurable",
        "primary-nics": NICS,
        "stats-interval": "statistics are told every 20 s",
    },
    "guestosinfo": {
        "": "the operating system goes by the name that /etc/os-release leads to",
    },
    "logging": {
        "": "the log goes to the journal, or to standard error; see `vmtpy run --log-level`",
    },
    "vmbackup": {
        "enableNullDriver": "there is one way to freeze, and no freeze if the host wants none",
        "enableVSS": WINDOWS,
        "enableXmlManifest": "the host is always offered the manifest",
        "scriptArg": "scripts are given the argument that the host sends, and no other",
        "timeout": "[quiesce] timeout counts from the first freeze, 30 s, and [hooks] timeout for "
        "each script",
        "vss.disableAppQuiescing": WINDOWS,
    },
}
# [powerops] and execScripts are about scripts: scripts.py.
ELSEWHERE = {
    ("powerops", "poweron-script"),
    ("powerops", "poweroff-script"),
    ("powerops", "suspend-script"),
    ("powerops", "resume-script"),
    ("vmbackup", "execScripts"),
}


def translate(sections: Sections, outcome: Outcome) -> None:
    """Adds the fate of each key, and the settings that follow."""
    for section, keys in sections.items():
        for key, value in keys.items():
            if (section, key) in ELSEWHERE:
                continue
            thing = printable(f"[{section}] {key} = {value}")
            rule = RULES.get((section, key))
            made = rule(value, thing) if rule else absent(section, key, thing)
            for one in made:
                if isinstance(one, Setting):
                    outcome.settings.append(one)
                else:
                    outcome.fates.append(one)


Made = list["Fate | Setting"]


def absent(section: str, key: str, thing: str) -> Made:
    known = KEYS.get(section, {})
    note = SECTIONS.get(section) or known.get(key) or known.get("")
    return [
        Fate(
            thing, "", note or "this key is not known to `vmtpy migrate`; see what it was meant for"
        )
    ]


def becomes(table: str, key: str, value: Value, thing: str, note: str = "") -> Made:
    setting = Setting(table, key, value, f"tools.conf {thing}")
    return [setting, Fate(thing, f"[{table}] {key} = {in_toml(value)}", note)]


def printable(text: str) -> str:
    """On one line, without what a terminal or TOML would take for a command."""
    return "".join(one if one.isprintable() else "?" for one in text)


def exclude(value: str, thing: str) -> Made:
    paths = [one.strip() for one in value.split(",") if one.strip()]
    if not paths:
        return [Fate(thing, "", "it excludes nothing")]
    return becomes("quiesce", "exclude", list(paths), thing)


def already_frozen(value: str, thing: str) -> Made:
    if value.strip() in TRUE:
        return becomes("quiesce", "already_frozen", "accept", thing)
    return [Fate(thing, "the default", "")]


def sync_driver(value: str, thing: str) -> Made:
    if value.strip() in FALSE:
        note = (
            "a quiesced snapshot always freezes; take snapshots without quiescing, or list what "
            "must not be frozen in [quiesce] exclude"
        )
        return [Fate(thing, "", note)]
    return [Fate(thing, "the default", "")]


def interval(value: str, thing: str) -> Made:
    try:
        seconds = int(value)
    except ValueError:
        return [Fate(thing, "", "it is no number of seconds; open-vm-tools ignores it, too")]
    if seconds <= 0:
        return becomes("guest_info", "enabled", False, thing, "the host is told the uptime alone")
    kept = min(max(seconds, 1), 3600)
    note = "the longest that vmtpy allows" if kept != seconds else ""
    return becomes("guest_info", "interval", kept, thing, note)


def guest_operations(value: str, thing: str) -> Made:
    if value.strip() in TRUE:
        return [
            Fate(thing, "the default", "vmtpy never runs programs or copies files for the host")
        ]
    return [Fate(thing, "", "vmtpy runs no programs and copies no files for the host")]


def log_level(value: str, thing: str) -> Made:
    levels = {"critical": "error", "message": "info", "none": "error"}
    level = levels.get(value.strip(), value.strip())
    if level in ("error", "warning", "info", "debug"):
        return [Fate(thing, f"vmtpy run --log-level {level}", "an option, not configuration")]
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
