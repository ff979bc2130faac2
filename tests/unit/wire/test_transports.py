"""Which way to the host is used: the table of choices, what is remembered of failures, and requests
over vsock with the backdoor behind them.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import TYPE_CHECKING

import pytest
from support.names import unique_base
from support.patience import PATIENCE

from vmtpy import _core
from vmtpy._core import Preference, Protocol, VsockState
from vmtpy._host import (
    Device,
    EmulatedBackdoor,
    ManualClock,
    MessageKind,
    PacketDecoder,
    Transport,
    UnixDialer,
    VsockFault,
    VsockService,
)
from vmtpy.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Iterator

RPCI_PORT = 976
QUICK = 0.3  # real seconds, for hosts that do not reply


class Host:
    """An emulated host on the backdoor and on vsock; `Transports` to it with a clock by hand."""

    def __init__(
        self,
        preference: Preference = Preference.AUTO,
        *,
        backdoor: bool = True,
        listens: bool = True,
        secure: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        self.clock = ManualClock()
        self.device = Device(self.clock, secure=secure)
        self.base = unique_base("transports")
        self.service = VsockService(self.device, self.base) if listens else None
        self.dialer = UnixDialer(self.base)
        way = EmulatedBackdoor(self.device) if backdoor else _core.AbsentBackdoor()
        self.backdoor = _core.MeteredBackdoor(way)
        self.transports = _core.Transports(
            self.backdoor, self.dialer, self.clock, preference=preference, connect=patience
        )
        self.rpci = _core.Rpci(self.transports)
        self.rpci.set_patience(patience)

    def transports_used(self) -> list[Transport]:
        """By which way each request came, so far."""
        entries = self.device.take_transcript()
        return [entry.transport for entry in entries if entry.kind == MessageKind.RPCI]

    def traps(self) -> int:
        counts = self.backdoor.counts()
        return counts["low"] + counts["high_in"] + counts["high_out"]


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.rpci.close()


def serving(host: Host) -> VsockService:
    assert host.service is not None
    return host.service


def choices(preference: Preference, *, backdoor: bool) -> list[str]:
    states = VsockState
    return [_core.choose_transport(preference, backdoor, state).name for state in states]


@pytest.mark.parametrize(
    ("preference", "backdoor", "expected"),
    [  # vsock: absent, due, connecting, open, resting
        (Preference.AUTO, True, ["BACKDOOR", "BACKDOOR", "BACKDOOR", "VSOCK", "BACKDOOR"]),
        (Preference.AUTO, False, ["NONE", "WAIT", "WAIT", "VSOCK", "NONE"]),
        (Preference.SPARE, True, ["BACKDOOR", "BACKDOOR", "BACKDOOR", "VSOCK", "BACKDOOR"]),
        (Preference.SPARE, False, ["NONE", "WAIT", "WAIT", "VSOCK", "NONE"]),
        (Preference.VSOCK, True, ["NONE", "WAIT", "WAIT", "VSOCK", "NONE"]),
        (Preference.VSOCK, False, ["NONE", "WAIT", "WAIT", "VSOCK", "NONE"]),
        (Preference.BACKDOOR, True, ["BACKDOOR"] * 5),
        (Preference.BACKDOOR, False, ["NONE"] * 5),
    ],
)
def test_each_case_of_the_choice(
    preference: Preference, backdoor: bool, expected: list[str]
) -> None:
    assert choices(preference, backdoor=backdoor) == expected


@pytest.mark.parametrize(
    ("preference", "with_backdoor", "without"),
    [
        (Preference.AUTO, True, True),
        (Preference.SPARE, False, True),
        (Preference.VSOCK, True, True),
        (Preference.BACKDOOR, False, False),
    ],
)
def test_who_connects_over_vsock_in_the_background(
    preference: Preference, with_backdoor: bool, without: bool
) -> None:
    assert _core.wants_vsock(preference, True) == with_backdoor
    assert _core.wants_vsock(preference, False) == without


def test_requests_go_over_vsock_where_the_host_listens(host: Host) -> None:
    assert host.rpci.call(b"log x") == (True, b"")
    assert host.rpci.over_vsock
    assert host.transports_used() == [Transport.PRIVILEGED_VSOCK]
    assert host.traps() == 0


def test_one_connection_carries_many_requests(host: Host) -> None:
    for size in (1, 100, 65000):
        assert host.rpci.call(b"info-set guestinfo.k " + bytes(b"x" * size))[0]
        assert host.rpci.call(b"info-get guestinfo.k") == (True, b"x" * size)
    assert serving(host).counts()["connections"] == 1
    assert serving(host).counts()["packets"] == 12


def test_the_backdoor_serves_while_vsock_connects(host: Host) -> None:
    host.dialer.hold(True)
    assert host.rpci.call(b"log x")[0]
    assert not host.rpci.over_vsock
    host.dialer.hold(False)
    assert host.rpci.call(b"log x")[0]
    assert host.rpci.over_vsock
    assert host.dialer.dials == 1


def test_connecting_is_given_up_after_a_while() -> None:
    host = Host(patience=QUICK)
    host.dialer.hold(True)
    host.rpci.call(b"log x")
    host.clock.advance(QUICK + 0.1)
    host.rpci.call(b"log x")
    assert "port 976 did not answer within 0.3 s" in host.transports.trouble(Protocol.RPCI)


def test_a_failed_attempt_is_remembered_2_s_doubling_to_5_min() -> None:
    host = Host(listens=False)
    pauses = []
    last = host.clock.now()
    while len(pauses) < 11:
        dials = host.dialer.dials
        assert host.rpci.call(b"log x")[0]
        if host.dialer.dials > dials:
            pauses.append(round(host.clock.now() - last))
            last = host.clock.now()
        host.clock.advance(1.0)
    assert pauses == [0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize(("lived", "over_vsock"), [(61.0, True), (30.0, False)])
def test_a_connection_that_has_lasted_a_minute_begins_the_pauses_anew(
    host: Host, lived: float, *, over_vsock: bool
) -> None:
    serving(host).stop_listening()
    for _ in range(5):
        host.rpci.call(b"log x")
        host.clock.advance(33.0)
    serving(host).listen_again()
    host.rpci.call(b"log x")
    assert host.rpci.over_vsock
    host.clock.advance(lived)
    serving(host).drop_connections()
    host.rpci.call(b"log x")
    host.clock.advance(2.1)
    host.rpci.call(b"log x")
    assert host.rpci.over_vsock is over_vsock


def test_a_host_that_begins_to_listen_is_found(host: Host) -> None:
    serving(host).stop_listening()
    host.rpci.call(b"log x")
    assert not host.rpci.over_vsock
    serving(host).listen_again()
    host.clock.advance(1.9)
    host.rpci.call(b"log x")
    assert not host.rpci.over_vsock
    host.clock.advance(0.2)
    host.rpci.call(b"log x")
    assert host.rpci.over_vsock
    assert host.transports.trouble(Protocol.RPCI) == ""


FAULTS = [fault for fault in VsockFault if fault.name not in ("UNKNOWN_FIELDS",)]
SILENT = (VsockFault.SILENCE, VsockFault.STALL)
HARMLESS = (VsockFault.PING_STORM, VsockFault.SLOW)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.lower())
def test_a_request_over_vsock_that_breaks_goes_over_the_backdoor_in_the_same_call(
    fault: VsockFault,
) -> None:
    host = Host()
    host.device.set_guestinfo("k", "v")
    after = 0 if fault == VsockFault.RESET else 1
    serving(host).misbehave(fault, port=RPCI_PORT, after=after, times=1)
    host.rpci.call(b"log x")
    host.rpci.set_patience(QUICK if fault in SILENT else PATIENCE)
    assert host.rpci.call(b"info-get guestinfo.k") == (True, b"v")
    assert host.rpci.over_vsock == (fault in HARMLESS)
    host.rpci.set_patience(PATIENCE)
    host.clock.advance(2.1)
    assert host.rpci.call(b"info-get guestinfo.k") == (True, b"v")
    assert host.rpci.over_vsock


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.lower())
def test_without_a_backdoor_a_request_that_breaks_goes_over_a_new_connection(
    fault: VsockFault,
) -> None:
    host = Host(backdoor=False)
    host.device.set_guestinfo("k", "v")
    after = 0 if fault == VsockFault.RESET else 1
    serving(host).misbehave(fault, port=RPCI_PORT, after=after, times=1)
    for turn in range(2):
        host.rpci.set_patience(QUICK if turn == after and fault in SILENT else PATIENCE)
        try:
            host.rpci.call(b"log x")
        except ChannelError:  # a connection that was closed as soon as it was accepted
            assert fault == VsockFault.RESET
            host.clock.advance(2.1)
    host.rpci.set_patience(PATIENCE)
    assert host.rpci.call(b"info-get guestinfo.k") == (True, b"v")


def test_unknown_fields_of_a_reply_are_passed_over(host: Host) -> None:
    serving(host).misbehave(VsockFault.UNKNOWN_FIELDS, port=RPCI_PORT, times=0)
    assert host.rpci.call(b"log x")[0]
    assert host.rpci.over_vsock


def test_a_reply_that_comes_late_is_not_taken_for_that_to_the_next_request() -> None:
    host = Host()
    serving(host).misbehave(VsockFault.STALL, port=RPCI_PORT, times=1)
    host.device.set_guestinfo("k", "v")
    host.rpci.set_patience(QUICK)
    host.rpci.call(b"log x")
    host.rpci.set_patience(PATIENCE)
    host.clock.advance(2.1)
    assert host.rpci.call(b"info-get guestinfo.k") == (True, b"v")
    assert serving(host).counts()["connections"] == 2


def test_a_reply_that_nobody_asked_for_breaks_the_connection(host: Host) -> None:
    from vmtpy._host import encode_packet

    host.device.set_guestinfo("k", "v")
    host.rpci.call(b"log x")
    serving(host).send_raw(RPCI_PORT, encode_packet(b"1 nonsense"))
    time.sleep(0.01)
    assert host.rpci.call(b"info-get guestinfo.k") == (True, b"v")
    assert "nobody had asked for" in host.transports.trouble(Protocol.RPCI)


def test_a_host_that_drops_all_connections_costs_no_request(host: Host) -> None:
    for _ in range(5):
        assert host.rpci.call(b"log x")[0]
        serving(host).drop_connections()
        assert host.rpci.call(b"log y")[0]
        host.clock.advance(61)


def test_a_connection_that_breaks_again_and_again_is_tried_less_and_less(host: Host) -> None:
    serving(host).misbehave(VsockFault.CLOSE, port=RPCI_PORT, times=0)
    for _ in range(40):
        assert host.rpci.call(b"log x")[0]
        host.clock.advance(1.0)
    assert host.dialer.dials == 5  # at 0, 2, 6, 14 and 30 s


# --- vsock alone ---


def test_with_vsock_alone_requests_wait_for_the_connection() -> None:
    host = Host(Preference.VSOCK)
    assert host.rpci.call(b"log x")[0]
    assert host.transports_used() == [Transport.PRIVILEGED_VSOCK]
    assert host.traps() == 0


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errno.EAFNOSUPPORT, "this kernel has no vsock"),
        (errno.ENODEV, "vsock has no way to the host"),
        (errno.ECONNREFUSED, "nobody listens at the host's vsock port 976"),
        (errno.ECONNRESET, "nobody listens at the host's vsock port 976"),
        (errno.ENOMEM, "port 976 cannot be reached: Cannot allocate memory"),
    ],
)
def test_where_vsock_alone_cannot_be_had_the_error_says_why(error: int, text: str) -> None:
    host = Host(Preference.VSOCK)
    host.dialer.fail(error)
    for _ in range(2):  # also while the failure is remembered
        with pytest.raises(ChannelError, match=text):
            host.rpci.call(b"log x")


def test_a_host_that_lets_vsock_alone_wait_is_given_up_in_time() -> None:
    host = Host(Preference.VSOCK, patience=QUICK)
    host.dialer.hold(True)
    with pytest.raises(ChannelError, match=r"did not answer within 0\.3 s"):
        host.rpci.call(b"log x")


def test_a_silent_host_is_given_up_in_time_without_a_backdoor() -> None:
    host = Host(Preference.VSOCK, patience=QUICK)
    serving(host).misbehave(VsockFault.SILENCE, port=RPCI_PORT, times=0)
    with pytest.raises(ChannelError, match=r"no reply over vsock within 0\.3 s"):
        host.rpci.call(b"log x")


# --- the backdoor first ---


def test_a_spare_vsock_is_not_connected_to(host: Host) -> None:
    spare = Host(Preference.SPARE)
    assert spare.rpci.call(b"log x")[0]
    assert spare.dialer.dials == 0


# --- secure GuestRPC ---

DENIED = b"info-set guestinfo.k v"


def test_what_is_denied_is_asked_again_over_privileged_vsock() -> None:
    host = Host(Preference.SPARE, secure=True)
    assert host.rpci.call(DENIED) == (True, b"")
    assert host.transports_used() == [Transport.BACKDOOR, Transport.PRIVILEGED_VSOCK]
    assert host.dialer.privileged_dials == 1


def test_where_privilege_is_not_to_be_had_the_refusal_stands() -> None:
    host = Host(secure=True)
    host.dialer.forbid_privilege()
    assert host.rpci.call(DENIED) == (False, b"Permission denied")
    assert host.transports_used() == [Transport.VSOCK]


def test_what_is_denied_is_asked_only_once_where_nobody_listens() -> None:
    host = Host(Preference.SPARE, secure=True, listens=False)
    for _ in range(3):
        assert host.rpci.call(DENIED) == (False, b"Permission denied")
    assert host.transports_used() == [Transport.BACKDOOR] * 3
    assert host.dialer.dials == 1  # the failure is remembered


def test_what_privileged_vsock_is_denied_is_denied() -> None:
    host = Host(Preference.AUTO)
    host.device.answer_with(b"log", b"0 Permission denied", times=0)
    assert host.rpci.call(b"log x") == (False, b"Permission denied")
    assert host.transports_used() == [Transport.PRIVILEGED_VSOCK]


# --- pairs of ports ---
SLOW = 0.06  # seconds, in which the host lets go of the pair of a connection that has ended


def programs(host: Host, number: int) -> list[_core.Rpci]:
    """Conversations of programs that each begin with the highest port."""
    dialers = [UnixDialer(host.base, host.device) for _ in range(number)]
    return [
        _core.Rpci(
            _core.Transports(
                host.backdoor, dialer, host.clock, preference=Preference.VSOCK, connect=PATIENCE
            )
        )
        for dialer in dialers
    ]


def gone(host: Host) -> bool:
    deadline = time.monotonic() + PATIENCE
    while serving(host).connections() > 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    return serving(host).connections() == 0


def test_the_last_request_has_the_host_close_the_connection(host: Host) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        base = f"{host.base}-raw"
        listener.bind(f"\0{base[1:]}.{RPCI_PORT}")
        listener.listen()
        dialer = UnixDialer(base)
        transports = _core.Transports(
            host.backdoor, dialer, host.clock, preference=Preference.VSOCK, connect=PATIENCE
        )
        rpci = _core.Rpci(transports)
        rpci.set_patience(QUICK)
        closes = []
        for last in (False, True):
            with pytest.raises(ChannelError, match="no reply"):
                rpci.call(b"log x", last=last)
            for _ in range(2):  # it is sent again, over a new connection
                peer, _ = listener.accept()
                decoder = PacketDecoder()
                decoder.feed(peer.recv(1000))
                packet = decoder.take()
                assert packet is not None
                closes.append(packet.close)
                peer.close()
            host.clock.advance(100)
    assert closes == [False, False, True, True]


def test_after_the_last_request_the_connection_is_closed(host: Host) -> None:
    assert host.rpci.call(b"log x", last=True)[0]
    assert gone(host)
    assert host.rpci.call(b"log y")[0]  # on a new one
    assert serving(host).counts()["connections"] == 2
    assert host.transports_used() == [Transport.PRIVILEGED_VSOCK] * 2


def test_where_the_host_still_holds_the_pair_lower_ports_are_tried_up_to_8(host: Host) -> None:
    asked = programs(host, 10)
    for rpci in asked[:8]:
        assert rpci.call(b"log x", last=True)[0]
        assert gone(host)
    with pytest.raises(ChannelError, match="nobody listens"):
        asked[8].call(b"log x", last=True)
    host.clock.advance(SLOW)
    assert asked[9].call(b"log x", last=True)[0]
    assert host.transports_used() == [Transport.PRIVILEGED_VSOCK] * 9


def test_a_program_that_asks_ten_times_in_a_row_is_privileged_each_time(host: Host) -> None:
    dialer = UnixDialer(host.base, host.device)
    for _ in range(10):
        transports = _core.Transports(
            host.backdoor, dialer, host.clock, preference=Preference.VSOCK, connect=PATIENCE
        )
        assert _core.Rpci(transports).call(b"log x", last=True)[0]
        assert gone(host)
    assert host.transports_used() == [Transport.PRIVILEGED_VSOCK] * 10


@pytest.mark.parametrize("later", [False, True], ids=["at once", "on its way"])
@pytest.mark.parametrize(
    ("error", "times"), [(errno.ECONNRESET, 7), (errno.ENOBUFS, 5), (errno.EINTR, 5)]
)
def test_an_attempt_that_failed_for_a_moment_is_repeated(
    error: int, times: int, *, later: bool
) -> None:
    host = Host(Preference.VSOCK)
    host.dialer.fail(error, times=times, later=later)
    assert host.rpci.call(b"log x")[0]
    assert host.transports_used() == [Transport.PRIVILEGED_VSOCK]
    assert host.dialer.dials == times + 1


@pytest.mark.parametrize("later", [False, True], ids=["at once", "on its way"])
@pytest.mark.parametrize(
    ("error", "attempts"), [(errno.ECONNRESET, 8), (errno.ENOBUFS, 6), (errno.EINTR, 6)]
)
def test_it_is_not_repeated_without_end(error: int, attempts: int, *, later: bool) -> None:
    host = Host(Preference.VSOCK)
    host.dialer.fail(error, later=later)
    with pytest.raises(ChannelError):
        host.rpci.call(b"log x")
    assert host.dialer.dials == attempts


def test_connecting_takes_no_longer_for_the_ports_that_were_tried() -> None:
    host = Host(patience=QUICK)
    host.dialer.fail(errno.ECONNRESET, times=1, later=True)
    host.dialer.hold(True)
    host.rpci.call(b"log x")
    host.clock.advance(QUICK + 0.1)
    host.rpci.call(b"log x")
    assert "did not answer within 0.3 s" in host.transports.trouble(Protocol.RPCI)


# --- processes ---


def test_a_fork_refuses_its_parents_conversation(host: Host) -> None:
    host.rpci.call(b"log x")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            host.rpci.call(b"log x")
        except ChannelError as error:
            code = 0 if "before a fork" in str(error) else 2
        host.rpci.close()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert host.rpci.call(b"log x")[0]
    assert host.rpci.over_vsock


def test_a_child_that_holds_a_copy_does_not_keep_a_connection_open(host: Host) -> None:
    """A guardian lives as long as the freeze; two clients would stand in each other's way."""
    host.rpci.call(b"log x")
    lives, ends = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ends)
        os.read(lives, 1)
        os._exit(0)
    host.rpci.close()
    deadline = time.monotonic() + PATIENCE
    while serving(host).connections() > 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert serving(host).connections() == 0
    os.close(ends)
    os.waitpid(child, 0)
    os.close(lives)


def test_connections_are_not_inherited_by_programs(host: Host) -> None:
    channel = _core.VsockChannel(host.transports, Protocol.RPCI)
    channel.open()
    assert not os.get_inheritable(channel.descriptor)
    assert not os.get_blocking(channel.descriptor)
    channel.close()
    assert channel.descriptor == -1
