"""Backups of a busy virtual machine whose disk takes less than its writers give it: QEMU throttles
it by bytes, or by requests, which makes each of them wait.

How long anybody waits is for the benchmark `throttled`. What is true on any machine is here: a
backup is good, or refused before anything was frozen, and leaves nothing behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.roots import missing
from support.throttled import VMTPY, Limits, back_up, throttled_guest
from support.vm_backup import PATIENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.qemu import VirtualMachine

pytestmark = pytest.mark.timeout(1800)

KERNEL = "6.12"  # can bound the dirty pages of a device
BOUNDS = "grep '' /sys/class/bdi/*/strict_limit /sys/class/bdi/*/m??_ratio_fine"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualMachine]:
    if lacking := missing(KERNEL):
        pytest.skip(f"needs {lacking}")
    with throttled_guest(KERNEL, tmp_path_factory.mktemp("throttled")) as made:
        made.write("/run/vmtpy.toml", PATIENT)
        yield made


@pytest.mark.parametrize("limits", [Limits(rate=3), Limits(requests=40)], ids=["bytes", "requests"])
def test_a_backup_on_a_throttled_disk_is_good_or_refused_and_leaves_nothing_behind(
    machine: VirtualMachine, limits: Limits
) -> None:
    bounds = machine.check("sh", "-c", BOUNDS)
    backup = back_up(machine, (*VMTPY, "--config", "/run/vmtpy.toml"), limits, 8)
    print(backup.outcome, backup.error, backup.moments, backup.record)
    if backup.outcome == "done":
        assert backup.record["outcome"] == "released"
    else:
        assert backup.record["first_freeze"] == 0
        assert "/data: writers dirty" in backup.error
    assert machine.check("sh", "-c", BOUNDS) == bounds
    assert "freeze-" not in machine.run("ls", "/run/vmtpy").out
    machine.check("sh", "-c", "echo written > /data/new && sync")
