"""`vmtpy run`: the guest agent in the foreground. SIGTERM and SIGINT end it, thawing first."""

from __future__ import annotations

import argparse
import signal
from dataclasses import replace

from vmtpy.agent import Agent
from vmtpy.config import Config, load


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="vmtpy run", description=__doc__)
    parser.add_argument("--config", metavar="FILE", help="configuration in TOML")
    parser.add_argument(
        "--include",
        metavar="PATH",
        action="append",
        default=[],
        help="keep to this mount point or glob (repeatable; default: all freezable local ones)",
    )
    options = parser.parse_args(arguments)
    config = load(options.config) if options.config else Config()
    if options.include:
        quiesce = replace(config.quiesce, include=tuple(options.include))
        config = replace(config, quiesce=quiesce)
    Agent(config).run(stop_on=(signal.SIGTERM, signal.SIGINT))
    return 0
