"""Compares the ways to the host with the same agent and the same requests.

In-process: the host answers in the client's process, by a call for the backdoor (whose trap costs
nothing here, by port or by hypercall), and by a socket and another thread for vsock. Ptrace: the
real program runs under the emulated host, which stops it at each trap, but not for vsock.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import rpc_client
from benchmarks.contenders import vmtpy_agent
from benchmarks.emulated import EmulatedGuest, GuestError, address, emulated
from benchmarks.scenario import Measurement, Metric, Place
from benchmarks.scenarios.idle import cost, memory_of
from benchmarks.scenarios.rpc import median_of
from vmtpy import _core
from vmtpy._host import (
    BackdoorKind,
    Device,
    EmulatedBackdoor,
    MessageKind,
    TrapHost,
    UnixDialer,
    VsockService,
)
from vmtpy.host.listener import Listener

NAME = "transports"
TITLE = "the ways to the host"
METRICS: tuple[Metric, ...] = (
    Metric("round_trip_us", "RPC round trip, µs"),
    Metric("traps", "traps for one"),
    Metric("received_ms", "host asks → received, ms"),
    Metric("received_max_ms", "host asks → received, the slowest, ms"),
    Metric("traps_per_s", "traps each second"),
    Metric("packets_per_s", "packets each second"),
    Metric("wakeups_per_s", "wake-ups each second"),
    Metric("cpu_ms_per_s", "processor time each second, ms"),
    Metric("resident_mib", "resident memory, MiB"),
)

SIZES = {"16 B": 16, "4 KiB": 4096, "64 KiB": 65536}
ASKED, IDLE = "asked", "idle"
CASES: tuple[str, ...] = (
    *(f"{size}, {host}" for host in ("in-process", "ptrace") for size in SIZES),
    ASKED,
    IDLE,
)
COUNTS = {"in-process": 2000, "ptrace": 500}  # round trips; the first tenth is not counted

# transport → the host's backdoor; vsock has a host beside it
KINDS = {
    "port": BackdoorKind.FULL,
    "hypercall": BackdoorKind.HYPERCALL,
    "vsock": BackdoorKind.FULL,
}
LONGEST = 120.0  # seconds
ASKS = 8
SETTLE = 2.0  # seconds: the delay between polls has grown to its longest by then
LASTING = 30.0  # two periods of the agent's reports to the host


def contenders(case: str) -> dict[str, str]:
    lacking = dict.fromkeys(KINDS, "")
    if case.endswith("in-process"):  # without the instruction it is the same call as a port
        del lacking["hypercall"]
    return lacking


def measure(case: str, contender: str, place: Place) -> Measurement:
    if case == ASKED:
        return Measurement(asked(contender, place))
    if case == IDLE:
        return Measurement(idle(contender, place))
    size, _, host = case.partition(", ")
    if host == "in-process":
        return Measurement(in_process(contender, SIZES[size]))
    return Measurement(traced(contender, SIZES[size], place.shared / "times"))


def answering(size: int) -> Device:
    """A host that answers each request of the clients with as many bytes."""
    device = Device(_core.SteadyClock())
    device.answer_with("bench", b"1 ".ljust(size, b"x"), 0)
    return device


def in_process(transport: str, size: int) -> dict[str, float]:
    """Calls the core's RPCI, with the host in this process."""
    device = answering(size)
    with Listener(device):  # keeps the transcript short
        if transport == "port":
            return {"round_trip_us": timed(_core.Rpci(EmulatedBackdoor(device)).call, size)}
        service = VsockService(device, address())
        ways = _core.Transports(
            _core.AbsentBackdoor(),
            UnixDialer(address()),
            _core.SteadyClock(),
            preference=_core.Preference.VSOCK,
        )
        taken = timed(_core.Rpci(ways).call, size)
        if not service.counts()["packets"]:
            raise RuntimeError("nothing went over vsock")
        return {"round_trip_us": taken}


def timed(call: Callable[[bytes], object], size: int) -> float:
    """The median round trip in microseconds."""
    request, times = b"bench ".ljust(size, b"x"), []
    for _ in range(COUNTS["in-process"]):
        begin = time.perf_counter_ns()
        call(request)
        times.append(time.perf_counter_ns() - begin)
    return statistics.median(times[len(times) // 10 :]) / 1e3


def traced(transport: str, size: int, output: Path) -> dict[str, float]:
    """Runs a client under the emulated host; counts the traps of a round trip."""
    device = answering(size)
    service = VsockService(device, address())
    shell = ["/bin/sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", str(output)]
    count = COUNTS["ptrace"]
    client = [sys.executable, rpc_client.__file__, transport, str(size), str(count)]
    host = TrapHost(device, [*shell, *client], vsock=address(), backdoor=KINDS[transport])
    host.start()
    with Listener(device):
        if not host.wait(time.monotonic() + LONGEST) or host.wait_status() != 0:
            raise RuntimeError(f"{' '.join(client)} failed under the emulated host")
    if (transport == "vsock") != (service.counts()["packets"] > count):
        raise RuntimeError(f"{transport}: the host has seen {service.counts()}")
    # Without what the process does once: probing, opening, closing.
    traps = device.traps()
    once = ("GETVERSION", "MESSAGE OPEN", "MESSAGE CLOSE")
    total = sum(number for name, number in traps.items() if name not in once)
    return {"round_trip_us": median_of(output.read_text()), "traps": total / count}


@contextmanager
def running(transport: str, place: Place) -> Iterator[EmulatedGuest]:
    """Runs the agent with only one transport."""
    config = place.work / "vmtpy.toml"
    config.write_text(f'[host]\ntransport = "{transport}"\n')
    # Nothing is asked of it that freezes; were it, it could freeze nothing.
    command = vmtpy_agent.command("--include", str(place.shared), "--config", str(config))
    vsock = transport == "vsock"
    with emulated(command, place.shared, vsock=vsock, backdoor=KINDS[transport]) as guest:
        yield guest


def asked(transport: str, place: Place) -> dict[str, float]:
    """Measures how long a command of the host waits until an idle guest receives it."""
    times = []
    with running(transport, place) as guest:
        for turn in range(ASKS):
            time.sleep(SETTLE + turn * 0.07)  # at any point between two polls
            times.append(received(guest) * 1e3)
    return {"received_ms": statistics.median(times), "received_max_ms": max(times)}


def received(guest: EmulatedGuest) -> float:
    """The seconds from the sending of a command until the guest has received it."""
    follower = guest.listener.follow()
    begin = time.monotonic()
    guest.device.send_command("ping")
    entry = follower.wait_for(
        lambda entry: entry.kind == MessageKind.TCLO_COMMAND and entry.request == b"ping",
        begin + LONGEST,
    )
    guest.listener.leave(follower)
    if entry is None:
        raise GuestError("the guest does not take its commands")
    return entry.time - begin


def idle(transport: str, place: Place) -> dict[str, float]:
    """Measures the costs of an idle agent."""
    with running(transport, place) as guest:
        time.sleep(SETTLE)
        before, packets = cost(guest), packets_of(guest)
        time.sleep(LASTING)
        after, packets = cost(guest), packets_of(guest) - packets
        memory = memory_of(guest.pid)
    lasting = after.time - before.time
    traps = after.traps - before.traps
    # The emulated host stops the process at each trap, which VMware's would not.
    wakeups = after.switches - before.switches - traps
    return {
        "traps_per_s": traps / lasting,
        "packets_per_s": packets / lasting,
        "wakeups_per_s": wakeups / lasting,
        "cpu_ms_per_s": (after.cpu - before.cpu) * 1e3 / lasting,
        "resident_mib": memory["resident_mib"],
    }


def packets_of(guest: EmulatedGuest) -> int:
    """The packets so far in both directions, with pings."""
    counts = guest.service.counts() if guest.service else {}
    return counts.get("packets", 0) + counts.get("pings", 0)
