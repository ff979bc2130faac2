"""The costs of an idle agent, and the time from its start to its first poll."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import open_vm_tools, vmtpy_agent
from benchmarks.emulated import EmulatedGuest, emulated
from benchmarks.scenario import Measurement, Metric, Place

NAME = "idle"
TITLE = "an idle agent"
METRICS: tuple[Metric, ...] = (
    Metric("start_ms", "start → first poll for commands, ms"),
    Metric("traps_per_s", "traps each second"),
    Metric("wakeups_per_s", "wake-ups each second"),
    Metric("cpu_ms_per_s", "processor time each second, ms"),
    Metric("resident_mib", "resident memory, MiB"),
    Metric("private_mib", "private memory, MiB"),
)
CASES: tuple[str, ...] = ("idle",)

SETTLE = 5.0  # seconds
LASTING = 30.0  # whole periods of both agents' reports to the host (15 and 30 s)


def contenders(case: str) -> dict[str, str]:  # noqa: ARG001 (Scenario)
    return {one.NAME: one.missing() for one in (vmtpy_agent, open_vm_tools)}


@dataclass(frozen=True, slots=True)
class Cost:
    """The resources that a process and its children have used so far."""

    time: float
    traps: int
    switches: int
    cpu: float


def measure(case: str, contender: str, place: Place) -> Measurement:  # noqa: ARG001 (Scenario)
    with running(contender, place) as (guest, started):
        time.sleep(SETTLE)
        before = cost(guest)
        time.sleep(LASTING)
        after = cost(guest)
        memory = memory_of(guest.pid)
    lasting = after.time - before.time
    traps = after.traps - before.traps
    # The emulated host stops the process at each trap, which VMware's would not.
    wakeups = after.switches - before.switches - traps
    return Measurement(
        {
            "start_ms": (guest.seen - started) * 1e3,
            "traps_per_s": traps / lasting,
            "wakeups_per_s": wakeups / lasting,
            "cpu_ms_per_s": (after.cpu - before.cpu) * 1e3 / lasting,
            **memory,
        }
    )


@contextmanager
def running(contender: str, place: Place) -> Iterator[tuple[EmulatedGuest, float]]:
    """Runs the agent; yields it with the time at which its program was started."""
    if contender == vmtpy_agent.NAME:
        # Nothing is asked of it; were it, it could freeze nothing.
        command = vmtpy_agent.command("--include", str(place.shared))
        with emulated(command, place.shared) as guest:
            yield guest, guest.launched
        return
    jail = open_vm_tools.made_jail(None, place.shared)
    with emulated(jail.command(open_vm_tools.PROGRAM), place.shared) as guest:
        jail.check(guest.pid, open_vm_tools.PROGRAM)
        yield guest, float(jail.stamp.read_text())


def family(process: int) -> list[int]:
    """A process and its descendants."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [process]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def cost(guest: EmulatedGuest) -> Cost:
    switches, nanoseconds = 0, 0
    for process in family(guest.pid):
        for task in Path(f"/proc/{process}/task").iterdir():
            nanoseconds += int((task / "schedstat").read_text().split()[0])
            switches += field(task / "status", "voluntary_ctxt_switches")
    return Cost(time.monotonic(), sum(guest.device.traps().values()), switches, nanoseconds / 1e9)


def field(path: Path, name: str) -> int:
    """A number in a file of /proc."""
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise KeyError(f"{path} has no {name}")


def memory_of(process: int) -> dict[str, float]:
    resident, private = 0, 0
    for one in family(process):
        rollup = Path(f"/proc/{one}/smaps_rollup")
        resident += field(rollup, "Rss")
        private += field(rollup, "Private_Clean") + field(rollup, "Private_Dirty")
    return {"resident_mib": resident / 1024, "private_mib": private / 1024}
