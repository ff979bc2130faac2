"""`vmtpy run`: the guest agent in the foreground. SIGTERM and SIGINT end it, thawing first."""

from __future__ import annotations

import argparse
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.agent import Agent
from vmtpy.config import Config, load

if TYPE_CHECKING:
    from vmtpy._core import RunRecord


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
    parser.add_argument(
        "--record",
        metavar="FILE",
        type=Path,
        help="append the record of each run, a JSON object a line, after its thaw",
    )
    options = parser.parse_args(arguments)
    config = load(options.config) if options.config else Config()
    if options.include:
        quiesce = replace(config.quiesce, include=tuple(options.include))
        config = replace(config, quiesce=quiesce)
    on_record = partial(append_record, options.record) if options.record else None
    Agent(config, on_record=on_record).run(stop_on=(signal.SIGTERM, signal.SIGINT))
    return 0


def append_record(file: Path, record: RunRecord) -> None:
    import json

    from vmtpy.record import as_dict

    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(as_dict(record)) + "\n")
