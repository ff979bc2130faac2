"""What the host makes of a guest, each time with one thing that a guest can do wrong.

The guests are played by hand over the in-process host, and time is a manual clock's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vmtpy._core import Rpci, Tclo
from vmtpy._host import Device, EmulatedBackdoor, ManualClock
from vmtpy.host.esxi import BURST, PING
from vmtpy.host.script import BackupOutcome, BackupResult
from vmtpy.host.verdict import Judge, Verdict, fault_of_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFEST = (
    b"<quiesceManifest><productVersion>1</productVersion>"
    b"<providerName>fifreeze</providerName></quiesceManifest>"
)
INFO = (
    b"SetGuestInfo  1 guest",
    b"SetGuestInfo  10 \0\0\0\3",
    b"SetGuestInfo  11 details",
    b'SetGuestDiskInfo {"version":"1"}',
)
ANNOUNCED = (b"tools.set.version 1", b"tools.capability.statechange ", b"SetGuestInfo  7 100")
SERVED = b"tools.capability.hgfs_server toolbox 1"
COMMANDS = (*BURST, PING)


class Guest:
    """Tools that do everything right, but for what a test has taken from them or changed.

    Attributes:
        announced: requests that come before the answer to Capabilities_Register.
        info: requests that come after it.
        replies: answers other than "OK ".
        delay: seconds to each answer.
    """

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.device = Device(self.clock)
        self.judge = Judge()
        backdoor = EmulatedBackdoor(self.device)
        self.rpci, self.tclo = Rpci(backdoor), Tclo(backdoor)
        self.announced, self.info = list(ANNOUNCED), list(INFO)
        self.replies = {b"reset": b"OK ATR toolbox"}
        self.delay = 0.0

    def hears(self, *commands: bytes) -> None:
        for command in commands:
            self.judge.sent(command, self.clock.now())
            self.device.send_command(command)

    def answers(self) -> None:
        """All that waits for it."""
        while (command := self.tclo.poll()) is not None:
            self.clock.advance(self.delay)
            if command == b"Capabilities_Register":
                for request in self.announced:
                    self.rpci.call(request)
            self.tclo.answer(self.replies.get(command, b"OK "))
            self.tclo.poll()  # carries the answer

    def lives(self) -> Verdict:
        self.tclo.poll()
        for command in COMMANDS:
            self.hears(command)
            self.answers()
        for request in self.info:
            self.rpci.call(request)
        return self.verdict()

    def verdict(self) -> Verdict:
        for entry in self.device.take_transcript():
            self.judge.entry(entry)
        return self.judge.verdict(self.clock.now())


def test_a_good_guest_has_a_good_verdict() -> None:
    verdict = Guest().lives()
    assert verdict.good
    assert [str(finding) for finding in verdict.findings] == [
        "VMware Tools: running",
        "soft power operations: possible",
        "guest info: complete",
    ]
    assert verdict.remarks == ()


def silent(guest: Guest) -> None:
    guest.lives = guest.verdict  # type: ignore[method-assign]


def knows_no_nul(guest: Guest) -> None:
    guest.replies[PING] = b"ERROR Unknown Command"


def resets_wrongly(guest: Guest) -> None:
    guest.replies[b"reset"] = b"OK "


def refuses_to_register(guest: Guest) -> None:
    guest.replies[b"Capabilities_Register"] = b"ERROR not now"


def has_no_version(guest: Guest) -> None:
    guest.announced.remove(b"tools.set.version 1")


def is_slow(guest: Guest) -> None:
    guest.delay = 9.5


TOOLS: dict[Callable[[Guest], None], str] = {
    silent: "the guest never asked the host for commands",
    knows_no_nul: "1 of 1 pings were answered 'ERROR Unknown Command', not OK",
    resets_wrongly: "reset was answered 'OK ', not OK ATR",
    refuses_to_register: "Capabilities_Register was answered 'ERROR not now', not OK",
    has_no_version: "the guest announced no version",
    is_slow: "ping was not answered within 9 s",
}


@pytest.mark.parametrize("wrong", TOOLS)
def test_tools_that_do_one_thing_wrong_are_not_running(wrong: Callable[[Guest], None]) -> None:
    guest = Guest()
    wrong(guest)
    verdict = guest.lives()
    assert not verdict.good
    assert (verdict.tools.good, verdict.tools.state) == (False, "not running")
    assert TOOLS[wrong] in verdict.tools.reasons


def test_a_guest_that_stops_answering_is_not_running_when_the_host_gives_up() -> None:
    guest = Guest()
    assert guest.lives().good
    guest.hears(PING)
    guest.clock.advance(9)
    assert guest.verdict().good
    guest.clock.advance(0.1)
    assert guest.verdict().tools.reasons == ("ping was not answered within 9 s",)


def test_an_answer_that_comes_too_late_does_not_help() -> None:
    guest = Guest()
    guest.lives()
    guest.hears(PING)
    guest.clock.advance(10)
    guest.answers()
    assert guest.verdict().tools.reasons == ("ping was not answered within 9 s",)


def test_an_uptime_after_the_answer_is_too_late_for_a_second_restart() -> None:
    guest = Guest()
    guest.announced.remove(b"SetGuestInfo  7 100")
    guest.info.append(b"SetGuestInfo  7 100")
    verdict = guest.lives()
    assert verdict.tools.good
    assert verdict.guest_info.good
    assert verdict.power.state == "not possible"
    assert [reason.split(":")[0] for reason in verdict.power.reasons] == [
        "the uptime did not come before the answer to Capabilities_Register"
    ]


def test_without_the_capability_there_are_no_soft_power_operations() -> None:
    guest = Guest()
    guest.announced.remove(b"tools.capability.statechange ")
    assert guest.lives().power.reasons == (
        "the guest did not announce tools.capability.statechange",
    )


def test_guest_info_names_what_is_missing() -> None:
    guest = Guest()
    guest.info = [b"SetGuestInfo  5 only one of the two names", b"SetGuestInfo  9 \0"]
    assert guest.lives().guest_info.reasons == (
        "no host name",
        "no operating system",
        "no disks",
    )


def test_what_the_host_refused_was_not_told() -> None:
    guest = Guest()
    guest.device.answer_with("SetGuestInfo  1 ", "0 no", times=0)
    assert guest.lives().guest_info.reasons == ("no host name",)


def test_refused_options_and_answers_of_no_known_kind_are_remarked_on() -> None:
    guest = Guest()
    guest.replies[BURST[1]] = b"ERROR Unknown"
    guest.replies[b"Time_Synchronize 0"] = b"Unknown Command"
    verdict = guest.lives()
    assert verdict.good
    assert verdict.remarks == (
        "Set_Option synctime.period was refused: 'ERROR Unknown'",
        "Time_Synchronize was answered 'Unknown Command', neither OK nor ERROR",
    )


def test_a_snapshot_is_quiesced_if_the_host_has_its_manifest() -> None:
    judge = Judge()
    done = BackupResult(outcome=BackupOutcome.DONE)
    judge.snapshot(done, MANIFEST)
    judge.snapshot(done, None, "the guest serves none")
    judge.snapshot(done, b"<other/>")
    judge.snapshot(BackupResult(BackupOutcome.ROLLED_BACK, error="thawed by itself"), MANIFEST)
    assert [str(finding) for finding in judge.verdict(0).snapshots] == [
        "snapshot: quiesced, the host has the manifest",
        "snapshot: not quiesced: the host did not get the manifest: the guest serves none",
        "snapshot: not quiesced: the manifest is not valid: its root element is other, not "
        "quiesceManifest",
        "snapshot: not quiesced: rolled back: thawed by itself",
    ]
    assert not judge.verdict(0).good


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        (b"", "it is not XML"),
        (b"<quiesceManifest>", "it is not XML"),
        (MANIFEST.replace(b"productVersion", b"version"), "it has no productVersion"),
        (MANIFEST.replace(b"fifreeze", b""), "it has no providerName"),
    ],
)
def test_what_is_no_manifest(manifest: bytes, fault: str) -> None:
    assert fault_of_manifest(MANIFEST) == ""
    assert fault_of_manifest(manifest).startswith(fault)


def test_the_files_are_served_when_that_was_announced() -> None:
    guest = Guest()
    guest.lives()
    assert not guest.judge.serves_files()
    guest.rpci.call(SERVED)
    guest.verdict()
    assert guest.judge.serves_files()


def test_the_verdict_as_json_has_what_people_read() -> None:
    guest = Guest()
    knows_no_nul(guest)
    verdict = guest.lives()
    told = verdict.as_dict()
    assert told["good"] is False
    assert told["tools"] == {
        "good": False,
        "state": "not running",
        "reasons": list(verdict.tools.reasons),
    }
    assert told["snapshots"] == []
