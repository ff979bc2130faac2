"""`python -m benchmarks`: vmtpy against its peers. See README.md in this directory."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from benchmarks import disks, native, plot, readme, report, runner
from benchmarks.contenders import freezers, vmtpy_before
from benchmarks.scenarios import scenarios

HERE = Path(__file__).parent


def parse(arguments: list[str]) -> argparse.Namespace:
    known = scenarios()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures vmtpy against open-vm-tools and others, with medians over the runs.",
        epilog="\n".join(f"{name:<10} {one.TITLE}" for name, one in known.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help="by default all, in this order"
    )
    parser.add_argument("-n", "--runs", type=int, default=11, help="of each contender (11)")
    parser.add_argument(
        "--out", type=Path, default=HERE / "results", metavar="DIR", help="for JSON files and plots"
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="for disk images, by default memory; slow_file: a disk",
    )
    parser.add_argument(
        "--more", action="store_true", help="keep the runs in --out, and add what lacks of them"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="begin no run after so many minutes"
    )
    parser.add_argument(
        "--before", type=Path, metavar="TREE", help="measure vmtpy of another built tree as well"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CONTENDER",
        help="leave out all others (repeatable)",
    )
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out all other cases (repeatable)",
    )
    parser.add_argument(
        "--show", action="store_true", help="measure nothing; tables and plots of what is in --out"
    )
    parser.add_argument(
        "--readme", action="store_true", help="write what is in --out into benchmarks/README.md"
    )
    options = parser.parse_args(arguments)
    for name in options.scenarios:
        if name not in known:
            parser.error(f"there is no scenario {name!r}; there are {', '.join(known)}")
    if options.runs < 1:
        parser.error("-n: at least 1")
    options.scenarios = options.scenarios or list(known)
    options.ends = time.monotonic() + 60 * options.minutes
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    if options.before:
        os.environ[vmtpy_before.TREE] = str(options.before.resolve())
    console = Console()
    if not options.show:
        lacking = disks.missing() or native.missing()
        if lacking:
            console.print(f"The benchmarks need {lacking}.", style="red")
            return 1
        announce(console)
    if not find_spec("matplotlib"):
        console.print("Without plots: matplotlib is not installed (pip install '.[bench]').")
    options.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in options.scenarios:
        made = shown(options.out, name) if options.show else measured(console, options, name)
        if made is None:
            continue
        report.show(console, made, scenarios()[name])
        if find_spec("matplotlib"):
            plot.draw(made, scenarios()[name], options.out)
        failed = failed or any(result.failures for result in made.results)
    if options.readme:
        readme.write(options.out)
    return 1 if failed else 0


def announce(console: Console) -> None:
    """Prints which peers are not installed, and whether the machine is busy."""
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load > processors / 2:
        console.print(f"This machine is busy (load {load:.1f}): no time is to be trusted.")
    for name, contender in freezers().items():
        if contender.missing():
            console.print(f"Without {name}: this machine lacks {contender.missing()}.")


def shown(directory: Path, name: str) -> runner.Report | None:
    """The saved results of a scenario; None if there are none."""
    path = directory / f"{name}.json"
    return runner.Report.load(path) if path.exists() else None


def measured(console: Console, options: argparse.Namespace, name: str) -> runner.Report:
    """Measures a scenario and saves the results."""
    scenario = scenarios()[name]
    store = options.store or Path(getattr(scenario, "STORE", "/dev/shm"))
    only, cases = tuple(options.only), tuple(options.case)
    order = runner.Order(options.runs, store, cases, only, options.ends)
    former = shown(options.out, name) if options.more else None
    with console.status("") as status:

        def progress(text: str) -> None:
            status.update(f"{name}: {escape(text)}")

        made = runner.run(scenario, order, progress, options.out, former)
    console.print(f"{made.save(options.out)}", style="dim")
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
