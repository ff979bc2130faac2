"""Guests that others wrote, each a whole life under `vmtpy emulate --as esxi`: the emulated host
must find their tools running, as real hosts do. What it finds wanting in them is named, and why.

No backup and no power operation: these guests would freeze and stop what belongs to the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.emulation import EMULATE, Run, require_low_ports, require_ptrace
from support.namespace import INSIDE, require_namespaces
from support.patience import PATIENCE, await_true

from vmtpy.host.esxi import BURST

TOOLBOX = Path(__file__).parents[2] / "build" / "toolbox" / "toolbox"
UPTIME, ADDRESS, DISKS = "SetGuestInfo  7 ", "info-set guestinfo.ip ", "SetGuestDiskInfo "
# What a guest's host has heard, and how often, when the guest has told all that it tells.
VMTOOLSD_HAS_TOLD = {ADDRESS: 1, DISKS: 1, UPTIME: 2}  # once for the burst, once in a look
TOOLBOX_HAS_TOLD = {ADDRESS: 1}
OURS_HAS_TOLD = {ADDRESS: 1, DISKS: 1}

# Of govmomi's toolbox 0.24.2, as Debian has its source: what a host finds wanting → why it is so.
GOVMOMI = {
    "the uptime did not come before the answer to Capabilities_Register: "
    "a host refuses the second soft restart": "it never tells its uptime",
    "no host name": "it tells addresses only",
    "no operating system": "likewise; hosts ask for it by VIX instead",
    "no uptime": "it never tells its uptime",
    "no network": "Debian's xdr library refuses its optional fields: SendGuestInfo fails",
    "no disks": "it tells addresses only",
    "Time_Synchronize was answered 'Unknown Command', neither OK nor ERROR": (
        "it does not synchronize the time, and has no ERROR in front of that answer"
    ),
}
# What it does not say at all, of what our agent says → why.
ONLY_OURS = {
    "SetGuestInfo": "see above",
    "SetGuestDiskInfo": "see above",
    "log": "it logs to its own stderr",
    "info-set guestinfo.vmtools": "it is no package of tools",
    "tools.capability.softpowerop_retry": "it acts on the first request",
    "tools.capability.features": "it takes part in no quiesced snapshot",
    "vmx.capability.unified_loop": "it relies on one loop without saying so",
    "tools.set.versiontype": "it announces the version of unmanaged tools alone",
}


def live(output: Path, told: dict[str, int], *command: str | Path) -> Run:
    """The life of a guest until its host has had all its answers and heard so much of it.

    `output` is the file for the timeline.
    """
    require_ptrace()
    require_namespaces()
    require_low_ports()
    inside = ("/bin/sh", "-c", f'exec {INSIDE} "$@"', "sh")
    options = ("--json", "-o", str(output), "--as", "esxi")
    emulator = subprocess.Popen([*EMULATE, *options, "--", *inside, *command])

    def lines() -> list[dict[str, Any]]:
        whole = output.read_text().rpartition("\n")[0] if output.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def has_told() -> bool:
        assert emulator.poll() is None, f"{command} has ended"
        heard = lines()
        requests = [line.get("request", "") for line in heard if line["kind"] == "rpci"]
        counts = {text: sum(one.startswith(text) for one in requests) for text in told}
        answers = sum(line["kind"] == "reply" for line in heard)
        return answers > len(BURST) and all(counts[text] >= told[text] for text in told)

    try:
        await_true(has_told, lines)
        emulator.terminate()  # which the emulator passes on
        code = emulator.wait(PATIENCE)
    finally:
        emulator.kill()
    return Run(code, b"", b"", lines())


def verdict(run: Run) -> dict[str, Any]:
    (last,) = run.of_kind("verdict")
    return last


def wanting(run: Run) -> set[str]:
    """All reasons and remarks of a verdict."""
    told = verdict(run)
    judged = [told["tools"], told["power"], told["guest_info"]]
    return {reason for finding in judged for reason in finding["reasons"]} | set(told["remarks"])


def names(run: Run) -> set[str]:
    """What a guest tells its host, by name."""
    found = set()
    for line in run.of_kind("rpci"):
        words = line.get("request", "SetGuestInfo").rstrip("\0").split()
        guestinfo = words[1].split(".")[1] if words[0] == "info-set" else ""
        found.add(f"info-set guestinfo.{guestinfo}" if guestinfo else words[0])
    return found


@pytest.fixture(scope="module")
def toolbox(tmp_path_factory: pytest.TempPathFactory) -> Run:
    if not os.access(TOOLBOX, os.X_OK):
        pytest.skip("needs govmomi's toolbox: run .ci/toolbox")
    return live(tmp_path_factory.mktemp("toolbox") / "timeline", TOOLBOX_HAS_TOLD, TOOLBOX)


def test_vmtoolsd_is_running_and_complete(tmp_path: Path) -> None:
    vmtoolsd = shutil.which("vmtoolsd")
    if vmtoolsd is None:
        pytest.skip("capability missing: vmtoolsd (open-vm-tools)")
    config = tmp_path / "tools.conf"
    config.write_text("[guestinfo]\npoll-interval=1\n")
    run = live(tmp_path / "timeline", VMTOOLSD_HAS_TOLD, vmtoolsd, "-n", "vmsvc", "-c", config)
    assert verdict(run)["tools"]["state"] == "running", verdict(run)
    assert wanting(run) == set()
    assert run.code == 0
    assert {line["way"] for line in run.of_kind("command")} == {"backdoor"}
    assert {line["way"] for line in run.of_kind("rpci")} == {"privileged vsock"}


def test_govmomis_toolbox_is_running_and_what_it_lacks_is_named(toolbox: Run) -> None:
    assert verdict(toolbox)["tools"] == {"good": True, "state": "running", "reasons": []}
    assert wanting(toolbox) == set(GOVMOMI)
    assert {line["way"] for line in toolbox.of_kind("rpci")} == {"backdoor"}, "it knows no vsock"


def test_what_ours_says_and_govmomis_toolbox_does_not_is_explained(
    toolbox: Run, tmp_path: Path
) -> None:
    command = (sys.executable, "-m", "vmtpy", "run", "--include", "/nonexistent")
    ours = live(tmp_path / "timeline", OURS_HAS_TOLD, *command)
    assert verdict(ours)["tools"]["state"] == "running", verdict(ours)
    assert names(toolbox) - names(ours) <= {"tools.set.version"}
    assert names(ours) - names(toolbox) <= set(ONLY_OURS)
