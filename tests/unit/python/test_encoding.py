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

from vmtpy import Rpci, encoding, guestinfo
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
    "name", [b"GZIP+BASE64", b'"gzip+base64"', b"'gz+b64'", b" gzip+b64\n", b"gz+base64\0"]
)
def test_an_encoding_is_understood_in_any_case_and_in_quotes(name: bytes) -> None:
    packed = base64.b64encode(gzip.compress(b"hello"))
    assert encoding.decode(packed, name, "guestinfo.k") == b"hello"


def test_all_members_of_a_gzip_file_are_unpacked() -> None:
    data = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two") + bytes(512)
    assert encoding.decode(base64.b64encode(data), b"gzip+base64", "k") == b"one two"


def test_thousands_of_members_are_unpacked_soon() -> None:
    data = b"".join(gzip.compress(b"x", mtime=0) for _ in range(2000))
    assert encoding.decode(base64.b64encode(data), b"gzip+base64", "k") == b"x" * 2000


@pytest.mark.parametrize(
    "value",
    [b"-_-_aGk=", b"-_-_aGk", b"+/+/aGk=", b"+/+/aGk", b" +/+/\r\naGk=\n"],
)
def test_either_alphabet_of_base64_is_unpacked_padded_or_not(value: bytes) -> None:
    assert encoding.decode(value, b"base64", "k") == b"\xfb\xff\xbfhi"


@given(st.binary(max_size=300))
def test_any_value_in_the_alphabet_for_urls_is_unpacked(value: bytes) -> None:
    assert encoding.decode(base64.urlsafe_b64encode(value), b"base64", "k") == value


@given(st.binary(max_size=200), st.sampled_from(list(encoding.NAMES)))
def test_what_is_not_what_its_encoding_says_is_an_error_and_never_garbage(
    value: bytes, name: str
) -> None:
    try:
        unpacked = encoding.decode(value, name.encode(), "k")
    except GuestInfoError:
        return
    if encoding.NAMES[name] == encoding.BASE64:
        text = b"".join(value.split()).translate(bytes.maketrans(b"-_", b"+/"))
        assert base64.b64encode(unpacked).rstrip(b"=") == text.rstrip(b"=")


TWO = gzip.compress(b"x" * 99, mtime=0)


@pytest.mark.parametrize(
    ("value", "name", "message"),
    [
        (b"a", b"base64", r"guestinfo\.k is not base64, although guestinfo\.k\.encoding says so"),
        (b"---", b"base64", r"guestinfo\.k is not base64"),
        (b"a+b_", b"base64", "other characters"),
        (b"a\xffb=", b"base64", "other characters"),
        (b"YQ==YQ==", b"base64", "other characters"),
        (base64.b64encode(b"no gzip"), b"gz+b64", r"guestinfo\.k is not gzip"),
        (base64.b64encode(TWO[:-9]), b"gzip+base64", "cut short"),
        (base64.b64encode(TWO + TWO[:-1]), b"gzip+base64", "cut short"),
        (base64.b64encode(TWO + b"more"), b"gzip+base64", "not gzip"),
        (b"", b"gzip+base64", "cut short"),
        (base64.b64encode(gzip.compress(bytes(1 << 25))), b"gzip+base64", "when decompressed"),
        (
            base64.b64encode(gzip.compress(bytes(9 << 20)) + gzip.compress(bytes(9 << 20))),
            b"gzip+base64",
            "has more than 16777216 bytes when decompressed",
        ),
    ],
)
def test_a_value_that_is_not_what_its_encoding_says_is_an_error_with_its_name(
    value: bytes, name: bytes, message: str
) -> None:
    with pytest.raises(GuestInfoError, match=message):
        encoding.decode(value, name, "guestinfo.k")


def test_the_largest_value_that_may_be_unpacked_is() -> None:
    packed = base64.b64encode(gzip.compress(bytes(encoding.MOST_UNPACKED)))
    assert len(encoding.decode(packed, b"gzip+base64", "k")) == encoding.MOST_UNPACKED


@pytest.mark.parametrize("name", [b"", b" ", b"\0", b'""'])
def test_no_encoding_means_a_plain_value(name: bytes) -> None:
    assert encoding.decode(b"YQ==", name, "k") == b"YQ=="


@pytest.mark.parametrize("name", [b"rot13", b"\xff", b"base64+base64", b"gzip", b"x" * 60000])
def test_an_encoding_that_is_not_known_is_an_error_that_names_it(name: bytes) -> None:
    with pytest.raises(GuestInfoError, match=r"k\.encoding is '.{1,40}', which") as caught:
        encoding.decode(b"YQ==", name, "k")
    assert repr(name.decode("latin-1")[:40]) in str(caught.value)


def test_python_and_the_command_mean_the_same(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    host.device.set_guestinfo("k", base64.b64encode(b"hello"))
    host.device.set_guestinfo("k.encoding", b"b64")
    assert guestinfo.get("k") == b"hello"
    assert main(["guestinfo", "get", "k"]) == 0
    assert guestinfo.get("k", raw=True) == b"aGVsbG8="
    assert main(["guestinfo", "get", "--raw", "k"]) == 0
    assert capsysbinary.readouterr().out == b"helloaGVsbG8="


def test_an_encoding_that_is_not_known_fails_the_command_and_not_the_raw_one(
    host: EmulatedHost, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    host.device.set_guestinfo("k", b"uryyb")
    host.device.set_guestinfo("k.encoding", b"rot13")
    assert main(["guestinfo", "get", "k"]) == 1
    said = capsysbinary.readouterr()
    assert said.out == b""
    assert b"guestinfo.k.encoding is 'rot13'" in said.err
    assert main(["guestinfo", "get", "--raw", "k"]) == 0
    assert capsysbinary.readouterr().out == b"uryyb"
    with pytest.raises(GuestInfoError, match="rot13"):
        guestinfo.get("k")


def test_a_raw_value_leaves_the_encoding_alone(host: EmulatedHost) -> None:
    guestinfo.set("k", b"v", "base64")
    with Rpci(host.backdoor) as rpci:
        host.device.take_transcript()
        guestinfo.set("k", b"dw==", raw=True, rpci=rpci)
        assert guestinfo.get("k", raw=True, rpci=rpci) == b"dw=="
        requests = [entry.request for entry in host.device.take_transcript()]
        assert requests == [b"info-set guestinfo.k dw==", b"info-get guestinfo.k"]
        assert guestinfo.get("k", rpci=rpci) == b"w"
    with pytest.raises(GuestInfoError, match="raw=True and encoding='base64' exclude each other"):
        guestinfo.set("k", b"v", "base64", raw=True)


def test_the_mapping_packs_and_unpacks(host: EmulatedHost) -> None:
    host.device.set_guestinfo("k", base64.b64encode(b"hello"))
    host.device.set_guestinfo("k.encoding", b"b64")
    assert guestinfo["k"] == b"hello"  # type: ignore[index]
    guestinfo["k"] = "plain"  # type: ignore[index]
    assert guestinfo["k"] == b"plain"  # type: ignore[index]
    assert host.device.guestinfo("k.encoding") == b" ", "the old encoding does not stay"
    assert "k" in guestinfo
    assert "none" not in guestinfo
    with pytest.raises(KeyError, match=r"guestinfo\.none has no value"):
        guestinfo["none"]  # type: ignore[index]
    with pytest.raises(NoValueError):
        guestinfo["none"]  # type: ignore[index]
    with pytest.raises(TypeError, match="cannot list"):
        list(guestinfo)  # type: ignore[call-overload]


def test_an_unpacked_value_is_one_more_question_and_no_more(host: EmulatedHost) -> None:
    host.device.set_guestinfo("k", b"v")
    with Rpci(host.backdoor) as rpci:
        assert guestinfo.get("k", rpci=rpci) == b"v"
        assert guestinfo.get("none", b"d", rpci=rpci) == b"d"
    requests = [entry.request for entry in host.device.take_transcript()]
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
        guestinfo.set("k", value)
    assert host.traps() == 0
    guestinfo.set("k", value, "gzip+base64")
    assert guestinfo["k"] == value  # type: ignore[index]


def test_an_unknown_encoding_is_refused_before_anything_is_sent(host: EmulatedHost) -> None:
    with pytest.raises(
        GuestInfoError, match="there is no encoding 'zip'; the encodings are base64, b64"
    ):
        guestinfo.set("k", b"v", "zip")
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


def test_a_value_from_standard_input_is_packed_too(
    host: EmulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\xff\n")))
    assert main(["guestinfo", "set", "k", "--encoding", "b64"]) == 0
    assert host.device.guestinfo("k") == b"/wo="
