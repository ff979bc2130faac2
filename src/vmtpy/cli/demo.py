"""`vmtpy demo`: a quiesced snapshot, proved on this machine.

It makes a disk, starts programs that write to it, and runs the agent under the emulated host. The
host asks for a quiesced snapshot as ESXi does, and copies the disk between commit and snapshotDone.
Then the copy is checked. The demo needs root, loop devices and ptrace; without them it holds the
same conversation over a simulated disk.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vmtpy.demo import disk
from vmtpy.demo.play import Scene, missing, play
from vmtpy.demo.simulate import simulate
from vmtpy.demo.terminal import Terminal
from vmtpy.parser import Parser

if TYPE_CHECKING:
    from vmtpy.demo.result import DemoResult

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SMALLEST = {"ext4": 128 << 20, "xfs": 320 << 20, "btrfs": 160 << 20}


def size_of(text: str) -> int:
    """ "10G" → bytes. Raises ArgumentTypeError."""
    match = re.fullmatch(r"(\d+)([KMGT]?)i?B?", text, re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write for example 1G or 512M")
    return int(match[1]) * UNITS[match[2].upper()]


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    terminal = Terminal(sys.stderr if options.json else sys.stdout)
    # SIGTERM and the end of the terminal run the same clean-up as Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    disk.find_programs()
    lacking = missing(options.fs, options.store)
    if lacking:
        simulated = terminal.styled("bold", "simulated")
        terminal.print(
            f"The demo cannot use a real disk: this machine lacks {'; '.join(lacking)}.\n"
            f"It holds the same conversation over a {simulated} disk in this process; "
            "nothing real is frozen.\n"
        )
        result = simulate()
    else:
        disk.check_space(options.store, options.size)
        scene = Scene(options.size, options.fs, options.store, options.deleted_open)
        with terminal.progress() as progress:
            result = play(scene, progress)
    if options.json:
        print(json.dumps(result.as_dict()))
    else:
        tell(terminal, result)
    return 0 if result.passed else 1


def parser() -> Parser:
    made = Parser(
        prog="vmtpy demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--size",
        type=size_of,
        default=1 << 30,
        help="the size of the disk, a tenth of which is filled (default: 1G)",
    )
    made.add_argument(
        "--fs", choices=sorted(SMALLEST), default="ext4", help="the filesystem (default: ext4)"
    )
    made.add_argument(
        "--store",
        type=Path,
        default=Path(tempfile.gettempdir()),
        metavar="DIR",
        help="the directory for the disk and its copy; on XFS or btrfs the copy is a reflink",
    )
    made.add_argument(
        "--deleted-open",
        action="store_true",
        help="keep a deleted file open during the snapshot",
    )
    made.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    return made


def parse(arguments: list[str]) -> argparse.Namespace:
    made = parser()
    options = made.parse_args(arguments)
    if options.size < SMALLEST[options.fs]:
        made.error(f"--size: {options.fs} needs at least {SMALLEST[options.fs] >> 20}M")
    if not options.store.is_dir():
        made.error(f"--store: {options.store} is not a directory")
    return options


def tell(terminal: Terminal, result: DemoResult) -> None:
    """Prints the timeline, the longest wait and the verdict."""
    start = result.moments[0].time
    rows = [
        (f"{(moment.time - start) * 1e3:.1f}", moment.name, moment.note)
        for moment in result.moments
    ]
    times = max(len(time) for time, _, _ in rows)
    names = max(len(name) for _, name, _ in rows)
    terminal.print(terminal.styled("bold", f"{'ms':>{times}}"))
    for time, name, note in rows:
        terminal.print(f"{time:>{times}}  {name:<{names}}  {terminal.styled('dim', note)}")
    beyond = max(0.0, result.longest_wait - result.snapshot)
    terminal.print(
        f"\nLongest wait of any write: {result.longest_wait * 1e3:.1f} ms "
        f"(the host's snapshot took {result.snapshot * 1e3:.1f} ms of it, the guest "
        f"{beyond * 1e3:.1f} ms)\n"
    )
    for good, sentence in result.findings:
        terminal.print(f"{terminal.mark(good)} {sentence}")
    terminal.print(f"\n{terminal.styled('bold', verdict(result))}")


def verdict(result: DemoResult) -> str:
    """The last line of the demo."""
    if result.simulated:
        right = "The conversation is right, on a simulated disk."
        return right if result.passed else "The simulated snapshot failed."
    if result.passed:
        return "The snapshot is clean and complete."
    return "The snapshot is not clean and complete; the lines marked above say why."
