"""The status of an agent, in process: collected, served, shown."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import PATIENCE

from vmtpy import _core, _host
from vmtpy.agent import Agent
from vmtpy.cli import status as command
from vmtpy.config import (
    Config,
    GuestInfoConfig,
    PollConfig,
    QuiesceConfig,
    StatusConfig,
    ToolsConfig,
)
from vmtpy.errors import ConfigError, VmtError
from vmtpy.log import Log
from vmtpy.status_socket import NotRunningError, ask, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Machine:
    """A whole agent on a simulated disk, in a thread; the host is the test."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.disk = _host.SimulatedDisk(["/srv"])
        self.device = _host.Device(_core.SteadyClock())
        self.next = Config()
        self.error: ConfigError | None = None
        plan = _core.Plan(self.disk.filesystems())
        self.agent = Agent(
            Config(guest_info=GuestInfoConfig(enabled=False)),
            log=Log(lambda level, line: self.lines.append((level, line))),
            backdoor=_host.EmulatedBackdoor(self.device),
            system=self.disk,
            planner=lambda _: plan,
            guardian=False,
        )
        self.native = self.agent._native
        self.thread = threading.Thread(target=lambda: self.agent.run(reload=self.reload))

    def reload(self) -> Config:
        if self.error:
            raise self.error
        return self.next

    def hup(self) -> None:
        os.write(self.native.reload_fd, (1).to_bytes(8, "little"))

    def status(self) -> dict[str, Any]:
        return self.agent.status()

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{self.status()} {self.lines}"
            time.sleep(0.002)

    def state(self, name: str) -> Callable[[], bool]:
        return lambda: self.status()["backup_state"] == name

    def freeze(self) -> None:
        self.device.send_command("vmbackup.start 0")
        self.until(self.state("frozen"))

    def thaw(self) -> None:
        self.device.send_command("vmbackup.snapshotDone")
        self.until(self.state("idle"))


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    machine.thread.start()
    machine.until(lambda: machine.status()["channel"]["connected"])
    yield machine
    machine.agent.stop()
    machine.thread.join(PATIENCE)


def test_the_status_tells_of_host_channel_and_announcement(machine: Machine) -> None:
    machine.until(lambda: machine.status()["announced"])
    found = machine.status()
    assert found["host"]["product"] == "ESX"
    assert found["channel"]["last_poll"] < 5
    assert found["channel"]["losses"] == 0
    assert found["pid"] == os.getpid()
    machine.until(lambda: machine.status()["time_difference"] is not None)
    assert found["wire"]["rpcs"] > 0
    assert found["wire"]["low"] > 0


def test_while_frozen_it_says_so_and_afterwards_how_it_went(machine: Machine) -> None:
    machine.freeze()
    found = machine.status()
    assert found["frozen"] is True
    assert 0 <= found["frozen_for"] < 10
    assert dict(command.lines(found))["filesystems"].startswith("FROZEN for ")
    ended = {**found, "backup_state": "idle", "frozen_for": 400.0}
    assert command.freeze(ended) == "FROZEN for 400 s: an earlier freeze or thaw does not end"
    machine.thaw()
    found = machine.status()
    assert found["frozen"] is False
    assert found["frozen_for"] is None
    assert found["backups"]["released"] == 1
    assert found["last_backup"]["outcome"] == "released"
    began = found["last_backup"]["started_unix_ns"] / 1e9
    assert began < found["last_success"] < began + PATIENCE
    shown = dict(command.lines(found))
    assert shown["backups"] == "1 released"
    assert "quiesced: 1 filesystem was frozen for " in shown["last backup"]


def test_names_that_are_no_text_are_shown_with_escapes(machine: Machine, tmp_path: Path) -> None:
    status = {**machine.status(), "exclude": ["/srv/\udcff"]}
    path = str(tmp_path / "status")
    with served(path, lambda: status, collect([])):
        done = subprocess.run(
            [sys.executable, "-m", "vmtpy", "status", "--socket", path],
            env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "the defaults, exclude /srv/\\udcff\n" in done.stdout


def test_a_backup_that_fails_is_counted_and_its_reason_kept(machine: Machine) -> None:
    machine.freeze()
    machine.device.send_command("vmbackup.abort")
    machine.until(machine.state("idle"))
    found = machine.status()
    assert found["backups"]["aborted"] == 1
    assert found["last_success"] is None
    assert "aborted by the host" in dict(command.lines(found))["last backup"]
    assert any(level == 3 and "not quiesced" in line for level, line in machine.lines)


def test_a_reset_by_the_host_is_counted(machine: Machine) -> None:
    machine.device.send_command("reset")
    machine.until(lambda: machine.status()["channel"]["resets"] == 1)


def test_a_new_configuration_counts_from_the_next_backup(machine: Machine) -> None:
    machine.next = Config(
        quiesce=QuiesceConfig(timeout=0.2),
        poll=PollConfig(max=0.05),
        tools=ToolsConfig(version=5),
        guest_info=GuestInfoConfig(enabled=False),
    )
    machine.hup()
    machine.until(lambda: (6, "the configuration was reloaded") in machine.lines)
    assert machine.status()["tools_version"] == 5
    machine.until(
        lambda: any(
            entry.request == b"tools.set.version 5" for entry in machine.device.take_transcript()
        )
    )
    machine.device.send_command("vmbackup.start 0")
    machine.until(lambda: machine.status()["backups"]["expired"] == 1)  # at the new limit


def test_guest_information_can_be_turned_on_and_off_by_a_reload(machine: Machine) -> None:
    said: list[bytes] = []

    def tells() -> bool:
        said.extend(entry.request for entry in machine.device.take_transcript())
        return any(line.startswith(b"SetGuestInfo  1 ") for line in said)

    machine.until(lambda: machine.status()["announced"])
    machine.until(lambda: machine.status()["time_difference"] is not None)
    assert not tells()
    machine.next = Config()
    machine.hup()
    machine.until(tells)
    machine.next = Config(guest_info=GuestInfoConfig(enabled=False))
    machine.hup()
    line = (6, "the configuration was reloaded")
    machine.until(lambda: machine.lines.count(line) == 2)
    machine.next = Config(status=StatusConfig(socket="/elsewhere"))
    machine.hup()
    machine.until(lambda: machine.lines.count(line) == 3)
    assert (4, "the new [status] takes effect only after a restart of the agent") in machine.lines
    told = machine.status()["configuration"]
    assert told["guest_info"]["enabled"] is True
    assert told["status"]["socket"] == Config().status.socket, "as before the reload"
    assert "dsn" not in told["postgresql"], "it may contain a password"


def test_a_bad_configuration_is_refused_and_the_old_one_stays(machine: Machine) -> None:
    machine.error = ConfigError("vmtpy.toml: [pol] is unknown")
    machine.hup()
    line = (
        "the new configuration was refused, and the old one is kept: vmtpy.toml: [pol] is unknown"
    )
    machine.until(lambda: (3, line) in machine.lines)
    assert machine.status()["refused_configuration"] == "vmtpy.toml: [pol] is unknown"
    machine.freeze()
    machine.thaw()
    machine.error = None
    machine.hup()
    machine.until(lambda: (6, "the configuration was reloaded") in machine.lines)
    assert machine.status()["refused_configuration"] == ""


def test_during_a_backup_a_reload_waits_for_its_end(machine: Machine) -> None:
    machine.freeze()
    machine.hup()
    before = machine.status()["channel"]["polls"]
    machine.until(lambda: machine.status()["channel"]["polls"] > before + 20)
    assert machine.status()["frozen"]
    machine.thaw()
    machine.until(lambda: (6, "the configuration was reloaded") in machine.lines)


def test_a_signal_that_comes_while_python_is_busy_is_not_lost(machine: Machine) -> None:
    """The native handler writes to the eventfd; nothing of Python runs for it."""
    with_signal = _core.SignalEvents(machine.native.reload_fd, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)
    machine.until(lambda: (6, "the configuration was reloaded") in machine.lines)
    with pytest.raises(VmtError, match="handles the signals already"):
        _core.SignalEvents(machine.native.stop_fd, [signal.SIGUSR1])
    del with_signal


def collect(lines: list[str]) -> Log:
    return Log(lambda _, line: lines.append(line))


def test_the_socket_is_for_its_owner_and_goes_with_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "run" / "status"
    with served(str(path), lambda: {"a": 1}, collect([])):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert [ask(str(path)) for _ in range(3)] == [{"a": 1}] * 3
    assert not path.exists()
    with pytest.raises(NotRunningError, match=r"no agent answers on .*: No such file"):
        ask(str(path))


def test_the_sockets_mode_needs_no_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umask is the process's: another thread's files would get it, too."""
    path = tmp_path / "status"
    before = os.umask(0)
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was touched"))
    try:
        with served(str(path), dict, collect([])):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        monkeypatch.undo()
        os.umask(before)


def test_who_asks_while_there_are_no_descriptors_is_answered_later(tmp_path: Path) -> None:
    import resource
    import socket

    path = str(tmp_path / "status")
    lines: list[str] = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def report() -> dict[str, object]:
        if not lines:  # from the next accept() on; 1 is what poll() needs
            resource.setrlimit(resource.RLIMIT_NOFILE, (1, limits[1]))
        return {"a": 1}

    with served(path, report, collect(lines)), socket.socket(socket.AF_UNIX) as waiting:
        waiting.settimeout(30)
        try:
            assert ask(path) == {"a": 1}
            waiting.connect(path)
            deadline = time.monotonic() + PATIENCE
            while not lines and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert lines == ["`vmtpy status` gets no answer yet: accept: Too many open files"]
        assert waiting.recv(100) == b'{"a": 1}'
        assert ask(path) == {"a": 1}


def test_what_a_killed_agent_left_is_taken_over(tmp_path: Path) -> None:
    import socket

    path = tmp_path / "status"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(NotRunningError, match="Connection refused"):
        ask(str(path))
    with served(str(path), lambda: {"b": 2}, collect([])):
        assert ask(str(path)) == {"b": 2}


def test_a_second_agent_leaves_the_first_ones_socket_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "status")
    lines: list[str] = []
    with served(path, lambda: {"first": 1}, collect([])):
        with served(path, lambda: {"second": 2}, collect(lines)):
            assert ask(path) == {"first": 1}
        (line,) = lines
        assert line.startswith(f"another agent already answers on {path}; end one of the two")
        assert ask(path) == {"first": 1}


def test_without_a_path_there_is_no_socket() -> None:
    with served("", lambda: {}, collect([])):
        pass


def test_whoever_connects_and_leaves_disturbs_nobody(tmp_path: Path) -> None:
    import socket

    path = str(tmp_path / "status")
    with served(path, lambda: {"a": "x" * 1000}, collect([])):
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(path)
        assert ask(path)["a"]


def test_the_command_prints_lines_or_json(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    path = str(tmp_path / "status")
    with served(path, machine.agent.status, collect([])):
        assert command.main(["--socket", path]) == 0
        shown = capsys.readouterr().out
        assert re.search("^host +ESX", shown, re.MULTILINE)
        assert re.search("^filesystems +not frozen", shown, re.MULTILINE)
        assert re.search("^configuration +the defaults$", shown, re.MULTILINE)
        assert command.main(["--socket", path, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["host"]["product"] == "ESX"


def test_people_are_told_the_file_and_what_is_kept_to() -> None:
    told = {"configuration_file": "/etc/vmtpy/vmtpy.toml", "include": ["/srv"], "exclude": []}
    assert command.configuration(told) == "/etc/vmtpy/vmtpy.toml, include /srv"
    told = {"include": [], "exclude": ["/a", "/b"]}
    assert command.configuration(told) == "the defaults, exclude /a, /b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.5 s"), (60, "1 min"), (3720, "1 h 2 min"), (200000, "2 d 7 h")],
)
def test_spans_are_for_people(seconds: float, text: str) -> None:
    assert command.span(seconds) == text
