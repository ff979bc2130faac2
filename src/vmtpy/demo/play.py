"""The demo on a real disk: makes the disk, plays the host, lets the agent freeze, and checks the
copy.

The agent is a normal `vmtpy run`, in its own process under the ptrace host. It may freeze only the
demo's mount, and does not run this machine's hooks.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmtpy import _core, _host
from vmtpy.demo import disk, writers
from vmtpy.demo.result import PERIODS, DemoResult
from vmtpy.errors import VmtError
from vmtpy.host.esxi import Esxi
from vmtpy.host.listener import Listener
from vmtpy.host.script import BackupRequest, BackupResult

if TYPE_CHECKING:
    from vmtpy.host.verdict import Verdict

# Seconds of writing before the host asks for its snapshot, and after the snapshot.
BEFORE, AFTER = 1.0, 0.5


@dataclass(frozen=True, slots=True)
class Scene:
    """The options of the demo.

    Attributes:
        size: the size of the disk in bytes; a tenth of it is filled with data.
        fs: "ext4", "xfs" or "btrfs".
        store: the directory for the disk and its copy.
        deleted_open: whether to keep a deleted file open during the snapshot.
    """

    size: int
    fs: str
    store: Path
    deleted_open: bool = False


Progress = Callable[[str], None]


def play(scene: Scene, progress: Progress) -> DemoResult:
    """Plays the whole demo and removes everything that it made.

    Raises:
        VmtError: a step failed that is not part of the snapshot.
    """
    outcome = DemoResult()
    with _workplace(scene.store) as work:
        copied = work / "copy.img"
        with ExitStack() as stack:
            progress(f"making a disk of {scene.size / 2**30:.1f} GiB with {scene.fs}")
            made = stack.enter_context(
                disk.made(work / "disk.img", scene.size, scene.fs, work / "mnt")
            )
            progress("filling the disk")
            _fill(made.path / "data", scene.size // 10)
            progress("writing to the disk")
            running = _start_writers(stack, made.path, scene.deleted_open)
            record, result, verdict = _snapshot(work, made, copied, outcome, progress)
            time.sleep(AFTER)
            reports = {writer.kind: writer.stop() for writer in running}
        _tell(outcome, record, result, reports)
        progress("checking the copy")
        _prove(outcome, scene, copied, result.commit or 0.0, reports["log"].acknowledged)
        outcome.judged(verdict)
    return outcome


def missing(fs: str, store: Path) -> list[str]:
    """Tries what this machine lacks for a real disk; returns it in words, empty if nothing."""
    lacking = disk.missing(fs)
    if not lacking:
        with _workplace(store) as work:
            lacking = disk.missing_mount(work, fs)
    host = _host.TrapHost(_host.Device(_core.SteadyClock()), [sys.executable, "-c", ""])
    try:
        host.start()
        host.wait(time.monotonic() + 10)
    except (VmtError, OSError) as error:
        lacking.append(f"the right to trace a program ({error})")
    return lacking


@contextmanager
def _workplace(store: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix="vmtpy-demo-", dir=store.resolve()))
    try:
        yield work
    finally:
        if not any(line.split()[1].startswith(f"{work}/") for line in _mounts()):
            shutil.rmtree(work)


def _mounts() -> list[str]:
    return Path("/proc/self/mounts").read_text("utf-8", "surrogateescape").rstrip("\n").split("\n")


def _fill(directory: Path, size: int) -> None:
    """Writes random data in files of 16 MiB."""
    directory.mkdir()
    piece = 16 << 20
    for number in range(max(1, size // piece)):
        (directory / f"{number:04}").write_bytes(os.urandom(min(piece, size)))


def _start_writers(stack: ExitStack, path: Path, deleted_open: bool) -> list[writers.Writer]:
    kinds = ["log", "churn", "overwrite"] + (["deleted"] if deleted_open else [])
    running = []
    for kind in kinds:
        running.append(stack.enter_context(writers.Writer(kind, path)))
    return running


def _snapshot(
    work: Path, made: disk.Disk, copied: Path, outcome: DemoResult, progress: Progress
) -> tuple[dict[str, Any], BackupResult, Verdict]:
    """Runs the agent, lets the host take a snapshot, and copies between commit and snapshotDone.

    Returns the agent's record, the host's result, and what vSphere would show.
    """
    record, log, config = work / "record.json", work / "agent.log", work / "config.toml"
    config.write_text('[hooks]\ndirectory = ""\n')
    device = _host.Device(_core.SteadyClock())
    command = [sys.executable, "-m", "vmtpy", "run", "--include", str(made.path)]
    command += ["--record", str(record), "--config", str(config)]
    # The shell redirects the log and then becomes the agent. It changes to / because Python first
    # looks for modules in its working directory.
    shell = ["/bin/sh", "-c", 'log=$1; shift; cd /; exec "$@" 2>"$log"', "sh", str(log)]
    guest = _host.TrapHost(device, [*shell, *command])
    listener = Listener(device)
    esxi = Esxi(device, listener, guest, PERIODS)
    how: list[str] = []

    def snapshot() -> None:
        began = time.monotonic()
        how.append(disk.copy(made.image, copied))
        outcome.copying = time.monotonic() - began

    guest.start()
    with listener:
        try:
            _wait_for_agent(device, guest, log)
            esxi.begin()
            time.sleep(BEFORE)
            progress("the host takes a quiesced snapshot")
            result = esxi.backup(BackupRequest(snapshot=snapshot, timeout=60))
        finally:
            guest.signal(signal.SIGTERM)
            guest.wait(time.monotonic() + 20)
    if result.commit is None or result.done_sent is None:
        raise VmtError(f"the host got no snapshot: {result.error}\n{log.read_text().strip()}")
    outcome.snapshot = result.done_sent - result.commit
    if result.succeeded:
        outcome.found(True, f"the host took its snapshot by {how[0]}, and the guest confirmed it")
    else:
        outcome.found(False, f"the guest did not confirm the snapshot: {result.error}")
    return json.loads(record.read_text().splitlines()[-1]), result, esxi.verdict()


def _wait_for_agent(device: _host.Device, guest: _host.TrapHost, log: Path) -> None:
    deadline = time.monotonic() + 20
    while not device.tclo_seen():
        if guest.wait(time.monotonic() + 0.01) or time.monotonic() > deadline:
            raise VmtError(f"the agent has not contacted its host:\n{log.read_text().strip()}")


def _tell(
    outcome: DemoResult,
    record: dict[str, Any],
    result: BackupResult,
    reports: dict[str, writers.Report],
) -> None:
    """Puts the timeline and the longest wait of any write into the outcome."""
    outcome.tell(result, **{key: record[key] for key in ("presynced", "all_frozen", "all_thawed")})
    outcome.longest_wait = max(report.longest for report in reports.values())


def _prove(
    outcome: DemoResult, scene: Scene, copied: Path, commit: float, acknowledged: list[float]
) -> None:
    verdict = disk.check(copied, scene.fs, orphans=scene.deleted_open)
    outcome.found(verdict.clean, verdict.verdict)
    if not verdict.clean:
        outcome.found(False, verdict.output.strip())
    wanted = sum(1 for when in acknowledged if when <= commit)
    try:
        with disk.read_only(copied, scene.fs) as path:
            outcome.found(True, "the copy mounts read-only")
            there = writers.read_log(path / "log" / writers.LOG)
    except (VmtError, OSError, ValueError) as error:
        outcome.found(False, f"the copy cannot be read: {error}")
        return
    outcome.found(
        there >= wanted > 0,
        f"the copy has {there} records, and {wanted} were acknowledged before the commit",
    )
