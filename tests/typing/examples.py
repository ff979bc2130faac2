"""How a program calls vmtpy, as mypy --strict and pyright read it. Checked by .ci/types, never run.

`assert_type` fails the check where a public type has become another, or Any.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

from typing_extensions import assert_type

import vmtpy
import vmtpy.testing

if TYPE_CHECKING:
    from vmtpy.pytest_plugin import Run


def look_for_vmware() -> str:
    found = vmtpy.probe()
    assert_type(found, vmtpy.Probe)
    assert_type(found.version, int)
    if found.presence == "no channel":
        return found.remedy
    return "VMware" if found else found.reason


def show_the_plan() -> list[str]:
    made = vmtpy.plan(include=["/srv", Path("/var/lib")], exclude=(b"/srv/scratch",))
    assert_type(made, vmtpy.Plan)
    lines = [
        f"{filesystem.level} {filesystem.path} {filesystem.type} {filesystem.device}"
        for filesystem in made.filesystems
    ]
    lines += [
        f"{left.path}: {left.reason}"
        for left in made.left_out
        if left.writable and left.cause is not vmtpy.Cause.NETWORK
    ]
    return [*lines, *made.notes, *made.unmatched]


def freeze_and_report() -> vmtpy.RunRecord:
    try:
        with vmtpy.freeze(["/srv"], timeout=5, already_frozen="accept") as session:
            assert_type(session, vmtpy.Freeze)
            assert_type(session.frozen, bool)
    except vmtpy.FreezeError as error:
        print(error, error.hint)
        raise
    record = session.record
    assert_type(record, vmtpy.RunRecord)
    assert_type(record.outcome, vmtpy.Outcome)
    for run in record.filesystems:
        assert_type(run, vmtpy.FilesystemRun)
        print(
            f"{run.path}: frozen for {run.frozen * 1e3:.0f} ms, writers waited {run.waited:.3f} s"
        )
    return record


def ask_the_host() -> bytes:
    with vmtpy.Rpci(transport="vsock") as rpci:
        try:
            return rpci.call(b"info-get guestinfo.hostname")
        except vmtpy.RpcError as error:
            return error.reason


def exchange_values() -> bytes:
    assert_type(vmtpy.guestinfo.get("metadata"), bytes | None)
    vmtpy.guestinfo.set("answer", b"42", "gzip+base64")
    vmtpy.guestinfo.redact("password")
    for value in vmtpy.guestinfo.watch("metadata", interval=5):
        assert_type(value, bytes | None)
        break
    return vmtpy.guestinfo.get("answer") or b""


def read_facts() -> float:
    assert_type(vmtpy.hardware.read().memory_mib, int | None)
    now = vmtpy.hardware.host_time()
    return now.unix if now is not None else 0.0


def errors_are_those_of_the_standard_library(error: vmtpy.VmtError) -> int | None:
    if isinstance(error, vmtpy.SystemCallError):
        assert_type(error.errno, int | None)
        return error.errno
    return None


def run_an_agent() -> None:
    agent = vmtpy.Agent(vmtpy.Config(), on_record=lambda record: print(record.outcome.name))

    @agent.hook
    @contextlib.contextmanager
    def database() -> Iterator[None]:
        yield

    agent.run()


def test_guest_code(vmware_host: vmtpy.testing.EmulatedHost) -> None:
    assert_type(vmware_host.guestinfo["answer"], bytes)
    vmware_host.guestinfo["answer"] = "42"
    assert_type(vmware_host.requests, list[bytes])
    for message in vmware_host.messages:
        assert_type(message, vmtpy.testing.Message)
        if message.kind == "rpci" and message.transport == "backdoor":
            print(message.text, message.answer)
    vmware_host.refuse("info-set", "Permission denied", times=1)
    with vmware_host.silent():
        pass
    done = vmware_host.run("vmware-rpctool", Path("/x"), env={"LC_ALL": "C"})
    assert_type(done.stdout, bytes)


def test_a_backup() -> None:
    with (
        vmtpy.testing.EmulatedHost({"answer": b"42"}, vsock=True) as host,
        vmtpy.testing.SimulatedGuest(host, vmtpy.Config(), paths=("/", "/srv")) as guest,
    ):
        result = host.backup(lambda: guest.disk.frozen("/srv"))
        assert_type(result, vmtpy.testing.BackupResult)
        assert_type(result.outcome, vmtpy.testing.BackupOutcome)
        assert_type(guest.records, list[vmtpy.RunRecord])
        with host.esxi(ping=1) as life:
            assert_type(life.backup().succeeded, bool)
        assert_type(life.verdict, vmtpy.testing.Verdict)


def test_a_program(vmware_run: Run) -> None:
    done = vmware_run(Path("program"), "one", stdin=b"", env={"A": "b"}, cwd="/", timeout=1)
    assert_type(done, CompletedProcess[bytes])
