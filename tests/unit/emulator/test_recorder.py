"""The recorder's socket: what programs say of their messages, and what they cannot get rid of."""

from __future__ import annotations

import errno
import io
import json
import os
import socket
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import await_true

import vmtpy
from vmtpy import _core, _host
from vmtpy.host import recorder as module
from vmtpy.host.recorder import Recorder
from vmtpy.host.timeline import Timeline
from vmtpy.testing import EmulatedHost
from vmtpy.transport import RECORDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtpy.host.recording import RecordedMessage


class Held(Timeline):
    """A timeline whose file is on a disk that stands still until it is let go."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        super().__init__(self.stream, time.monotonic(), as_json=True)
        self.let_go = threading.Event()

    def entry(self, entry: RecordedMessage | _host.TranscriptEntry) -> None:
        self.let_go.wait()
        super().entry(entry)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def timeline() -> Iterator[Held]:
    made = Held()
    yield made
    made.let_go.set()


def test_a_disk_that_stands_still_holds_nobody_up(
    timeline: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmulatedHost() as host, Recorder(timeline) as recorder:
        monkeypatch.setenv(RECORDER, recorder.environment[RECORDER])
        with vmtpy.Rpci(host.backdoor) as rpci:
            for number in range(500):
                rpci.call(b"info-set guestinfo.n %d" % number + b"x" * 4000)
        await_true(lambda: recorder.messages == 500)
        assert timeline.lines() == []
        timeline.let_go.set()
    assert (recorder.messages, recorder.lost, len(timeline.lines())) == (500, 0, 500)
    assert all(line["kind"] == "rpci" and line["reply"] == "1 " for line in timeline.lines())


def test_what_does_not_fit_is_counted_and_nobody_waits(
    timeline: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads the socket: the guest goes on, and says with its next message what is lost."""
    name = f"vmtpy-test-{os.getpid()}-{time.monotonic_ns()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with EmulatedHost() as host, listener:
        listener.bind(f"\0{name}")
        listener.listen()
        monkeypatch.setenv(RECORDER, name)
        with vmtpy.Rpci(host.backdoor) as rpci:
            connection, _ = listener.accept()
            with connection:
                for _ in range(20):
                    rpci.call(b"log " + b"x" * 60000)
                packets = drained(connection)
                assert 0 < len(packets) < 20
                rpci.call(b"log at last")
                (last,) = drained(connection)
    lost = struct.unpack_from("=IIqII", last)[4]
    assert lost == 20 - len(packets)


def drained(connection: socket.socket) -> list[bytes]:
    connection.setblocking(False)
    found = []
    while True:
        try:
            found.append(connection.recv(1 << 18))
        except BlockingIOError:
            return found


def test_who_is_somebody_else_is_not_heard(timeline: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    timeline.let_go.set()
    monkeypatch.setattr(module.os, "geteuid", lambda: 12345)
    if os.getuid() == 0:
        monkeypatch.setattr(module, "ROOT", 12345)
    with EmulatedHost() as host, Recorder(timeline) as recorder:
        monkeypatch.setenv(RECORDER, recorder.environment[RECORDER])
        with vmtpy.Rpci(host.backdoor) as rpci:
            assert rpci.call(b"log hello") == b""
    assert recorder.messages == 0


def test_a_recorder_that_has_ended_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RECORDER, "vmtpy-test-nobody-is-there")
    with EmulatedHost() as host, vmtpy.Rpci(host.backdoor) as rpci:
        assert rpci.call(b"log hello") == b""
    with pytest.raises(vmtpy.SystemCallError, match="connect"):
        _core.MeteredBackdoor(host.backdoor).record_to("x" * 200)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_program_that_has_ended_holds_no_descriptor(
    timeline: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording of days hears thousands of programs."""
    timeline.let_go.set()
    with EmulatedHost() as host, Recorder(timeline) as recorder:
        monkeypatch.setenv(RECORDER, recorder.environment[RECORDER])
        before = descriptors()
        for _ in range(20):
            with vmtpy.Rpci(host.backdoor) as rpci:
                rpci.call(b"log hello")
        del rpci
        await_true(lambda: recorder.messages == 20 and descriptors() < before + 10)


def test_what_cannot_be_heard_is_an_error_and_holds_nobody_up(
    timeline: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeline.let_go.set()

    def accept(_self: socket.socket) -> tuple[socket.socket, object]:
        raise OSError(errno.EMFILE, "Too many open files")

    with EmulatedHost() as host, Recorder(timeline) as recorder:
        monkeypatch.setattr(module.socket.socket, "accept", accept)
        monkeypatch.setenv(RECORDER, recorder.environment[RECORDER])
        for _ in range(20):
            with vmtpy.Rpci(host.backdoor) as rpci:
                rpci.call(b"log hello")
    assert recorder.failure is not None
    assert recorder.failure.errno == errno.EMFILE


@pytest.mark.parametrize("packet", [b"short", struct.pack("=IIqII", 7, 0, 0, 0, 0)])
def test_who_speaks_another_language_is_not_heard(timeline: Held, packet: bytes) -> None:
    timeline.let_go.set()
    with Recorder(timeline) as recorder:
        stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with stranger:
            stranger.connect(f"\0{recorder.environment[RECORDER]}")
            stranger.send(packet)
            assert stranger.recv(1) == b""  # the recorder has closed it
    assert (recorder.messages, recorder.failure) == (0, None)
