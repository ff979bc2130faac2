"""How soon an abort and a SIGTERM end it, while writers are slowed down for a freeze.

The disk of 40 MiB/s and the writer of 100 MiB/s of `slow`. Two seconds after the kernel's bound on
dirty pages was set the host sends vmbackup.abort, or the agent gets SIGTERM; until the bound is put
back, /sys is looked at each half millisecond.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import disks
from benchmarks.contenders import vmtpy_agent
from benchmarks.emulated import EmulatedGuest, GuestError
from benchmarks.freezing import quiet
from benchmarks.scenario import Measurement, Metric, Place
from benchmarks.scenarios import slow
from benchmarks.writer import Bulk

NAME = "slow_end"
TITLE = "an end while writers are slowed down"
METRICS: tuple[Metric, ...] = (
    Metric("back_ms", "told to end → the kernel's bound is put back, ms"),
)
CASES: tuple[str, ...] = ("the host aborts", "SIGTERM")
RATES = slow.CASES_OF[slow.PICTURE_CASE]
ABORT = b"vmbackup.abort"
PACED = 2.0  # seconds before it is told to end
LONGEST = 30.0  # seconds for the bound to come, and to go
LOOK = 0.0005


def contenders(case: str) -> dict[str, str]:
    return {"vmtpy": slow.contenders(slow.PICTURE_CASE)["vmtpy"]} if case in CASES else {}


def measure(case: str, contender: str, place: Place) -> Measurement:  # noqa: ARG001 (Scenario)
    fs = RATES.fs
    with disks.made(fs, 1, slow.SIZES[fs], place.store, place.work) as made:
        (disk,) = made.disks
        bulk_path = slow.filled(disk.path / "bulk")
        with (
            vmtpy_agent.running(made, place.shared) as agent,
            slow.throttled(disk, RATES.disk),
            Bulk(bulk_path, place.shared, RATES.bulk, slow.BULK_MIB),
        ):
            time.sleep(RATES.before)
            bound = Path("/sys/class/bdi") / slow.device_number(disk) / "strict_limit"
            with made.freezable(LONGEST * 3), quiet():
                took = ended_after(agent.guest, bound, end_of(case, agent.guest))
    return Measurement({"back_ms": took * 1e3})


def end_of(case: str, guest: EmulatedGuest) -> Callable[[], None]:
    """What tells the agent to end."""
    if case == "SIGTERM":
        return lambda: guest.host.signal(signal.SIGTERM)
    return lambda: guest.device.send_command(ABORT)


def ended_after(guest: EmulatedGuest, bound: Path, tell: Callable[[], None]) -> float:
    """Has a backup begin, ends it while writers are slowed down; the seconds that this took."""
    backup = threading.Thread(target=attempt, args=(guest,))
    backup.start()
    try:
        await_text(bound, "1")
        time.sleep(PACED)
        told = time.monotonic()
        tell()
        await_text(bound, "0")
        return time.monotonic() - told
    finally:
        backup.join()


def attempt(guest: EmulatedGuest) -> None:
    """A backup that is not to succeed."""
    try:
        guest.snapshot()
    except GuestError:
        return
    raise GuestError("the backup was to be ended, and has succeeded")


def await_text(file: Path, text: str) -> None:
    """Until the file has this text. Raises GuestError after LONGEST seconds."""
    deadline = time.monotonic() + LONGEST
    while file.read_text().strip() != text:
        if time.monotonic() > deadline:
            raise GuestError(f"{file} has not become {text}")
        time.sleep(LOOK)
