"""A whole life of a real agent under a host that does as ESXi does, in this process: from the burst
of options over a stun in the middle of a backup to the verdict. Its disk is simulated.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.names import unique_base

from vmtpy import _core, _host
from vmtpy.agent import Agent
from vmtpy.config import Config, HooksConfig
from vmtpy.host.esxi import BURST, PING, Esxi, Periods
from vmtpy.host.listener import Listener
from vmtpy.host.script import BackupRequest, BackupResult
from vmtpy.log import Log

if TYPE_CHECKING:
    from vmtpy.host.verdict import Verdict

PATH = "/srv"
PERIODS = Periods(ping=0.2, stun=0.05)
TIMEOUT = 60.0


class Life:
    """An agent's life with two snapshots, as its host tells it.

    Attributes:
        results: of the snapshots.
        frozen: whether the disk was frozen while each was taken.
        stunned: whether the guest's last message was in flight then.
        seen: all messages.
        log: what the agent has logged as a warning or worse.
        verdict: what vSphere would show.
    """

    def __init__(self, vsock: bool) -> None:
        self.device = _host.Device(_core.SteadyClock())
        self.disk = _host.SimulatedDisk([PATH])
        self.results: list[BackupResult] = []
        self.frozen: list[bool] = []
        self.stunned: list[bool] = []
        self.seen: list[_host.TranscriptEntry] = []
        self.log: list[str] = []
        base = unique_base("esxi")
        service = _host.VsockService(self.device, base, tclo=False) if vsock else None
        agent = Agent(
            Config(hooks=HooksConfig(directory="")),
            log=Log(lambda level, line: self.log.append(line) if level <= 4 else None),
            backdoor=_host.EmulatedBackdoor(self.device),
            dialer=_host.UnixDialer(base) if vsock else None,
            system=self.disk,
            planner=lambda _: _core.Plan(self.disk.filesystems()),
            guardian=False,
        )
        listener = Listener(self.device)
        follower = listener.follow()
        esxi = Esxi(self.device, listener, self.device, PERIODS)
        thread = threading.Thread(target=agent.run)
        thread.start()
        try:
            with listener:
                assert self.device.wait_for_tools(time.monotonic() + TIMEOUT)
                esxi.begin()
                for _ in range(2):
                    request = BackupRequest(snapshot=self.snapshot, timeout=TIMEOUT)
                    self.results.append(esxi.backup(request))
        finally:
            agent.stop()
            thread.join()
        while entry := follower.next():
            self.seen.append(entry)
        self.verdict: Verdict = esxi.verdict()
        del service

    def snapshot(self) -> None:
        self.frozen.append(self.disk.frozen(PATH))
        self.stunned.append(self.device.in_flight())

    def told(self, kind: _host.MessageKind) -> list[_host.TranscriptEntry]:
        return [entry for entry in self.seen if entry.kind == kind]


@pytest.fixture(scope="module", params=[False, True], ids=["backdoor", "vsock"])
def life(request: pytest.FixtureRequest) -> Life:
    return Life(request.param)


def test_vsphere_would_show_all_of_it_as_good(life: Life) -> None:
    quiesced = "snapshot: quiesced, the host has the manifest"
    assert [str(finding) for finding in life.verdict.findings] == [
        "VMware Tools: running",
        "soft power operations: possible",
        "guest info: complete",
        quiesced,
        quiesced,
    ]
    assert life.verdict.good
    assert life.verdict.remarks == ()
    assert life.log == []


def test_each_snapshot_was_taken_of_a_frozen_disk_in_a_stun(life: Life) -> None:
    assert life.frozen == [True, True]
    assert life.stunned == [True, True], "a message was in flight"
    for result in life.results:
        assert result.succeeded
        assert result.commit is not None
        assert result.done_sent is not None
        assert result.done_sent - result.commit >= PERIODS.stun
    assert not life.disk.frozen(PATH)


def test_every_command_was_taken_in_the_order_in_which_it_was_sent(life: Life) -> None:
    commands = [entry.request for entry in life.told(_host.MessageKind.TCLO_COMMAND)]
    assert commands[: len(BURST)] == list(BURST)
    assert PING in commands
    assert len(life.told(_host.MessageKind.TCLO_REPLY)) == len(commands)


def test_the_manifest_is_fetched_after_the_guest_is_done(life: Life) -> None:
    requests = [entry.request for entry in life.seen]
    done = requests.index(b"vmbackup.eventSet req.done 0 ")
    fetches = [place for place, text in enumerate(requests) if text.startswith(b"f ")]
    assert fetches
    assert min(fetches) > done
