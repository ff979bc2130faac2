"""A real agent as a service: what its manager hears, its status, a new configuration, metrics."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.guest import require_ptrace, running_guest
from support.loop import loop_mount
from support.patience import PATIENCE
from support.writer import Writer

from vmtpy import service
from vmtpy.cli import doctor
from vmtpy.doctor import storage
from vmtpy.status_socket import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.guest import Guest
    from support.loop import LoopMount

VMTPY = [sys.executable, "-m", "vmtpy"]


@pytest.fixture
def mount() -> Iterator[LoopMount]:
    with loop_mount("ext4") as mount:
        yield mount


def table(path: Path) -> str:
    return f"[status]\nsocket = '{path}'\n"


def said(command: list[str]) -> str:
    done = subprocess.run(
        [*VMTPY, *command], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    return done.stdout


def until(guest: Guest, condition: Callable[[], object]) -> None:
    guest.until(lambda: bool(condition()))


class Manager:
    """The service manager's end of $NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.heard: list[bytes] = []

    def read(self) -> list[bytes]:
        try:
            while True:
                self.heard.append(self.socket.recv(4096))
        except BlockingIOError:
            return self.heard


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()


def test_the_units_command_is_ready_feeds_its_watchdog_while_frozen_and_says_its_end(
    mount: LoopMount, tmp_path: Path, manager: Manager
) -> None:
    config = tmp_path / "log.toml"
    unit = service.render(service.SYSTEMD, VMTPY, str(config))
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert "\nType=notify\n" in unit
    inside = f"env NOTIFY_SOCKET={tmp_path}/notify WATCHDOG_USEC=200000"
    text = f"[quiesce]\ninclude = ['{mount.path}']\n" + table(tmp_path / "status")
    with running_guest([], tmp_path / "log", text, inside) as guest:
        command = Path(f"/proc/{guest.pid}/cmdline").read_text().split("\0")[:-1]
        assert command == shlex.split(line.removeprefix("ExecStart="))
        until(guest, lambda: b"STATUS=serving the host" in manager.read())
        assert manager.heard[0] == b"READY=1"
        guest.freeze()
        until(guest, lambda: b"STATUS=FROZEN for a snapshot" in manager.read())
        before = manager.read().count(b"WATCHDOG=1")
        until(guest, lambda: manager.read().count(b"WATCHDOG=1") >= before + 5)
        environ = Path(f"/proc/{guest.pid}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" in environ  # as it was started: the kernel's copy
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        assert guest.end() == 0
    assert b"STOPPING=1" in manager.read()


def test_a_stopped_agent_starves_its_watchdog(tmp_path: Path, manager: Manager) -> None:
    inside = f"env NOTIFY_SOCKET={tmp_path}/notify WATCHDOG_USEC=100000"
    with running_guest([], tmp_path / "log", table(tmp_path / "status"), inside) as guest:
        until(guest, lambda: b"WATCHDOG=1" in manager.read())
        guest.host.signal(signal.SIGSTOP)
        quiet = 0.0
        while quiet < 0.5:  # five times what a service manager would bear
            seen, begin = len(manager.read()), time.monotonic()
            while len(manager.read()) == seen and quiet < 0.5:
                time.sleep(0.01)
                quiet = time.monotonic() - begin


def test_the_status_is_told_while_everything_it_has_lies_on_the_frozen_disk(
    mount: LoopMount, tmp_path: Path
) -> None:
    """Socket, log, configuration and working directory: nothing of it may be written meanwhile."""
    path = mount.path / "run" / "status"
    log = mount.path / "agent.log"
    with running_guest([mount], log, table(path)) as guest:
        until(guest, path.exists)
        assert said(["status", "--socket", str(path)]).count("not frozen") == 1
        guest.freeze()
        found: dict[str, Any] = json.loads(said(["status", "--json", "--socket", str(path)]))
        assert found["frozen"] is True
        assert found["backup_state"] == "frozen"
        assert found["pid"] == guest.pid
        assert "FROZEN for" in said(["status", "--socket", str(path)])
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        found = ask(str(path))
        assert found["backups"]["released"] == 1
        assert found["last_backup"]["filesystems"][0]["path"] == str(mount.path)
        assert guest.end() == 0
        assert not path.exists()


def test_the_status_is_told_while_a_hook_runs(mount: LoopMount, tmp_path: Path) -> None:
    hooks = Path("/root") / f"vmtpy-hooks-{tmp_path.name}-{time.monotonic_ns()}"
    hooks.mkdir(mode=0o755)
    gate = tmp_path / "gate"
    try:
        (hooks / "wait").write_text(f"#!/bin/sh\nuntil [ -e {gate} ]; do sleep 0.02; done\n")
        (hooks / "wait").chmod(0o755)
        config = table(tmp_path / "status") + f"[hooks]\ndirectory = '{hooks}'\n"
        with running_guest([mount], tmp_path / "log", config) as guest:
            assert guest.command("vmbackup.start 1") == b"OK "
            found = ask(str(tmp_path / "status"))
            assert (found["backup_state"], found["frozen"]) == ("preparing", False)
            gate.touch()
            guest.until(lambda: guest.events()[-1].startswith(b"prov.snapshotCommit"))
            assert guest.command("vmbackup.snapshotDone") == b"OK "
            guest.done()
    finally:
        (hooks / "wait").unlink()
        hooks.rmdir()


def test_sighup_takes_a_good_configuration_and_refuses_a_bad_one(
    mount: LoopMount, tmp_path: Path
) -> None:
    status = table(tmp_path / "status")
    file = tmp_path / "log.toml"
    with running_guest([mount], tmp_path / "log", status) as guest:
        file.write_text("[quiesce]\ntimeot = 1\n" + status)
        guest.host.signal(signal.SIGHUP)
        until(
            guest,
            lambda: "the new configuration was refused, and the old one is kept: " in guest.text(),
        )
        assert "has no key 'timeot'" in guest.text()
        assert "timeot" in ask(str(tmp_path / "status"))["refused_configuration"]
        guest.freeze()
        file.write_text("[quiesce]\ntimeout = 4\n[tools]\nversion = 7\n" + status)
        guest.host.signal(signal.SIGHUP)  # waits for the end of the backup
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        until(guest, lambda: "the configuration was reloaded" in guest.text())
        guest.hears(b"tools.set.version 7")
        guest.freeze()
        guest.done()  # at the new limit
        assert guest.events()[-2].startswith(b"req.aborted 4 ")
        assert guest.end() == 0


def test_metrics_are_written_and_served(mount: LoopMount, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    file = mount.path / "vmtpy.prom"  # even there
    config = f"[metrics]\ntextfile = '{file}'\nlisten = '{address}'\ninterval = 1\n"
    with running_guest([mount], tmp_path / "log", config + table(tmp_path / "status")) as guest:
        until(guest, file.exists)
        guest.freeze()
        assert "vmtpy_frozen 1.0" in scrape(address)
        assert guest.command("vmbackup.snapshotDone") == b"OK "
        guest.done()
        until(guest, lambda: 'vmtpy_backups_total{outcome="released"} 1.0' in file.read_text())
        text = scrape(address)
        assert "vmtpy_freeze_seconds_count 1.0" in text
        assert "vmtpy_stall_seconds_count 1.0" in text
        assert 'vmtpy_traps_total{kind="low"}' in text
        assert "vmtpy_rpcs_total" in text
        assert "vmtpy_connected 1.0" in text
        assert re.search(r"^vmtpy_last_success_timestamp_seconds 1\d{9}\.\d+$", text, re.M)
        assert guest.end() == 0


def scrape(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def test_the_doctor_sees_who_waits_for_a_thaw_and_freezes_nothing(mount: LoopMount) -> None:
    with Writer(mount.path / "log") as writer:
        mount.freeze()
        try:
            deadline = time.monotonic() + PATIENCE
            found: list[tuple[int, str]] = []
            while writer.pid not in dict(found):
                assert time.monotonic() < deadline, "the writer is not seen to wait"
                found = storage.waiting_for_thaw(Path("/proc"))
        finally:
            assert mount.thaw()
        writer.wait_for_more()


def test_the_doctor_finds_the_running_agents_own_files(mount: LoopMount, tmp_path: Path) -> None:
    path = tmp_path / "status"
    log = mount.path / "agent.log"
    include = f"[quiesce]\ninclude = ['{mount.path}']\n"
    with running_guest([mount], log, include + table(path)) as guest:
        until(guest, lambda: ask(str(path))["channel"]["connected"])
        config = str(log.with_suffix(".toml"))
        found = list(doctor.examine(config))
        assert doctor.argument(Path("/proc"), ask(str(path)), "--config") == config
    notes = [finding.text for finding in found if finding.check == "own files"]
    assert any(
        f"the log {log} lies on {mount.path}, which will be frozen" in note for note in notes
    )
    (agent,) = [finding for finding in found if finding.check == "agent"]
    assert (agent.level, agent.text) == ("ok", f"process {guest.pid} is connected to the host")


def test_the_doctor_finds_the_emulated_host_good() -> None:
    require_ptrace()
    done = subprocess.run(
        [*VMTPY, "emulate", "--json", "--", *VMTPY, "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert '"text": "VMware ESX answers by port"' in done.stdout, done.stderr
