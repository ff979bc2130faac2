"""What the service manager hears of the loop: a socket and a clock of the test's own."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from vmtpy import _core, _host
from vmtpy.service_manager import ServiceManager, from_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Manager:
    """A service manager's socket, and an agent that tells it."""

    def __init__(self, address: str, watchdog: float = 0.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.setblocking(False)
        self.clock = _host.ManualClock()
        self.device = _host.Device(self.clock)
        self.agent = _core.Agent(
            _host.EmulatedBackdoor(self.device),
            self.clock,
            _core.AgentOptions(
                poll_min=0.01,
                poll_max=0.5,
                poll_busy=0.002,
                announce=[],
                withdraw=[],
                notify_socket=address,
                watchdog=watchdog,
            ),
        )

    def heard(self) -> list[bytes]:
        """What has been said since."""
        said = []
        while True:
            try:
                said.append(self.socket.recv(4096))
            except BlockingIOError:
                return said


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    manager = Manager(address, watchdog=2.0)
    yield manager
    manager.socket.close()


def test_it_is_ready_after_the_first_turn_whether_or_not_the_host_answers(manager: Manager) -> None:
    manager.device.lose_channels()
    manager.agent.step()
    assert manager.heard()[0] == b"READY=1"
    manager.agent.step()
    assert b"READY=1" not in manager.heard()


def test_the_status_follows_the_agent_and_is_said_once(manager: Manager) -> None:
    manager.agent.step()
    assert b"STATUS=serving the host" in manager.heard()
    manager.agent.step()
    assert manager.heard() == []
    manager.device.send_command("vmbackup.start 0")
    manager.clock.advance(0.02)
    manager.agent.step()
    assert b"STATUS=taking part in a snapshot" in manager.heard()


def test_the_watchdog_is_fed_at_half_its_time_by_turns_alone(manager: Manager) -> None:
    manager.agent.step()
    assert b"WATCHDOG=1" in manager.heard()
    manager.clock.advance(0.9)
    manager.agent.step()
    assert b"WATCHDOG=1" not in manager.heard()
    manager.clock.advance(0.2)
    assert manager.heard() == [], "no turn, no food"
    manager.agent.step()
    assert b"WATCHDOG=1" in manager.heard()


def test_the_loop_comes_back_in_time_for_the_watchdog_while_the_host_is_away(address: str) -> None:
    manager = Manager(address, watchdog=0.1)
    due = manager.agent.step()
    assert due is not None
    assert due - manager.clock.now() <= 0.05
    manager.socket.close()


def test_stopping_is_said(manager: Manager) -> None:
    manager.agent.step()
    manager.agent.request_stop()
    assert manager.agent.step() is None
    assert manager.heard()[-1] == b"STOPPING=1"


def test_an_abstract_socket_is_as_good(tmp_path: Path) -> None:
    manager = Manager(f"@vmtpy-test-{tmp_path.name}-{id(tmp_path)}")
    manager.agent.step()
    assert manager.heard() == [b"READY=1", b"STATUS=serving the host"]
    manager.socket.close()


def test_a_manager_that_does_not_read_holds_nobody_up(manager: Manager) -> None:
    manager.agent.step()
    for _ in range(2000):
        manager.clock.advance(1.0)
        manager.agent.step()
    assert 0 < len(manager.heard()) < 2000


def test_a_socket_whose_path_is_no_utf8_is_reached(tmp_path: Path) -> None:
    manager = Manager(os.fsdecode(os.fsencode(tmp_path) + b"/notif\xff"))
    with manager.socket:
        manager.agent.step()
        assert b"READY=1" in manager.heard()


@pytest.mark.parametrize("name", ["", "/nowhere/notify", "relative", "/" + "x" * 200])
def test_without_a_socket_that_can_be_reached_it_goes_on(name: str) -> None:
    clock = _host.ManualClock()
    options = _core.AgentOptions(
        poll_min=0.01,
        poll_max=0.5,
        poll_busy=0.002,
        announce=[],
        withdraw=[],
        notify_socket=name,
        watchdog=1.0,
    )
    agent = _core.Agent(_host.EmulatedBackdoor(_host.Device(clock)), clock, options)
    assert agent.step() is not None


def test_the_environment_is_taken_and_not_left_to_children() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "HOME": "/root"}
    assert from_environment(environ) == ServiceManager("/run/x", 30.0)
    assert environ == {"HOME": "/root"}


@pytest.mark.parametrize(
    "environ",
    [{"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getppid())}, {}],
)
def test_a_watchdog_that_is_not_meant_for_us_is_not_fed(environ: dict[str, str]) -> None:
    assert from_environment(environ) == ServiceManager("", 0.0)
