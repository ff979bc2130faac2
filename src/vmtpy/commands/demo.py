"""`vmtpy demo`: a quiesced snapshot, proved on this machine.

Makes a disk, puts writers on it, runs the agent under the emulated host, which asks for a quiesced
snapshot as ESXi does and copies the disk between commit and snapshotDone; then checks the copy.
Needs root, loop devices and ptrace; without them the same conversation is held over a simulated
disk.
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

if TYPE_CHECKING:
    from vmtpy.demo.story import Story

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SMALLEST = {"ext4": 128 << 20, "xfs": 320 << 20, "btrfs": 160 << 20}


def size_of(text: str) -> int:
    """ "10G" → bytes. Raises ArgumentTypeError."""
    match = re.fullmatch(r"(\d+)([KMGT]?)i?B?", text, re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 1G or 512M")
    return int(match[1]) * UNITS[match[2].upper()]


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    terminal = Terminal(sys.stderr if options.json else sys.stdout)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: everything is taken away
    disk.find_programs()
    lacking = missing(options.fs, options.store)
    if lacking:
        simulated = terminal.styled("bold", "simulated")
        terminal.print(
            f"No real disk here: this machine lacks {'; '.join(lacking)}.\n"
            f"The same conversation follows over a {simulated} disk, in this process: "
            "nothing real is frozen.\n"
        )
        story = simulate()
    else:
        disk.check_space(options.store, options.size)
        scene = Scene(options.size, options.fs, options.store, options.deleted_open)
        with terminal.progress() as progress:
            story = play(scene, progress)
    if options.json:
        print(json.dumps(story.as_dict()))
    else:
        tell(terminal, story)
    return 0 if story.passed else 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="vmtpy demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--size", type=size_of, default=1 << 30, help="of the disk (1G); a tenth is filled"
    )
    made.add_argument("--fs", choices=sorted(SMALLEST), default="ext4", help="ext4 by default")
    made.add_argument(
        "--store",
        type=Path,
        default=Path(tempfile.gettempdir()),
        metavar="DIR",
        help="where the disk and its copy go; on XFS or btrfs the copy is a reflink",
    )
    made.add_argument(
        "--deleted-open", action="store_true", help="keep a deleted file open meanwhile"
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return made


def parse(arguments: list[str]) -> argparse.Namespace:
    made = parser()
    options = made.parse_args(arguments)
    if options.size < SMALLEST[options.fs]:
        made.error(f"--size: {options.fs} needs at least {SMALLEST[options.fs] >> 20}M")
    if not options.store.is_dir():
        made.error(f"--store: {options.store} is no directory")
    return options


def tell(terminal: Terminal, story: Story) -> None:
    """The timeline, the longest wait, the verdict."""
    start = story.moments[0].time
    rows = [(f"{(one.time - start) * 1e3:.1f}", one.name, one.note) for one in story.moments]
    times = max(len(time) for time, _, _ in rows)
    names = max(len(name) for _, name, _ in rows)
    terminal.print(terminal.styled("bold", f"{'ms':>{times}}"))
    for time, name, note in rows:
        terminal.print(f"{time:>{times}}  {name:<{names}}  {terminal.styled('dim', note)}")
    beyond = max(0.0, story.longest_wait - story.snapshot)
    terminal.print(
        f"\nLongest wait of any write: {story.longest_wait * 1e3:.1f} ms "
        f"(the host's snapshot took {story.snapshot * 1e3:.1f} ms of it, the guest "
        f"{beyond * 1e3:.1f} ms)\n"
    )
    for good, sentence in story.findings:
        terminal.print(f"{terminal.mark(good)} {sentence}")
    terminal.print(f"\n{terminal.styled('bold', verdict(story))}")


def verdict(story: Story) -> str:
    """The last line."""
    if story.simulated:
        right = "The conversation is right, on a simulated disk."
        return right if story.passed else "It failed."
    if story.passed:
        return "The snapshot is clean and complete."
    return "The snapshot is not what it should be."
