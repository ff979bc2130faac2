"""`vmtpy rpc` and `vmtpy guestinfo`: outputs and exit codes, against the in-process host."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace

import pytest
from support.emulated import CLOSE, SENDSIZE, EmulatedHost

from vmtpy.__main__ import main
from vmtpy.errors import NotVMwareError


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> EmulatedHost:
    host = EmulatedHost()
    monkeypatch.setattr("vmtpy.transport.find_backdoor", lambda: host.backdoor)
    return host


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def run(capture: pytest.CaptureFixture[bytes], *arguments: str | bytes) -> tuple[int, bytes, bytes]:
    code = main([os.fsdecode(argument) for argument in arguments])
    return (code, *capture.readouterr())


def test_a_value_goes_to_stdout(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    host.device.set_guestinfo("k", b"v\xff\x00w")
    done = run(capsysbinary, "rpc", "info-get guestinfo.k")
    assert done == (0, b"v\xff\x00w\n", b"")


def test_a_refusal_goes_to_stderr_with_1(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    done = run(capsysbinary, "rpc", "info-get guestinfo.k")
    assert done == (1, b"", b"No value found\n")


def test_it_takes_seven_traps_after_the_probe(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    run(capsysbinary, "rpc", "log x")
    assert host.traps() == 7
    assert host.frames("CLOSE")[0].before["rcx"] >> 16 == CLOSE


def test_several_requests_share_a_channel_and_one_refusal_makes_it_1(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    host.device.set_guestinfo("b", b"2")
    texts = [f"info-get guestinfo.{key}" for key in "abc"]
    done = run(capsysbinary, "rpc", *texts)
    assert done == (1, b"2\n", b"No value found\nNo value found\n")
    assert host.steps().count("OPEN") == 1


def test_a_request_of_any_bytes_passes(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    run(capsysbinary, "rpc", b"log \xff\xfe")
    (entry,) = host.device.take_transcript()
    assert entry.request == b"log \xff\xfe"


def test_a_dash_reads_the_request_from_stdin_without_its_last_newline(
    host: EmulatedHost,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed(monkeypatch, b"log a\0\xff\n\n")
    assert run(capsysbinary, "rpc", "-")[0] == 0
    (entry,) = host.device.take_transcript()
    assert entry.request == b"log a\0\xff\n"


def test_a_broken_conversation_is_1_and_an_explanation(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    host.device.misbehave(SENDSIZE, times=0, status=0)
    code, out, err = run(capsysbinary, "rpc", "log x")
    assert (code, out) == (1, b"")
    assert err == b"vmtpy rpc: the host refused SENDSIZE (status 0x0)\n"


@pytest.mark.parametrize("arguments", [["rpc", "x"], ["guestinfo", "get", "k"]])
def test_off_vmware_it_is_255_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
    arguments: list[str],
) -> None:
    def refuse() -> None:
        raise NotVMwareError("the port is shut")

    monkeypatch.setattr("vmtpy.transport.find_backdoor", refuse)
    code, out, err = run(capsysbinary, *arguments)
    assert (code, out) == (255, b"")
    assert err.startswith(b"vmtpy " + arguments[0].encode() + b": the port is shut\n")


def test_guestinfo_set_and_get_carry_bytes_exactly(
    host: EmulatedHost,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed(monkeypatch, b"line\n\xff\0\n")
    assert run(capsysbinary, "guestinfo", "set", "k", "-") == (0, b"", b"")
    assert run(capsysbinary, "guestinfo", "get", "k") == (0, b"line\n\xff\0\n", b"")


def test_guestinfo_set_takes_a_value_from_the_command_line_or_else_from_stdin(
    host: EmulatedHost,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(capsysbinary, "guestinfo", "set", "guestinfo.k", b"a \xff")[0] == 0
    assert host.device.guestinfo("k") == b"a \xff"
    feed(monkeypatch, b"piped")
    assert run(capsysbinary, "guestinfo", "set", "k")[0] == 0
    assert host.device.guestinfo("k") == b"piped"


def test_guestinfo_get_of_a_missing_key_is_1(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    done = run(capsysbinary, "guestinfo", "get", "k")
    assert done == (1, b"", b"No value found\n")


def test_a_refusal_of_guestinfo_set_is_1_with_the_hosts_words(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    host.device.answer_with("info-set", b"0 Value too large")
    done = run(capsysbinary, "guestinfo", "set", "k", "v")
    assert done == (1, b"", b"Value too large\n")


def test_a_bad_key_is_1_and_an_explanation(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    code, _, err = run(capsysbinary, "guestinfo", "get", "a b")
    assert (code, err) == (1, b"vmtpy guestinfo: a guestinfo key must not contain spaces: 'a b'\n")
