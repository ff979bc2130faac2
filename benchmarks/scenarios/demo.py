"""`vmtpy demo --size 10G` on a store that can reflink: the driver's whole claim."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks import disks
from benchmarks.scenario import Measurement, Metric, Place

NAME = "demo"
TITLE = "vmtpy demo --size 10G, 1 GiB of data, the copy by reflink"
METRICS: tuple[Metric, ...] = (
    Metric("start_done_ms", "host's start → req.done, ms"),
    Metric("frozen_ms", "frozen → thawed, ms"),
    Metric("snapshot_ms", "the host's copy, ms"),
    Metric("longest_wait_ms", "longest wait of a write, ms"),
)
CASES: tuple[str, ...] = ("10 GiB",)

STORE_SIZE = 16 << 30


def contenders(case: str) -> dict[str, str]:  # noqa: ARG001 (Scenario)
    return {"vmtpy": disks.missing("xfs")}


def measure(case: str, contender: str, place: Place) -> Measurement:  # noqa: ARG001 (Scenario)
    with disks.made("xfs", 1, STORE_SIZE, place.store, place.work) as made:
        command = [sys.executable, "-m", "vmtpy", "demo", "--size", "10G", "--json"]
        command += ["--store", str(made.disks[0].path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    story = json.loads(done.stdout)
    if story["simulated"] or not story["passed"]:
        raise RuntimeError(f"the demo was not what it should be: {story}")
    moments = story["timeline_ms"]
    stun = story["snapshot_ms"] - story["copying_ms"]
    return Measurement(
        {
            "start_done_ms": moments["done"] - moments["start"],
            "frozen_ms": moments["thawed"] - moments["frozen"] - stun,
            "snapshot_ms": story["copying_ms"],
            "longest_wait_ms": story["longest_wait_ms"],
        }
    )
