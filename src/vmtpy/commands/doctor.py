"""`vmtpy doctor`: what would keep a quiesced snapshot from working here, each with its remedy."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmtpy import _core, kernel
from vmtpy._probe import probe
from vmtpy.config import FILE
from vmtpy.doctor import Finding, machine, storage
from vmtpy.in_force import in_force
from vmtpy.quiesce import RUN_DIRECTORY
from vmtpy.transport import vsock_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.config import Config

DESCRIPTION = (
    "Tells what would keep a quiesced snapshot from working here, each with its remedy. Exit 0 "
    "only if nothing would. Freezes, starts and changes nothing."
)
SIGNS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="vmtpy doctor", description=DESCRIPTION)
    made.add_argument(
        "--config",
        metavar="FILE",
        help=f"configuration of the agent (default: the running agent's, or {FILE})",
    )
    made.add_argument("--json", action="store_true", help="one JSON array")
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    found = list(examine(options.config))
    if options.json:
        fields = Finding.__slots__
        print(json.dumps([{one: getattr(each, one) for one in fields} for each in found], indent=2))
    else:
        show(found)
    return 1 if any(one.level == "problem" for one in found) else 0


def examine(file: str | None) -> Iterator[Finding]:
    """All checks on this machine."""
    proc, root = Path("/proc"), Path("/")
    running = in_force(file)
    config, status = running.config, running.status
    yield from machine.check_configuration(running)
    plan = planner(config)
    found = probe()
    shut = found.hypervisor == "VMwareVMware" and not found
    yield from machine.check_kernel(kernel.running())
    yield from machine.check_host(found, vsock=shut and vsock_answers())
    yield from machine.check_privilege(proc, os.geteuid())
    yield from machine.check_clients(proc)
    yield from machine.check_agent(status, running.trouble)
    yield from machine.check_selinux(root)
    yield from machine.check_disks(root)
    yield from storage.check_plan(plan)
    yield from storage.check_own_files(plan, own_files(config, proc, status))
    expected = bool(status and status["backup_state"] != "idle")
    yield from storage.check_frozen(Path(RUN_DIRECTORY), proc, expected=expected)
    yield from storage.check_hooks(config)


def planner(config: Config) -> storage.Planner:
    request = _core.PlanRequest(include=config.quiesce.include, exclude=config.quiesce.exclude)
    return lambda: _core.make_plan(request)


def argument(proc: Path, status: dict[str, Any] | None, option: str) -> str:
    """The file that the running agent was given for an option, an absolute path; "" if none."""
    if status is None:
        return ""
    here = proc / str(status["pid"])
    try:
        words = (here / "cmdline").read_text("utf-8", "replace").split("\0")
        value = words[words.index(option) + 1]
        return str((here / "cwd").readlink() / value)
    except (OSError, ValueError, IndexError):
        return ""


def own_files(config: Config, proc: Path, status: dict[str, Any] | None) -> dict[str, str]:
    """What the agent writes, by what it is."""
    files = {"the marker in": RUN_DIRECTORY}
    if config.metrics.textfile:
        files["the metrics in"] = config.metrics.textfile
    if record := argument(proc, status, "--record"):
        files["the record"] = record
    if status is not None:
        try:
            log = str((proc / str(status["pid"]) / "fd/2").readlink())  # or "socket:[1]"
        except OSError:
            log = ""
        if log.startswith("/") and Path(log).is_file():  # not a terminal
            files["the log"] = log
    return files


def show(found: list[Finding]) -> None:
    width = max(len(one.check) for one in found)
    for one in found:
        print(f"{SIGNS[one.level]:<7}  {one.check:<{width}}  {one.text}")
        if one.remedy:
            print(f"{'':<7}  {'':<{width}}  → {one.remedy}")
    problems = sum(one.level == "problem" for one in found)
    if problems:
        print(f"{problems} problem{'s' * (problems != 1)}")
    else:
        print("nothing would keep a quiesced snapshot from working here")
