"""`vmtpy status`: asks the running agent how it is; answered also while everything is frozen."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from vmtpy.config import StatusConfig
from vmtpy.status_socket import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

# What was left out because somebody wanted that, and how much of the rest is named.
WANTED = ("excluded", "not_included", "not_requested")
MOST_NAMED = 5


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="vmtpy status", description=__doc__)
    made.add_argument(
        "--socket",
        metavar="PATH",
        default=StatusConfig().socket,
        help="of the agent: [status] socket of its configuration (default: %(default)s)",
    )
    made.add_argument("--json", action="store_true", help="one JSON object")
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    status = ask(options.socket)
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        width = max(len(name) for name, _ in lines(status))
        for name, text in lines(status):
            print(f"{name:<{width}}  {text}")
    return 0


def lines(status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What people want to know, by name."""
    yield "agent", f"vmtpy {status['version']}, process {status['pid']}, {span(status['uptime'])}"
    host = status["host"]
    hardware = host["hardware_version"]
    version = f", hardware version {hardware}" if hardware else ""
    yield "host", f"{host['product'] or 'VMware'}{version}"
    yield "channel", channel(status)
    tools = status["tools_version"]
    yield "announced", f"tools version {tools}" if status["announced"] else "not yet"
    difference = status["time_difference"]
    if difference is not None:
        word = "ahead of" if difference > 0 else "behind"
        yield "clock", f"{abs(difference) * 1000:.0f} ms {word} the host's"
    yield "filesystems", freeze(status)
    if (stuck := status["python_stuck_for"]) is not None:
        yield "Python", f"is stuck since {span(stuck)}: backups are refused until it answers"
    counts = ", ".join(f"{count} {name}" for name, count in status["backups"].items() if count)
    yield "backups", counts or "none yet"
    if last := status["last_backup"]:
        yield "last backup", backup(last)
    if last and (missed := [one for one in last["left_out"] if one["cause"] not in WANTED]):
        names = [f"{one['path']} ({one['type']})" for one in missed[:MOST_NAMED]]
        more = f" and {len(missed) - MOST_NAMED} more" if len(missed) > MOST_NAMED else ""
        yield "not in it", f"{', '.join(names)}{more}: writable, but cannot be frozen"
    yield "configuration", configuration(status)
    if status["refused_configuration"]:
        yield "", f"the new one was refused: {status['refused_configuration']}"


def configuration(status: dict[str, Any]) -> str:
    """The file, and what is kept to."""
    text = status.get("configuration_file") or "the defaults"
    for key in ("include", "exclude"):
        if status[key]:
            text += f", {key} {', '.join(status[key])}"
    return text


def channel(status: dict[str, Any]) -> str:
    found = status["channel"]
    if found["last_poll"] is None:
        return f"not connected: {found['trouble'] or 'not tried yet'}"
    state = "connected" if found["connected"] else f"NOT CONNECTED ({found['trouble']})"
    resets = f", {found['resets']} resets" if found["resets"] else ""
    way = f"{status['transport']} ({status['transport_reason']})"
    return f"{way}, {state}, last answer {span(found['last_poll'])} ago{resets}"


def freeze(status: dict[str, Any]) -> str:
    if status["frozen"]:
        return f"FROZEN since {status['frozen_for']:.3f} s ({status['backup_state']})"
    if status["backup_state"] != "idle":
        return f"not frozen; a snapshot is {status['backup_state']}"
    return "not frozen"


def backup(record: dict[str, Any]) -> str:
    """A record in a line."""
    import time

    when = ""
    if record["started_unix_ns"]:
        begun = time.localtime(record["started_unix_ns"] / 1e9)
        when = time.strftime("%Y-%m-%d %H:%M:%S ", begun)
    if record["outcome"] == "released":
        held = (record["all_thawed"] - record["first_freeze"]) * 1000
        return f"{when}quiesced, {len(record['filesystems'])} filesystems held for {held:.1f} ms"
    return f"{when}{record['outcome']}: {record['error']}"


def span(seconds: float) -> str:
    """A duration for people: "3 d 4 h", "2.5 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
