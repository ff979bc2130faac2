"""guestinfo by API: bytes, limits, keys."""

from __future__ import annotations

import pytest
from support.emulated import EmulatedHost

from vmtpy import Rpci, guestinfo
from vmtpy.errors import GuestInfoError, MessageSizeError, RpcError


@pytest.fixture
def host() -> EmulatedHost:
    return EmulatedHost()


@pytest.fixture
def rpci(host: EmulatedHost) -> Rpci:
    return Rpci(host.backdoor)


def test_values_are_bytes_and_need_not_be_utf_8(host: EmulatedHost, rpci: Rpci) -> None:
    value = bytes(range(256))
    guestinfo.set("k", value, rpci=rpci)
    assert host.device.guestinfo("k") == value
    assert guestinfo.get("k", rpci=rpci) == value


def test_text_is_sent_as_utf_8(host: EmulatedHost, rpci: Rpci) -> None:
    guestinfo.set("schlüssel", "größe", rpci=rpci)
    assert host.device.guestinfo("schlüssel") == "größe".encode()


def test_keys_need_not_be_utf_8_either(host: EmulatedHost, rpci: Rpci) -> None:
    guestinfo.set(b"k\xff", b"v", rpci=rpci)
    assert guestinfo.get("k\udcff", rpci=rpci) == b"v"


def test_a_missing_key_gives_the_default(rpci: Rpci) -> None:
    assert guestinfo.get("none", rpci=rpci) is None
    assert guestinfo.get("none", b"d", rpci=rpci) == b"d"


def test_any_other_refusal_is_an_error(host: EmulatedHost, rpci: Rpci) -> None:
    host.device.answer_with("info-get", b"0 Permission denied")
    with pytest.raises(RpcError, match="Permission denied"):
        guestinfo.get("k", b"d", rpci=rpci)


def test_the_prefix_may_be_written(host: EmulatedHost, rpci: Rpci) -> None:
    guestinfo.set("guestinfo.k", b"v", rpci=rpci)
    assert host.device.guestinfo("k") == b"v"
    assert guestinfo.get("guestinfo.k", rpci=rpci) == b"v"


@pytest.mark.parametrize("key", ["", "guestinfo.", "a b", " a", "a ", "a\tb", "a\n", "a\0b", b" "])
def test_a_key_that_cannot_be_is_refused_before_anything_is_sent(
    host: EmulatedHost, rpci: Rpci, key: str | bytes
) -> None:
    with pytest.raises(GuestInfoError, match="guestinfo key"):
        guestinfo.get(key, rpci=rpci)
    with pytest.raises(GuestInfoError, match="guestinfo key"):
        guestinfo.set(key, b"v", rpci=rpci)
    assert host.traps() == 0


def test_an_empty_value_is_refused_and_says_why(host: EmulatedHost, rpci: Rpci) -> None:
    with pytest.raises(GuestInfoError, match=r"guestinfo\.k: a guest can neither delete"):
        guestinfo.set("k", b"", rpci=rpci)
    assert host.traps() == 0


def test_the_largest_value_fits_and_one_more_byte_does_not(host: EmulatedHost, rpci: Rpci) -> None:
    room = 65536 - len(b"info-set guestinfo.k ")
    guestinfo.set("k", bytes(room), rpci=rpci)
    assert host.device.guestinfo("k") == bytes(room)
    assert guestinfo.get("k", rpci=rpci) == bytes(room)
    before = host.traps()
    with pytest.raises(MessageSizeError, match=f"has {room + 1} bytes, but at most {room}"):
        guestinfo.set("k", bytes(room + 1), rpci=rpci)
    assert host.traps() == before


def test_the_conversation_given_stays_open(host: EmulatedHost, rpci: Rpci) -> None:
    guestinfo.set("k", b"v", rpci=rpci)
    guestinfo.get("k", rpci=rpci)
    assert host.steps().count("OPEN") == 1
    assert host.device.open_channels() == 1


def test_a_conversation_of_its_own_is_closed(
    host: EmulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmtpy.transport.find_backdoor", lambda: host.backdoor)
    guestinfo.set("k", b"v")
    assert guestinfo.get("k") == b"v"
    assert host.traps() == 24, "each asks for the encoding, too, over the same channel"
    assert host.device.open_channels() == 0
