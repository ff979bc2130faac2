"""Power operations. The deed is a recorder: a program that writes down that it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.emulated import EmulatedHost

from vmtpy.config import PowerConfig
from vmtpy.services import power_hooks
from vmtpy.services.power import Power
from vmtpy.services.rpc import Rpc

if TYPE_CHECKING:
    from pathlib import Path


class Rig:
    """Power on an in-process host, with a directory for hooks."""

    def __init__(self, directory: Path) -> None:
        self.host = EmulatedHost()
        self.lines: list[str] = []
        self.settled: list[int] = []
        self.done = directory / "done"
        self.hooks = directory / "power.d"
        self.hooks.mkdir(mode=0o755)
        self.power = Power(
            PowerConfig(
                halt=("sh", "-c", f"echo halt >> {self.done}"),
                reboot=("sh", "-c", f"echo reboot >> {self.done}"),
            ),
            Rpc(self.host.backdoor, self.lines.append),
            lambda name: power_hooks.run_power_hooks(name, 5.0, self.lines.append, str(self.hooks)),
            self.settled.append,
            self.lines.append,
        )

    def hook(self, name: str, text: str, mode: int = 0o755) -> None:
        file = self.hooks / name
        file.write_text("#!/bin/sh\n" + text)
        file.chmod(mode)

    def reports(self) -> list[bytes]:
        return [entry.request for entry in self.host.device.take_transcript()]

    def deeds(self) -> list[str]:
        return self.done.read_text().split() if self.done.exists() else []


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize(
    ("command", "state", "deeds"),
    [
        ("OS_Halt", 1, ["halt"]),
        ("OS_Reboot", 2, ["reboot"]),
        ("OS_PowerOn", 3, []),
        ("OS_Resume", 4, []),
        ("OS_Suspend", 5, []),
    ],
)
def test_it_reports_answers_and_only_then_acts(
    rig: Rig, command: str, state: int, deeds: list[str]
) -> None:
    assert rig.power.request(command, 7) == b"OK "
    assert rig.reports() == [b"tools.os.statechange.status 1 %d" % state]
    assert rig.deeds() == []
    rig.power.answered(8)
    assert rig.deeds() == [], "another command's answer"
    rig.power.answered(7)
    assert rig.deeds() == deeds
    rig.power.answered(7)
    assert rig.deeds() == deeds, "once"


def test_hooks_run_in_the_order_of_their_names_with_the_operations_name(rig: Rig) -> None:
    for name in ("20-b", "10-a", ".hidden"):
        rig.hook(name, f'echo "{name} $1" >> {rig.done}\n')
    assert rig.power.request("OS_Suspend", 1) == b"OK "
    assert rig.done.read_text() == "10-a suspend\n20-b suspend\n"


def test_a_failed_hook_stops_the_first_request_and_not_the_second(rig: Rig) -> None:
    rig.hook("10-fails", "echo no space left; exit 3\n")
    rig.hook("20-runs", f"echo hook >> {rig.done}\n")
    assert rig.power.request("OS_Halt", 1) == b"OK ", "the host goes by the status"
    assert rig.settled == [1]
    rig.power.answered(1)
    assert rig.reports() == [b"tools.os.statechange.status 0 1"]
    assert rig.deeds() == ["hook"]
    assert "OS_Halt: hook 10-fails halt failed with exit code 3: no space left" in rig.lines
    assert rig.power.request("OS_Halt", 2) == b"OK "
    assert rig.settled == [1], "its deed is still to come"
    rig.power.answered(2)
    assert rig.settled == [1, 2]
    assert rig.reports() == [b"tools.os.statechange.status 1 1"]
    assert rig.deeds() == ["hook", "hook", "halt"]


def test_another_request_in_between_does_not_count_as_the_second(rig: Rig) -> None:
    rig.hook("10-fails", "exit 1\n")
    for number, name in enumerate(("OS_Halt", "OS_Reboot", "OS_Halt", "OS_Halt"), 1):
        assert rig.power.request(name, number) == b"OK "
    assert rig.reports() == [
        b"tools.os.statechange.status 0 1",
        b"tools.os.statechange.status 0 2",
        b"tools.os.statechange.status 0 1",
        b"tools.os.statechange.status 1 1",
    ]


@pytest.mark.parametrize(("mode", "who"), [(0o775, "its group"), (0o757, "everybody")])
def test_what_root_must_not_run_is_not_run_and_stops_the_operation(
    rig: Rig, mode: int, who: str
) -> None:
    rig.hook("10-bad", f"echo ran >> {rig.done}\n", mode)
    assert rig.power.request("OS_Halt", 1) == b"OK "
    assert rig.reports() == [b"tools.os.statechange.status 0 1"]
    assert any(f"10-bad is writable by {who}" in line for line in rig.lines)
    assert rig.deeds() == []


def test_a_file_that_is_not_executable_is_no_hook(rig: Rig) -> None:
    rig.hook("README", "not a program", 0o644)
    assert rig.power.request("OS_Suspend", 1) == b"OK "
    assert rig.lines == [f"{rig.hooks}/README is not run as a hook: not executable"]


def test_a_hook_that_hangs_is_killed_and_counts_as_failed(rig: Rig) -> None:
    rig.hook("10-hangs", "sleep 1000\n")
    failures = power_hooks.run_power_hooks("halt", 0.2, rig.lines.append, str(rig.hooks))
    assert failures == ["hook 10-hangs halt was killed after 0.2 s"]


def test_a_directory_that_others_can_write_to_is_not_used(rig: Rig) -> None:
    rig.hook("10-a", f"echo ran >> {rig.done}\n")
    rig.hooks.chmod(0o777)
    assert rig.power.request("OS_Halt", 1) == b"OK "
    assert rig.reports() == [b"tools.os.statechange.status 0 1"]
    refused = f"OS_Halt: the hooks directory {rig.hooks} is refused: {rig.hooks} is writable by"
    assert any(line.startswith(refused) for line in rig.lines)
    assert rig.deeds() == []


def test_a_command_that_fails_or_is_not_there_is_logged(tmp_path: Path) -> None:
    lines: list[str] = []
    config = PowerConfig(halt=("/nowhere/halt",), reboot=("sh", "-c", "echo why; exit 4"))
    settled: list[int] = []
    power = Power(
        config,
        Rpc(EmulatedHost().backdoor, lines.append),
        lambda _name: [],
        settled.append,
        lines.append,
    )
    for number, command in enumerate(("OS_Halt", "OS_Reboot")):
        power.request(command, number)
        power.answered(number)
    assert "/nowhere/halt: [Errno 2] No such file or directory: '/nowhere/halt'" in lines
    assert "sh failed with exit code 4: why" in lines
    assert settled == [0, 1]


def test_hooks_that_cannot_be_run_at_all_are_told_as_a_failure() -> None:
    host = EmulatedHost()
    lines: list[str] = []
    settled: list[int] = []

    def hooks(_name: str) -> list[str]:
        raise MemoryError

    config = PowerConfig(halt=("true",), reboot=("true",))
    power = Power(config, Rpc(host.backdoor, lines.append), hooks, settled.append, lines.append)
    assert power.request("OS_Reboot", 9) == b"OK "
    reports = [entry.request for entry in host.device.take_transcript()]
    assert reports == [b"tools.os.statechange.status 0 2"]
    assert settled == [9]
    assert lines[0] == "OS_Reboot: the hooks could not be run: MemoryError: "


def test_a_host_that_is_away_keeps_no_deed_from_being_done(rig: Rig) -> None:
    rig.host.device.misbehave(0, times=0, status=0)
    assert rig.power.request("OS_Halt", 1) == b"OK "
    rig.power.answered(1)
    assert rig.deeds() == ["halt"]
