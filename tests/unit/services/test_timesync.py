"""The guest's clock against the host's. The clock that is moved is a made-up one."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest
from support.emulated import EmulatedHost

from vmtpy import _core
from vmtpy.config import TimeConfig
from vmtpy.errors import SystemCallError
from vmtpy.services import timesync
from vmtpy.services.timesync import Setter, TimeSync

if TYPE_CHECKING:
    from pathlib import Path


class MadeUpClock(Setter):
    """A clock that is some seconds off the host's."""

    def __init__(self, off: float, keeper: str = "") -> None:
        self.off = off
        self.keeper = keeper
        self.moves: list[tuple[str, float]] = []

    def now(self) -> float:
        return time.time() + self.off

    def kept(self) -> str:
        return self.keeper

    def step(self, by: float) -> None:
        self.moves.append(("step", round(by, 1)))
        self.off += by

    def slew(self, by: float) -> None:
        self.moves.append(("slew", round(by, 1)))


def service(
    clock: MadeUpClock, *, allowed: bool = True, known: bool = True
) -> tuple[TimeSync, list[str]]:
    lines: list[str] = []
    host = EmulatedHost()
    made = TimeSync(
        TimeConfig(synchronize=allowed),
        lambda: _core.read_host_time(host.backdoor) if known else None,
        lines.append,
        setter=clock,
        now=clock.now,
    )
    return made, lines


def test_the_difference_is_measured_in_both_directions() -> None:
    for off in (-3.0, 0.0, 3.0):
        made, _ = service(MadeUpClock(off))
        assert made.measure() == pytest.approx(off, abs=0.1)


@pytest.mark.parametrize("stop", [3.0, -3.0])
def test_a_machine_that_stops_between_two_readings_has_not_the_wrong_time(stop: float) -> None:
    """Neither is its clock wrong that somebody sets meanwhile."""
    clock = MadeUpClock(0.0)
    host = EmulatedHost()
    stops = [stop, stop]

    def read() -> _core.HostTime | None:
        if stops:
            clock.off += stops.pop()
        return _core.read_host_time(host.backdoor)

    made = TimeSync(TimeConfig(), read, print, setter=clock, now=clock.now)
    assert made.measure() == pytest.approx(2 * stop, abs=0.1)


def test_a_host_that_does_not_know_the_time_gives_no_difference() -> None:
    clock = MadeUpClock(3.0)
    made, lines = service(clock, known=False)
    made.sample(10.0)
    assert made.difference is None
    assert made.request("1") == b"OK "
    assert (clock.moves, lines) == ([], [])


def test_a_sample_only_reports_and_says_the_same_once() -> None:
    clock = MadeUpClock(-5.0)
    made, lines = service(clock)
    made.sample(10.0)
    made.sample(70.0)
    assert made.due == 130.0
    assert lines == ["this guest's clock is 5.0 s behind the host's clock"]
    assert clock.moves == []


@pytest.mark.parametrize(
    ("off", "moves"), [(3.0, [("step", -3.0)]), (-0.2, [("slew", 0.2)]), (0.0, [])]
)
def test_the_hosts_wish_steps_or_slews(off: float, moves: list[tuple[str, float]]) -> None:
    clock = MadeUpClock(off)
    made, _ = service(clock)
    assert made.request("1") == b"OK "
    assert [move for move in clock.moves if move[1] != 0.0] == moves


def test_without_permission_the_clock_is_left_alone() -> None:
    clock = MadeUpClock(9.0)
    made, lines = service(clock, allowed=False)
    assert made.request("1") == b"OK "
    assert made.want("1")
    made.sample(0.0)
    assert clock.moves == []
    assert "the host asks to set this guest's clock, but [time] synchronize is false; " in lines[0]


def test_where_an_ntp_daemon_keeps_the_clock_it_is_left_alone() -> None:
    clock = MadeUpClock(9.0, keeper="chronyd")
    made, lines = service(clock)
    made.request("1")
    assert clock.moves == []
    assert lines == ["the clock was not set to the host's time, because chronyd keeps it"]


def test_synctime_keeps_the_clock_until_it_is_taken_back() -> None:
    clock = MadeUpClock(-9.0)
    made, _ = service(clock)
    made.sample(0.0)
    assert clock.moves == []
    options = made.options()
    assert options["synctime"]("1")
    assert made.due == 0.0, "at once"
    made.sample(60.0)
    assert clock.moves == [("step", 9.0)]
    assert options["synctime"]("0")
    clock.off = -9.0
    made.sample(120.0)
    assert len(clock.moves) == 1


def test_the_clock_is_set_back_only_if_the_host_says_so() -> None:
    clock = MadeUpClock(9.0)
    made, lines = service(clock)
    options = made.options()
    assert made.request("0") == b"OK "
    assert options["synctime"]("1")
    assert options["time.synchronize.tools.startup"]("1")
    made.sample(0.0)
    made.sample(60.0)
    assert clock.moves == []
    assert lines == [
        "this guest's clock is 9.0 s ahead of the host's clock, and the host does not ask to set "
        "it back",
        "this guest's clock is 9.0 s ahead of the host's clock",
    ]
    assert options["time.synchronize.tools.startup.backward"]("1")
    assert options["time.synchronize.tools.startup"]("1")
    assert clock.moves == [("step", -9.0)]
    clock.off = 9.0
    for value in ("0", "1"):  # somebody switches it on
        assert options["synctime"](value)
    made.sample(120.0)
    made.sample(180.0)
    assert clock.moves == [("step", -9.0)] * 2
    clock.off = 9.0
    made.sample(240.0)
    assert len(clock.moves) == 2


def test_what_has_gone_is_said_again_when_it_comes_back() -> None:
    clock = MadeUpClock(-5.0, keeper="chronyd")
    made, lines = service(clock)
    assert made.want("1")
    for moment in (0.0, 60.0, 120.0):  # two lines that take turns are not news each time
        made.sample(moment)
    assert len(lines) == 2
    clock.off = 0.0
    made.sample(180.0)
    clock.off = -7.0
    made.sample(240.0)
    assert lines[2:] == ["this guest's clock is 7.0 s behind the host's clock"]


def test_a_clock_that_cannot_be_set_is_not_said_to_be_set() -> None:
    clock = MadeUpClock(-9.0)
    made, lines = service(clock)

    def refused(_by: float) -> None:
        raise SystemCallError("adjtimex", "", errno.EPERM)

    clock.step = refused  # type: ignore[method-assign]
    made.request("1")
    made.request("1")
    assert lines == [
        "the clock could not be set to the host's time: adjtimex: Operation not permitted"
    ]


@pytest.mark.parametrize("value", ["", "2", "yes", "1 "])
def test_bad_values_are_refused(value: str) -> None:
    clock = MadeUpClock(9.0)
    made, _ = service(clock)
    assert made.request(value) == b"ERROR Time_Synchronize: expected 0 or 1"
    assert not made.options()["synctime"](value)
    assert not made.options()["time.synchronize.tools.startup"](value)
    assert clock.moves == []


def test_an_ntp_daemon_is_known_by_its_process(tmp_path: Path) -> None:
    for number, comm in ((1, "init"), (77, "systemd-timesyn"), (78, "bash")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_text(comm + "\n")
    (tmp_path / "99").mkdir()  # ended meanwhile
    (tmp_path / "self").mkdir()
    assert timesync.ntp_daemon(str(tmp_path)) == "systemd-timesyncd"
    (tmp_path / "77" / "comm").write_text("chronyd-like\n")
    assert timesync.ntp_daemon(str(tmp_path)) == ""


def test_without_the_right_to_set_the_clock_the_error_names_the_call() -> None:
    """In a child without privileges; a move by nothing, should it have them all the same."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setuid(65534)
            _core.step_wall_clock(0)
        except SystemCallError as error:
            code = 0 if "adjtimex: Operation not permitted" in str(error) else 2
        except PermissionError:
            code = 3
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 3:
        pytest.skip("needs root (to give it up)")
    assert code == 0
