"""`vmtpy status`: shows the state of the running agent.

The agent also answers while filesystems are frozen. This module asks over the agent's socket
(status_socket.py) and relies on the dictionary that agent_status.py makes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vmtpy.config import StatusConfig
from vmtpy.parser import Parser
from vmtpy.status_socket import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

# Causes by which a user or the host left a filesystem out on purpose.
WANTED = ("excluded", "not_included", "not_requested")
MOST_NAMED = 5  # filesystems that the line "not in it" names
DESCRIPTION = (
    "Shows the state of the running agent: host, channel, backups, and what is frozen. The agent "
    "also answers while filesystems are frozen."
)


def parser() -> Parser:
    made = Parser(prog="vmtpy status", description=DESCRIPTION)
    made.add_argument(
        "--socket",
        metavar="PATH",
        default=StatusConfig().socket,
        help="the agent's socket, [status] socket of its configuration (default: %(default)s)",
    )
    made.add_argument("--json", action="store_true", help="print one JSON object")
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
    """The lines for people: a name and a text."""
    yield "agent", f"vmtpy {status['version']}, process {status['pid']}, {span(status['uptime'])}"
    host = status["host"]
    hardware = host["hardware_version"]
    version = f", hardware version {hardware}" if hardware else ""
    yield "host", f"{host['product'] or 'VMware'}{version}"
    yield "channel", channel(status)
    tools = status["tools_version"]
    yield "announced", f"as tools version {tools}" if status["announced"] else "not yet"
    difference = status["time_difference"]
    if difference is not None:
        word = "ahead of" if difference > 0 else "behind"
        yield "clock", f"{abs(difference) * 1000:.0f} ms {word} the host's clock"
    yield "filesystems", freeze(status)
    if (stuck := status["python_stuck_for"]) is not None:
        yield (
            "Python",
            f"has not answered for {span(stuck)}; backups are refused until it does "
            "(`systemctl restart vmtpy`)",
        )
    counts = ", ".join(f"{count} {name}" for name, count in status["backups"].items() if count)
    yield "backups", counts or "none yet"
    if last := status["last_backup"]:
        yield "last backup", backup(last)
    if last and (missed := [left for left in last["left_out"] if left["cause"] not in WANTED]):
        names = [f"{left['path']} ({left['type']})" for left in missed[:MOST_NAMED]]
        more = f" and {len(missed) - MOST_NAMED} more" if len(missed) > MOST_NAMED else ""
        yield "not in it", f"{', '.join(names)}{more}: writable, but cannot be frozen"
    yield "configuration", configuration(status)
    if status["refused_configuration"]:
        yield "", f"the new configuration was refused: {status['refused_configuration']}"


def configuration(status: dict[str, Any]) -> str:
    """The configuration file, the includes and the excludes."""
    text = status.get("configuration_file") or "the defaults"
    for key in ("include", "exclude"):
        if status[key]:
            text += f", {key} {', '.join(status[key])}"
    return text


def channel(status: dict[str, Any]) -> str:
    facts = status["channel"]
    if facts["last_poll"] is None:
        return f"not connected: {facts['trouble'] or 'the agent has not tried yet'}"
    state = "connected" if facts["connected"] else f"NOT CONNECTED ({facts['trouble']})"
    resets = f", resets: {facts['resets']}" if facts["resets"] else ""
    way = f"{status['transport']} ({status['transport_reason']})"
    return f"{way}, {state}, last answer {span(facts['last_poll'])} ago{resets}"


def freeze(status: dict[str, Any]) -> str:
    if status["frozen"] and status["backup_state"] == "idle":
        return f"FROZEN for {status['frozen_for']:.0f} s: an earlier freeze or thaw does not end"
    if status["frozen"]:
        return f"FROZEN for {status['frozen_for']:.3f} s ({status['backup_state']})"
    if status["backup_state"] != "idle":
        return f"not frozen; a snapshot is {status['backup_state']}"
    return "not frozen"


def backup(record: dict[str, Any]) -> str:
    """A record in one line."""
    import time

    when = ""
    if record["started_unix_ns"]:
        begun = time.localtime(record["started_unix_ns"] / 1e9)
        when = time.strftime("%Y-%m-%d %H:%M:%S ", begun)
    if record["outcome"] == "released" and not record["filesystems"]:
        return f"{when}nothing was frozen, as the host asked"
    if record["outcome"] == "released":
        held = (record["all_thawed"] - record["first_freeze"]) * 1000
        count = len(record["filesystems"])
        what = f"{count} filesystem{'s were' if count > 1 else ' was'}"
        return f"{when}quiesced: {what} frozen for {held:.1f} ms"
    return f"{when}{record['outcome']}: {record['error']}"


def span(seconds: float) -> str:
    """A duration in at most two units: "3 d 4 h", "2.5 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
