"""Those whom the agent gives its lines and records: whatever they do, it goes on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from support.patience import PATIENCE

from vmtpy import _core, _host
from vmtpy.agent import Agent
from vmtpy.config import Config, GuestInfoConfig
from vmtpy.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_log_that_cannot_be_written_loses_its_lines_only() -> None:
    def full(_: int, line: str) -> None:
        raise OSError(28, "No space left on device")

    log = Log(full)
    log("one")
    log.error("two")


def test_an_agent_whose_log_and_record_cannot_be_written_takes_snapshot_after_snapshot() -> None:
    records: list[_core.RunRecord] = []

    def take(record: _core.RunRecord) -> None:
        records.append(record)
        raise ValueError("not today")

    def log(line: str) -> None:
        raise BrokenPipeError(line)

    device = _host.Device(_core.SteadyClock())
    disk = _host.SimulatedDisk(["/srv"])
    said: list[bytes] = []

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, said
            said.extend(entry.request for entry in device.take_transcript(time.monotonic() + 0.002))

    agent = Agent(
        Config(guest_info=GuestInfoConfig(enabled=False)),
        log=log,
        on_record=take,
        backdoor=_host.EmulatedBackdoor(device),
        system=disk,
        planner=lambda _: _core.Plan(disk.filesystems()),
        guardian=False,
    )
    thread = threading.Thread(target=agent.run)
    thread.start()
    for turn in (1, 2):
        device.send_command("vmbackup.start 0")
        until(lambda: said.count(b"vmbackup.eventSet prov.snapshotCommit 0 ") == turn)  # noqa: B023
        device.send_command("vmbackup.snapshotDone")
        until(lambda: said.count(b"vmbackup.eventSet req.done 0 ") == turn)  # noqa: B023
    agent.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert [record.outcome for record in records] == [_core.Outcome.RELEASED] * 2
