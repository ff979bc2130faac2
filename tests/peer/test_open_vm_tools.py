"""Debian's own open-vm-tools, unmodified, under `vmtpy emulate`.

No backup is ever started here: vmtoolsd freezes every local filesystem, that of / included.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from support.emulation import TIMEOUT, emulate, require_low_ports, require_ptrace
from support.names import unique_base
from support.patience import PATIENCE

from vmtpy._core import SteadyClock
from vmtpy._host import Device, MessageKind, Transport, TrapHost, VsockService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmtpy._host import TranscriptEntry


@pytest.fixture(scope="module", autouse=True)
def _ptrace() -> None:
    require_ptrace()


def require(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"capability missing: {program} (open-vm-tools)")
    return found


def test_rpctool_sets_and_gets_guestinfo() -> None:
    rpctool = require("vmware-rpctool")
    script = f"{rpctool} 'info-set guestinfo.key some value' && {rpctool} 'info-get guestinfo.key'"
    run = emulate("sh", "-c", script)
    assert (run.code, run.stdout) == (0, b"\nsome value\n"), run
    assert [(line["request"], line["reply"]) for line in run.of_kind("rpci")] == [
        ("info-set guestinfo.key some value", "1 "),
        ("info-get guestinfo.key", "1 some value"),
    ]
    assert sum(run.traps.values()) == 18


def test_rpctool_says_why_the_host_refused() -> None:
    run = emulate(require("vmware-rpctool"), "info-get guestinfo.none")
    assert (run.code, run.stdout, run.stderr) == (1, b"", b"No value found\n")


@pytest.mark.parametrize("options", [("--no-high-bandwidth",), ("--checkpoint-every", "7")])
def test_rpctool_works_on_lesser_hosts(options: tuple[str, ...]) -> None:
    run = emulate(
        require("vmware-rpctool"),
        "info-get guestinfo.key",
        options=(*options, "--guestinfo", "key=value"),
    )
    assert (run.code, run.stdout) == (0, b"value\n"), run


def test_checkvm_finds_vmware() -> None:
    run = emulate(require("vmware-checkvm"))
    assert run.code == 0, run
    assert b"VMware software version 6 (good)" in run.stdout


@contextlib.contextmanager
def running_vmtoolsd(vsock: str | None = None) -> Iterator[tuple[Device, list[TranscriptEntry]]]:
    """vmtoolsd up to the third command, and all that was said; ended in the end."""
    device = Device(SteadyClock())
    service = VsockService(device, vsock) if vsock else None
    host = TrapHost(device, [require("vmtoolsd")], vsock=vsock)
    host.start()
    deadline = time.monotonic() + TIMEOUT
    entries: list[TranscriptEntry] = []
    try:
        assert device.wait_for_tools(deadline)
        for command in ("reset", "ping", "Capabilities_Register"):
            device.send_command(command)
        while len(replies(entries)) < 3 or not any(
            b"tools.capability" in e.request for e in entries
        ):
            assert time.monotonic() < deadline, entries
            entries += device.take_transcript(deadline)
        if service:
            until(lambda: service.counts()["pings"] > 1, deadline)
        yield device, entries
    finally:
        host.signal(signal.SIGTERM)
        ended = host.wait(time.monotonic() + PATIENCE)
        if not ended:
            host.signal(signal.SIGKILL)
    assert ended
    assert host.wait_status() == 0


def replies(entries: list[TranscriptEntry]) -> list[bytes]:
    return [entry.request for entry in entries if entry.kind == MessageKind.TCLO_REPLY]


def until(condition: Callable[[], bool], deadline: float) -> None:
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_vmtoolsd_registers_answers_and_ends() -> None:
    with running_vmtoolsd() as (_, entries):
        assert replies(entries) == [b"OK ATR toolbox", b"OK ", b"OK "]


def test_vmtoolsd_does_the_same_over_vsock_and_sends_pings() -> None:
    """Requests from a port below 1024, commands from any; the backdoor is only looked at."""
    require_low_ports()
    with running_vmtoolsd(unique_base("peer")) as (device, entries):
        assert replies(entries) == [b"OK ATR toolbox", b"OK ", b"OK "]
        transports = {(entry.kind, entry.transport) for entry in entries}
        assert transports == {
            (MessageKind.RPCI, Transport.PRIVILEGED_VSOCK),
            (MessageKind.TCLO_COMMAND, Transport.VSOCK),
            (MessageKind.TCLO_REPLY, Transport.VSOCK),
        }
        assert list(device.traps()) == ["GETVERSION"]


def test_rpctool_knows_no_vsock() -> None:
    """That of open-vm-tools 12.2 has the backdoor alone."""
    run = emulate(require("vmware-rpctool"), "log hello", options=("--vsock",))
    assert [line["way"] for line in run.of_kind("rpci")] == ["backdoor"]


def test_off_vmware_rpctool_refuses() -> None:
    """What the emulator makes the difference of."""
    run = subprocess.run(
        [require("vmware-rpctool"), "info-get guestinfo.key"],
        check=False,
        capture_output=True,
        timeout=TIMEOUT,
    )
    assert run.returncode != 0
