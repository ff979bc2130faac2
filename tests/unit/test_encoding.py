"""Packed guestinfo values, the module as a mapping, redact, watch; and the commands for them."""

from __future__ import annotations

import base64
import gzip
import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.emulated import EmulatedHost

from vmtpy import Rpci, encoding, guestinfo, rpctool
from vmtpy.__main__ import main
from vmtpy.errors import GuestInfoError, MessageSizeError, NoValueError


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> EmulatedHost:
    host = EmulatedHost()
    monkeypatch.setattr("vmtpy.transport.find_backdoor", lambda: host.backdoor)
    return host


@given(st.binary(max_size=3000), st.sampled_from(["", *encoding.NAMES]))
def test_any_value_is_unpacked_to_what_was_packed(value: bytes, name: str) -> None:
    packed = encoding.encode(value, name)
    assert encoding.decode(packed, name.encode(), "guestinfo.k") == value


@pytest.mark.parametrize(
    ("value", "name", "message"),
    [
        (b"a", b"base64", r"guestinfo\.k: not base64, as guestinfo\.k\.encoding says"),
        (base64.b64encode(b"no gzip"), b"gz+b64", r"guestinfo\.k: not gzip"),
        (base64.b64encode(gzip.compress(b"x" * 99)[:-9]), b"gzip+base64", "cut short"),
        (base64.b64encode(gzip.compress(bytes(1 << 25))), b"gzip+base64", "unpacked it has more"),
    ],
)
def test_a_value_that_is_not_what_its_encoding_says_is_an_error_with_its_name(
    value: bytes, name: bytes, message: str
) -> None:
    with pytest.raises(GuestInfoError, match=message):
        encoding.decode(value, name, "guestinfo.k")


@pytest.mark.parametrize("name", [b"", b" ", b"rot13", b"\xff"])
def test_an_encoding_that_is_not_known_means_a_plain_value(name: bytes) -> None:
    assert encoding.decode(b"YQ==", name, "k") == b"YQ=="


def test_the_mapping_packs_and_unpacks(host: EmulatedHost) -> None:
    host.device.set_guestinfo("k", base64.b64encode(b"hello"))
    host.device.set_guestinfo("k.encoding", b"b64")
    assert guestinfo["k"] == b"hello"  # type: ignore[index]
    assert guestinfo.get("k") == b"aGVsbG8=", "get() gives it as it is"
    guestinfo["k"] = "plain"  # type: ignore[index]
    assert guestinfo["k"] == b"plain"  # type: ignore[index]
    assert host.device.guestinfo("k.encoding") == b" ", "the old encoding does not stay"
    assert "k" in guestinfo
    assert "none" not in guestinfo
    with pytest.raises(KeyError, match=r"no value under guestinfo\.none"):
        guestinfo["none"]  # type: ignore[index]
    with pytest.raises(NoValueError):
        guestinfo["none"]  # type: ignore[index]
    with pytest.raises(TypeError, match="cannot list"):
        list(guestinfo)  # type: ignore[call-overload]


def test_an_unpacked_value_is_one_more_question_and_no_more(host: EmulatedHost) -> None:
    host.device.set_guestinfo("k", b"v")
    with Rpci(host.backdoor) as rpci:
        assert guestinfo.load("k", rpci=rpci) == b"v"
        assert guestinfo.load("none", b"d", rpci=rpci) == b"d"
    requests = [one.request for one in host.device.take_transcript()]
    assert requests == [
        b"info-get guestinfo.k",
        b"info-get guestinfo.k.encoding",
        b"info-get guestinfo.none",
    ]


def test_a_packed_value_may_be_larger_than_the_wire_allows_for_a_plain_one(
    host: EmulatedHost,
) -> None:
    value = b"x" * 200_000
    with pytest.raises(MessageSizeError, match="200000 bytes"):
        guestinfo.store("k", value)
    assert host.traps() == 0
    guestinfo.store("k", value, "gzip+base64")
    assert guestinfo["k"] == value  # type: ignore[index]


def test_an_unknown_encoding_is_refused_before_anything_is_sent(host: EmulatedHost) -> None:
    with pytest.raises(GuestInfoError, match="no such encoding: 'zip'; known: base64, b64"):
        guestinfo.store("k", b"v", "zip")
    assert host.traps() == 0


def test_watch_gives_the_value_now_and_after_each_change(
    host: EmulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr("time.sleep", naps.append)
    values = guestinfo.watch("k", 0.5)
    assert next(values) is None
    host.device.set_guestinfo("k", b"1")
    assert next(values) == b"1"
    naps.clear()
    naps_before_change = 3

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == naps_before_change:
            host.device.set_guestinfo("k", b"2")

    monkeypatch.setattr("time.sleep", nap)
    assert next(values) == b"2"
    assert naps == [0.5] * naps_before_change


def test_the_command_gets_packed_values_and_raw_ones(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["guestinfo", "set", "k", "v w", "--encoding", "base64"]) == 0
    assert host.device.guestinfo("k") == b"diB3"
    assert host.device.guestinfo("k.encoding") == b"base64"
    assert main(["guestinfo", "get", "k"]) == 0
    assert main(["guestinfo", "get", "--raw", "k"]) == 0
    assert capsysbinary.readouterr().out == b"v wdiB3"


def test_the_command_redacts_several_keys(host: EmulatedHost) -> None:
    for key in ("userdata", "vendordata"):
        host.device.set_guestinfo(key, b"secret")
    assert main(["guestinfo", "redact", "userdata", "vendordata"]) == 0
    assert host.device.guestinfo("userdata") == host.device.guestinfo("vendordata") == b"---"
    assert host.device.guestinfo("userdata.encoding") == b" "


def test_the_command_watches_until_it_is_interrupted(
    host: EmulatedHost, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    host.device.set_guestinfo("k", b"1")
    naps = iter([lambda: host.device.set_guestinfo("k", b"2\n3"), lambda: None])

    def nap(_seconds: float) -> None:
        try:
            next(naps)()
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr("time.sleep", nap)
    assert main(["guestinfo", "watch", "k"]) == 130
    assert capsysbinary.readouterr().out == b"1\n2\n3\n"


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["info-get guestinfo.k"], 0, b"v\n", b""),
        (["info-get guestinfo.none"], 1, b"", b"No value found\n"),
        (["info-get", "guestinfo.k"], 1, b"", b"Unknown command\n"),
        (["-v"], 1, b"", b"Unknown command\n"),
        ([""], 1, b"", b"Unknown command\n"),
        ([], 1, b"", rpctool.USAGE.encode()),
        (["--help"], 0, b"", rpctool.USAGE.encode()),
        (["x" * 65537], 1, b"", None),
    ],
)
def test_rpctool_takes_its_first_argument_whatever_it_is(  # noqa: PLR0917
    host: EmulatedHost,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
    arguments: list[str],
    code: int,
    out: bytes,
    err: bytes | None,
) -> None:
    host.device.set_guestinfo("k", b"v")
    monkeypatch.setattr("sys.argv", ["vmware-rpctool", *arguments])
    assert rpctool.main() == code
    said = capsysbinary.readouterr()
    assert said.out == out
    assert err is None or said.err == err


def test_a_value_from_standard_input_is_packed_too(
    host: EmulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\xff\n")))
    assert main(["guestinfo", "set", "k", "--encoding", "b64"]) == 0
    assert host.device.guestinfo("k") == b"/wo="
