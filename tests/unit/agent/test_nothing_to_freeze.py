"""What the host is told when there is nothing to freeze: why, in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.machine import Machine

from vmtpy import _core, _host
from vmtpy.config import QuiesceConfig
from vmtpy.errors import PlanError
from vmtpy.hooks import Hooks
from vmtpy.log import Log
from vmtpy.quiesce import Quiesce

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """/ and /srv on sda; a pseudo filesystem and one in memory."""
    made = Machine(tmp_path)
    made.disk("sda", "8:0", wwid="naa.6000c29aaaaaaaaaaaaaaaaaaaaaaaaa")
    made.partition("sda1", "8:1", of="sda")
    made.partition("sda2", "8:2", of="sda")
    made.mount("/", super_options="ro")
    made.mount("/proc", "proc", "0:20", "proc")
    made.mount("/run", "tmpfs", "0:21", "tmpfs")
    return made


def told(machine: Machine, volumes: str = "", **config: tuple[str, ...]) -> str:
    """What an agent on that machine would tell the host."""

    def plan(request: _core.PlanRequest) -> _core.Plan:
        return machine.plan(
            include=tuple(request.include),
            exclude=tuple(request.exclude),
            volumes=tuple(request.volumes),
        )

    quiesce = Quiesce(
        QuiesceConfig(**config),  # type: ignore[arg-type]
        Hooks(),
        system=_host.SimulatedDisk([]),
        clock=_host.ManualClock(),
        planner=plan,
        log=Log(lambda *_: None),
    )
    with pytest.raises(PlanError) as error:
        quiesce.plan(volumes)
    return str(error.value)


def test_the_reasons_of_the_plan_are_told_but_for_what_nobody_misses(machine: Machine) -> None:
    machine.mount("/srv", "xfs", "8:2", "/dev/sda2")
    assert told(machine, exclude=("/s*",)) == (
        "there is nothing to freeze; /: read-only; /srv: excluded by exclude = /s*"
    )


def test_volumes_on_which_nothing_lies_are_told(machine: Machine) -> None:
    uuid = "6000c29bbbbbbbbbbbbbbbbbbbbbbbbb"
    text = told(machine, uuid)
    assert text.startswith(f"there is nothing to freeze; no filesystem lies on {uuid}; /: ")


def test_what_is_only_synced_is_no_success(machine: Machine) -> None:
    machine.mount("/boot/efi", "vfat", "8:2", "/dev/sda2")
    assert "; /boot/efi: vfat can only be synced, not frozen" in told(machine)


def test_a_thousand_reasons_are_a_few(machine: Machine) -> None:
    for number in range(1000):
        machine.mount(f"/mnt/{number:04}", "nfs", f"0:{100 + number}", "server:/export")
    text = told(machine)
    assert "; /mnt/0003: network filesystem; 996 more (see `vmtpy plan`)" in text
    assert len(text) < 400
