"""`vmtpy run`: runs the guest agent in the foreground. At SIGTERM and SIGINT the agent thaws all
filesystems and ends; at SIGHUP it reads its configuration again.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy import _core, kernel, log, service_manager
from vmtpy.agent import Agent
from vmtpy.config import FILE, Config, find, load
from vmtpy.hooks import legacy
from vmtpy.parser import Parser
from vmtpy.root import may_freeze

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmtpy._core import RunRecord

STOP_ON, RELOAD_ON = (signal.SIGTERM, signal.SIGINT), (signal.SIGHUP,)


def main(arguments: list[str]) -> int:
    sys.dont_write_bytecode = True  # __pycache__ may lie on a frozen filesystem
    options = parse(arguments)
    unblock_signals()
    kernel.check()
    config = read(options)
    logger = log.to_stderr(log.LEVELS[options.log_level])
    for complaint in legacy.complaints(config.hooks):
        logger.warning(f"PROBLEM: {complaint.text}: {complaint.remedy}")
    if not may_freeze():
        logger.error(
            "this process is not root and cannot freeze, so every quiesced snapshot will fail: "
            "run it as root"
        )
    on_record: list[Callable[[RunRecord], None]] = []
    agent = Agent(
        config,
        log=logger,
        on_native_record=lambda record: hand_out(record, on_record, logger),
        service_manager=service_manager.from_environment(),
    )
    if options.record:
        on_record.append(lambda record: append_record(options.record, record))
    if not _core.lock_memory():
        logger.debug("the agent's memory is not locked: CAP_IPC_LOCK is missing")
    agent.thaw_leftovers()
    drop_privileges(config, logger)  # before other threads start: capabilities are a thread's own
    if config.metrics.textfile or config.metrics.listen:
        from vmtpy.metrics import Metrics

        metrics = Metrics(config.metrics, agent.status, logger)
        on_record.append(metrics.record)
        metrics.start()
    from vmtpy.status_socket import served

    def status() -> dict[str, object]:
        return {**agent.status(), "configuration_file": options.file}

    with served(config.status.socket, status, logger):
        agent.run(
            stop_on=STOP_ON,
            reload_on=RELOAD_ON,
            reload=lambda: reread(options, config, logger),
        )
    return 0


def parser() -> Parser:
    # A fixed width keeps argparse from importing shutil, which costs 0.5 MiB.
    made = Parser(
        prog="vmtpy run",
        description=__doc__,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=98),
    )
    made.add_argument(
        "--config",
        metavar="FILE",
        help=f"the configuration, a TOML file (default: {FILE}, if it exists)",
    )
    made.add_argument(
        "--include",
        metavar="PATH",
        action="append",
        default=[],
        help="freeze only mount points that match this path or glob (repeatable; default: all "
        "local filesystems that can be frozen)",
    )
    made.add_argument(
        "--record",
        metavar="FILE",
        help="append the record of each backup to FILE, one JSON object a line, after its thaw",
    )
    made.add_argument(
        "--log-level",
        choices=log.LEVELS,
        default="info",
        help="log messages of this level and above (default: %(default)s)",
    )
    return made


def parse(arguments: list[str]) -> argparse.Namespace:
    return parser().parse_args(arguments)


def read(options: argparse.Namespace) -> Config:
    """The configuration from the file and the command line. Sets `options.file`.

    Raises:
        ConfigError: load() refuses the file.
    """
    options.file = find(options.config)  # at a reload the file may be new, or gone
    if options.file:
        options.file = str(Path(options.file).absolute())
    config = load(options.file)
    if options.include:
        quiesce = config.quiesce._replace(include=tuple(options.include))
        config = config._replace(quiesce=quiesce)
    return config


def reread(options: argparse.Namespace, first: Config, logger: log.Log) -> Config:
    """The configuration at a reload. `first`: the one at the start.

    A running agent cannot get back the capabilities that it gave up under the first configuration.
    """
    config = read(options)
    if config.hooks.entry_points and not first.hooks.entry_points:
        logger.warning(
            "[hooks] entry_points was set after the start, so their hooks have few capabilities: "
            "restart the agent to give them all"
        )
    return config


def unblock_signals() -> None:
    """Lets the agent's signals arrive although its parent has blocked them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*STOP_ON, *RELOAD_ON))


def drop_privileges(config: Config, logger: log.Log) -> None:
    """Gives up the capabilities that the agent does not need; ARCHITECTURE.md, "Privileges"."""
    _core.confine_process()
    if config.hooks.entry_points:  # others' code runs in Python's threads and may need them
        logger.debug("Python keeps its capabilities: [hooks] entry_points is set")
        return
    _core.take_role(_core.Role.MAIN)
    logger.debug(f"capabilities of the main thread: {_core.effective_capabilities()}")


def hand_out(
    record: RunRecord, receivers: list[Callable[[RunRecord], None]], logger: log.Log
) -> None:
    """Calls each receiver with a record. The failure of a receiver does not stop the others."""
    for receive in receivers:
        try:
            receive(record)
        except OSError as error:
            logger.error(f"the record of a backup could not be written: {error}")


def append_record(file: str, record: RunRecord) -> None:
    import json

    from vmtpy.record import as_dict

    with Path(file).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(as_dict(record)) + "\n")
