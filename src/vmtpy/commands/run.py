"""`vmtpy run`: the guest agent in the foreground. SIGTERM and SIGINT end it, thawing first; SIGHUP
makes it read its configuration again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING

from vmtpy import _core, kernel, log, notify
from vmtpy.agent import Agent
from vmtpy.config import FILE, Config, find, load
from vmtpy.hooks import legacy
from vmtpy.privilege import may_freeze

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy._core import RunRecord


def main(arguments: list[str]) -> int:
    sys.dont_write_bytecode = True  # a module's cache may lie on what is frozen
    options = parse(arguments)
    kernel.check()
    config = read(options)
    taken = log.to_stderr(log.LEVELS[options.log_level])
    for one in legacy.complaints(config.hooks):
        taken.warning(f"PROBLEM: {one.text}: {one.remedy}")
    if not may_freeze():
        taken.error("this is not root, and may freeze nothing: every snapshot will fail")
    on_record: list[Callable[[RunRecord], None]] = []
    agent = Agent(
        config,
        log=taken,
        on_native_record=lambda record: hand_out(record, on_record, taken),
        notify=notify.from_environment(),
    )
    if options.record:
        on_record.append(lambda record: append_record(options.record, record))
    if not _core.lock_memory():
        taken.debug("memory is not locked: CAP_IPC_LOCK is missing")
    agent.thaw_leftovers()
    drop_privileges(config, taken)  # before there are other threads
    if config.metrics.textfile or config.metrics.listen:
        from vmtpy.metrics import Metrics

        metrics = Metrics(config.metrics, agent.status, taken)
        on_record.append(metrics.record)
        metrics.start()
    from vmtpy.status_socket import served

    def status() -> dict[str, object]:
        return {**agent.status(), "configuration_file": options.file}

    with served(config.status.socket, status, taken):
        agent.run(
            stop_on=(signal.SIGTERM, signal.SIGINT),
            reload_on=(signal.SIGHUP,),
            reload=lambda: reread(options, config, taken),
        )
    return 0


def parser() -> argparse.ArgumentParser:
    # With a width of its own it does not ask shutil for one, which costs 0.5 MiB.
    made = argparse.ArgumentParser(
        prog="vmtpy run",
        description=__doc__,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=98),
    )
    made.add_argument(
        "--config",
        metavar="FILE",
        help=f"configuration in TOML (default: {FILE}, if it is there)",
    )
    made.add_argument(
        "--include",
        metavar="PATH",
        action="append",
        default=[],
        help="keep to this mount point or glob (repeatable; default: all freezable local ones)",
    )
    made.add_argument(
        "--record",
        metavar="FILE",
        help="append the record of each run, a JSON object a line, after its thaw",
    )
    made.add_argument(
        "--log-level",
        choices=log.LEVELS,
        default="info",
        help="the least important lines that are logged (default: %(default)s)",
    )
    return made


def parse(arguments: list[str]) -> argparse.Namespace:
    return parser().parse_args(arguments)


def read(options: argparse.Namespace) -> Config:
    """The configuration as file and command line have it.

    Raises:
        ConfigError: as load().
    """
    options.file = find(options.config)  # it may have come or gone since the last time
    if options.file:
        options.file = os.path.abspath(options.file)  # noqa: PTH100 (pathlib: 0.6 MiB)
    config = load(options.file)
    if options.include:
        quiesce = config.quiesce._replace(include=tuple(options.include))
        config = config._replace(quiesce=quiesce)
    return config


def reread(options: argparse.Namespace, first: Config, taken: log.Log) -> Config:
    """The configuration as it is now; what was given up for the first is not to be had again."""
    config = read(options)
    if config.hooks.entry_points and not first.hooks.entry_points:
        taken.warning("entry points get few capabilities: all of them only from the next start on")
    return config


def drop_privileges(config: Config, taken: log.Log) -> None:
    """Gives up what the agent does not need; see ARCHITECTURE.md, "Privileges"."""
    _core.confine_process()
    if config.hooks.entry_points:  # others' code, which runs in threads of this one
        taken.debug("Python keeps its capabilities: [hooks] entry_points is set")
        return
    _core.take_role(_core.Role.MAIN)
    taken.debug(f"capabilities of the main thread: {_core.effective_capabilities()}")


def hand_out(record: RunRecord, takers: list[Callable[[RunRecord], None]], taken: log.Log) -> None:
    """Gives a record to all who want it; one that fails does not cost the others theirs."""
    for take in takers:
        try:
            take(record)
        except OSError as error:
            taken.error(f"the record is lost: {error}")


def append_record(file: str, record: RunRecord) -> None:
    import json

    from vmtpy.record import as_dict

    with open(file, "a", encoding="utf-8") as lines:  # noqa: PTH123 (pathlib: 0.6 MiB)
        lines.write(json.dumps(as_dict(record)) + "\n")
