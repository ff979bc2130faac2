"""`vmtpy doctor`: names what would make a quiesced snapshot fail here, each with its remedy.

It is for administrators and monitoring; the checks themselves are in vmtpy.doctor. The exit code is
1 if there is a problem.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmtpy import _core, kernel
from vmtpy._probe import probe
from vmtpy.config import FILE
from vmtpy.doctor import Finding, kernel_features, machine, storage
from vmtpy.in_force import in_force
from vmtpy.parser import Parser
from vmtpy.quiesce import RUN_DIRECTORY
from vmtpy.transport import vsock_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.config import Config

DESCRIPTION = (
    "Lists what would make a quiesced snapshot fail here, each with its remedy, and exits with 0 "
    "only if there is no problem. It freezes, starts and changes nothing."
)
SIGNS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def parser() -> Parser:
    made = Parser(prog="vmtpy doctor", description=DESCRIPTION)
    made.add_argument(
        "--config",
        metavar="FILE",
        help=f"the agent's configuration (default: that of the running agent, or {FILE})",
    )
    made.add_argument("--json", action="store_true", help="print one JSON array")
    return made


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    findings = list(examine(options.config))
    if options.json:
        objects = [
            {field: getattr(finding, field) for field in Finding.__slots__} for finding in findings
        ]
        print(json.dumps(objects, indent=2))
    else:
        show(findings)
    return 1 if any(finding.level == "problem" for finding in findings) else 0


def examine(file: str | None) -> Iterator[Finding]:
    """The findings of all checks on this machine. `file`: as the option --config."""
    proc, root = Path("/proc"), Path("/")
    running = in_force(file)
    config, status = running.config, running.status
    yield from machine.check_configuration(running)
    plan = planner(config)
    probed = probe()
    shut = probed.hypervisor == "VMwareVMware" and not probed
    release = kernel.running()
    yield from machine.check_kernel(release)
    yield from kernel_features.check_features(root, release, config.quiesce.converge)
    yield from machine.check_host(probed, vsock=shut and vsock_answers())
    yield from machine.check_privilege(proc, os.geteuid())
    yield from machine.check_clients(proc)
    yield from machine.check_agent(status, str(running.trouble or ""))
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
    """The absolute path that the running agent was given for an option; "" if it was not given."""
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
    """The files that the agent writes: what each is → its path."""
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


def show(findings: list[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        print(f"{SIGNS[finding.level]:<7}  {finding.check:<{width}}  {finding.text}")
        if finding.remedy:
            print(f"{'':<7}  {'':<{width}}  → {finding.remedy}")
    problems = sum(finding.level == "problem" for finding in findings)
    if problems:
        print(f"{problems} problem{'s' * (problems != 1)}")
    else:
        print("no problem: quiesced snapshots should work here")
