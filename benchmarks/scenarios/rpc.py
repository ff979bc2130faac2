"""RPC round trips: a request and a reply of the same size, from Python and from C.

In-process: a preloaded library answers the trap in the program's own SIGSEGV handler, the same for
all (native/echo_host.c). It is the cheapest trap to be had here, so what the caller itself costs
shows best. Ptrace: under the emulated host, which counts the traps; most of the time is its stops.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import native, rpc_client
from benchmarks.scenario import Measurement, Metric, Place
from vmtpy._core import SteadyClock
from vmtpy._host import Device, TrapHost
from vmtpy.host.listener import Listener

NAME = "rpc"
TITLE = "RPC round trips"
METRICS: tuple[Metric, ...] = (
    Metric("round_trip_us", "round trip, µs"),
    Metric("traps", "traps for one", ratio=False),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A case: size of request and reply, the host, its port, and how many round trips.

    The first tenth of them warms up and is not counted.
    """

    size: int
    in_process: bool
    high_bandwidth: bool
    count: int


KINDS = {
    "16 B, in-process": Kind(16, True, True, 5000),
    "4 KiB, in-process": Kind(4096, True, True, 5000),
    "64 KiB, in-process": Kind(65536, True, True, 2000),
    "4 KiB by low bandwidth, in-process": Kind(4096, True, False, 50),
    "64 KiB by low bandwidth, in-process": Kind(65536, True, False, 10),
    "16 B, ptrace": Kind(16, False, True, 1000),
    "4 KiB, ptrace": Kind(4096, False, True, 1000),
    "64 KiB, ptrace": Kind(65536, False, True, 500),
    "4 KiB by low bandwidth, ptrace": Kind(4096, False, False, 10),
}
CASES: tuple[str, ...] = tuple(KINDS)

# name → program, way, part of the count
WAYS = {
    "vmtpy": ("python", "kept", 1.0),
    "libvmtools (C)": ("c", "kept", 1.0),
    "vmtpy, one-shot": ("python", "one-shot", 1.0),
    "libvmtools (C), one-shot": ("c", "one-shot", 1.0),
    "vmware-rpctool": ("python", "rpctool", 0.02),
}
LONGEST = 120.0  # seconds


def contenders(case: str) -> dict[str, str]:
    lacking = {name: native.missing() for name in WAYS}
    if ctypes.util.find_library("vmtools") is None and not _library():
        for name in ("libvmtools (C)", "libvmtools (C), one-shot"):
            lacking[name] = "libvmtools.so.0 (package open-vm-tools)"
    if shutil.which("vmware-rpctool") is None:
        lacking["vmware-rpctool"] = "the program vmware-rpctool (package open-vm-tools)"
    if KINDS[case].size > 16:  # a program that takes its request as an argument
        del lacking["vmware-rpctool"]
    return lacking


def _library() -> bool:
    try:
        ctypes.CDLL("libvmtools.so.0")
    except OSError:
        return False
    return True


def measure(case: str, contender: str, place: Place) -> Measurement:
    kind = KINDS[case]
    program, way, part = WAYS[contender]
    count = max(10, int(kind.count * part))
    if program == "c":
        command = [str(native.compiled("message_client"))]
    else:
        command = [sys.executable, rpc_client.__file__]
    command += [way, str(kind.size), str(count)]
    if kind.in_process:
        return Measurement(in_process(command, kind))
    return Measurement(traced(command, kind, way, place.shared / "times"))


def median_of(text: str) -> float:
    """The median in microseconds of the nanoseconds that a client has printed."""
    times = [int(line) for line in text.split()]
    return statistics.median(times[len(times) // 10 :]) / 1e3


def in_process(command: list[str], kind: Kind) -> dict[str, float]:
    """Runs a client with the echo host preloaded."""
    environment = dict(os.environ, LD_PRELOAD=str(native.compiled("echo_host")))
    if not kind.high_bandwidth:
        environment["ECHO_HOST_LB"] = "1"
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, timeout=LONGEST, check=True
    )
    return {"round_trip_us": median_of(done.stdout)}


def traced(command: list[str], kind: Kind, way: str, output: Path) -> dict[str, float]:
    """Runs a client under the emulated host; counts the traps of a round trip."""
    device = Device(SteadyClock(), high_bandwidth=kind.high_bandwidth)
    device.answer_with("bench", b"1 ".ljust(kind.size, b"x"), 0)
    shell = ["/bin/sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", str(output)]
    host = TrapHost(device, [*shell, *command])
    host.start()
    with Listener(device):  # keeps the transcript short
        if not host.wait(time.monotonic() + LONGEST) or host.wait_status() != 0:
            raise RuntimeError(f"{' '.join(command)} failed under the emulated host")
    times = output.read_text()
    return {
        "round_trip_us": median_of(times),
        "traps": traps_for_one(device.traps(), way, len(times.split())),
    }


def traps_for_one(traps: dict[str, int], way: str, count: int) -> float:
    """The traps of a round trip, without those of probing, opening and closing."""
    total = sum(traps.values())
    if way != "rpctool":
        total -= traps.get("GETVERSION", 0)
    if way == "kept":
        total -= traps.get("MESSAGE OPEN", 0) + traps.get("MESSAGE CLOSE", 0)
    return total / count
