"""A whole life of a real agent under a host that does as ESXi does, in this process: from the burst
of options over a stun in the middle of a backup to the verdict. Its disk is simulated.
"""

from __future__ import annotations

import pytest
from support.patience import PATIENCE

from vmtpy.config import Config, HooksConfig
from vmtpy.host import esxi
from vmtpy.host.esxi import BURST, PING
from vmtpy.testing import EmulatedHost, Kind, SimulatedGuest

PATH = "/srv"
PING_EVERY, STUN = 0.2, 0.05  # seconds
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
        self.frozen: list[bool] = []
        self.stunned: list[bool] = []
        host = EmulatedHost(vsock=vsock, commands_over_vsock=False)
        guest = SimulatedGuest(host, Config(hooks=HooksConfig(directory="")), paths=[PATH])
        self.device, self.disk, self.log = host.device, guest.disk, guest.warnings
        with host:
            with guest, host.esxi(ping=PING_EVERY, stun=STUN) as life:
                self.results = [life.backup(self.snapshot, TIMEOUT) for _ in range(2)]
            self.seen = host.messages
            self.verdict = life.verdict

    def snapshot(self) -> None:
        self.frozen.append(self.disk.frozen(PATH))
        self.stunned.append(self.device.in_flight())

    def told(self, kind: Kind) -> list[bytes]:
        return [message.text for message in self.seen if message.kind == kind]


@pytest.fixture(scope="module", params=[False, True], ids=["backdoor", "vsock"])
def life(request: pytest.FixtureRequest) -> Life:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(esxi, "_IN_FLIGHT", PATIENCE)  # a busy guest may be long about it
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
        assert result.done_sent - result.commit >= STUN
    assert not life.disk.frozen(PATH)


def test_every_command_was_taken_in_the_order_in_which_it_was_sent(life: Life) -> None:
    commands = life.told("command")
    assert commands[: len(BURST)] == list(BURST)
    assert PING in commands
    assert len(life.told("reply")) == len(commands)


def test_the_manifest_is_fetched_after_the_guest_is_done(life: Life) -> None:
    requests = [message.text for message in life.seen]
    done = requests.index(b"vmbackup.eventSet req.done 0 ")
    fetches = [place for place, text in enumerate(requests) if text.startswith(b"f ")]
    assert fetches
    assert min(fetches) > done
