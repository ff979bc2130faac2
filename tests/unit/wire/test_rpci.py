"""RPCI on a kept channel: replies, refusals, lost channels, privilege."""

from __future__ import annotations

import errno

import pytest
from support.emulated import CHECKPOINT, RECVSIZE, SENDSIZE, SUCCESS, EmulatedHost, pattern

from vmtpy import Rpci, _core
from vmtpy.errors import ChannelError, MessageSizeError, NotVMwareError, RpcError


def test_the_reply_is_returned_without_its_one() -> None:
    host = EmulatedHost()
    host.device.set_guestinfo("k", b"a \xff\x00b")
    with Rpci(host.backdoor) as rpci:
        assert rpci.call(b"info-get guestinfo.k") == b"a \xff\x00b"


def test_a_refusal_is_an_error_with_the_hosts_words() -> None:
    host = EmulatedHost()
    host.device.answer_with("x", b"0 Ne\xff")
    with Rpci(host.backdoor) as rpci, pytest.raises(RpcError, match=r"^Ne\\xff$") as caught:
        rpci.call(b"x")
    assert caught.value.reason == b"Ne\xff"


def test_a_call_is_five_traps_on_a_kept_channel_and_one_alone_seven() -> None:
    host = EmulatedHost()
    with Rpci(host.backdoor) as rpci:
        rpci.call(b"log x")
        assert host.traps() == 6
        rpci.call(b"log x")
        assert host.traps() == 11
    assert host.traps() == 12


def test_the_last_call_leaves_no_channel_open() -> None:
    host = EmulatedHost()
    rpci = _core.Rpci(host.backdoor)
    rpci.call(b"log x")
    assert host.device.open_channels() == 1
    assert rpci.call(b"log y", last=True) == (True, b"")
    assert host.device.open_channels() == 0


def test_nothing_is_opened_before_the_first_call() -> None:
    host = EmulatedHost()
    with Rpci(host.backdoor):
        pass
    assert host.traps() == 0


def test_a_lost_channel_is_opened_again_and_the_request_sent_once_more() -> None:
    host = EmulatedHost()
    with Rpci(host.backdoor) as rpci:
        rpci.call(b"log one")
        host.device.lose_channels()
        assert rpci.call(b"log two") == b""
    assert [entry.request for entry in host.device.take_transcript()] == [b"log one", b"log two"]
    assert host.steps().count("OPEN") == 2


def test_a_channel_lost_between_request_and_reply_is_no_end_either() -> None:
    host = EmulatedHost()
    with Rpci(host.backdoor) as rpci:
        host.device.misbehave(RECVSIZE, status=0)
        assert rpci.call(b"log x") == b""


def test_a_request_is_sent_twice_at_most() -> None:
    host = EmulatedHost()
    rpci = Rpci(host.backdoor)
    host.device.misbehave(SENDSIZE, times=2, status=0)
    with pytest.raises(ChannelError, match="refused SENDSIZE"):
        rpci.call(b"log x")
    assert host.steps().count("SENDSIZE") == 2
    assert host.device.open_channels() == 0
    assert rpci.call(b"log x") == b""


def test_a_host_that_only_checkpoints_ends_in_an_error() -> None:
    host = EmulatedHost()
    host.device.misbehave(RECVSIZE, times=0, status=CHECKPOINT)
    with pytest.raises(ChannelError, match="CHECKPOINT to every attempt to receive"):
        Rpci(host.backdoor).call(b"log x")


@pytest.mark.parametrize("reply", [b"", b"1", b"0", b"2 x", b"1x", b" 1 ", b"\xff\xff\xff"])
def test_a_truncated_or_foreign_reply_is_an_error_and_the_channel_stays(reply: bytes) -> None:
    host = EmulatedHost()
    rpci = Rpci(host.backdoor)
    host.device.answer_with("ask", reply)
    with pytest.raises(ChannelError, match=f"reply of {len(reply)} bytes begins with neither"):
        rpci.call(b"ask")
    assert rpci.call(b"log x") == b""
    assert host.steps().count("OPEN") == 1


def test_no_reply_is_an_error_and_a_late_one_is_not_taken_for_the_next() -> None:
    host = EmulatedHost()
    rpci = Rpci(host.backdoor)
    host.device.misbehave(RECVSIZE, status=SUCCESS)
    with pytest.raises(ChannelError, match="gave no reply"):
        rpci.call(b"log x")
    assert rpci.call(b"log y") == b""
    assert host.steps().count("OPEN") == 2


def test_an_oversize_reply_is_refused_and_the_channel_stays() -> None:
    host = EmulatedHost()
    rpci = Rpci(host.backdoor)
    host.device.answer_with("ask", b"1 " + pattern(65535))
    host.device.answer_with("fits", b"1 " + pattern(65534))
    with pytest.raises(MessageSizeError, match="message of 65537 bytes was refused"):
        rpci.call(b"ask")
    assert rpci.call(b"fits") == pattern(65534)
    assert host.steps().count("OPEN") == 1


def test_an_oversize_request_is_refused_here() -> None:
    host = EmulatedHost()
    with pytest.raises(MessageSizeError):
        Rpci(host.backdoor).call(bytes(65537))
    assert "SENDSIZE" not in host.steps()


def test_a_call_after_close_opens_a_new_channel() -> None:
    host = EmulatedHost()
    rpci = Rpci(host.backdoor)
    rpci.call(b"log x")
    rpci.close()
    assert rpci.call(b"log y") == b""


def test_an_old_host_that_wants_privilege_is_asked_once_more_with_it() -> None:
    host = EmulatedHost()
    host.backdoor.allow_privilege()
    host.device.answer_with("ask", b"0 Guest is not privileged to do this")
    host.device.answer_with("ask", b"1 done")
    assert Rpci(host.backdoor).call(b"ask") == b"done"
    assert host.backdoor.privileges() == [True, False]


def test_where_privilege_is_not_to_be_had_the_refusal_stands() -> None:
    host = EmulatedHost()
    host.device.answer_with("ask", b"0 Guest is not privileged to do this")
    with pytest.raises(RpcError, match="not privileged"):
        Rpci(host.backdoor).call(b"ask")
    assert host.steps().count("SENDSIZE") == 1
    assert host.backdoor.privileges() == [True]


@pytest.mark.parametrize(
    ("error", "words"), [(38, "iopl (CONFIG_X86_IOPL_IOPERM)"), (1, "iopl"), (0, "")]
)
def test_a_refusal_for_want_of_privilege_says_who_does_not_give_it(
    error: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmtpy._core.io_privilege_error", lambda: error)
    host = EmulatedHost()
    host.device.answer_with("ask", b"0 Guest is not privileged to do this")
    with pytest.raises(RpcError) as caught:
        Rpci(host.backdoor).call(b"ask")
    assert words in caught.value.hint
    assert bool(caught.value.hint) is bool(error)


def test_what_the_kernel_says_of_privilege_is_its_own_word() -> None:
    error = _core.io_privilege_error()
    assert error in (0, errno.EPERM, errno.ENOSYS)
    assert _core.io_privilege_error() == error


def test_privilege_is_given_back_when_the_second_attempt_fails() -> None:
    host = EmulatedHost()
    host.backdoor.allow_privilege()
    host.device.answer_with("ask", b"0 Guest is not privileged")
    host.device.misbehave(SENDSIZE, after=1, times=0, status=0)
    with pytest.raises(ChannelError):
        Rpci(host.backdoor).call(b"ask")
    assert host.backdoor.privileges() == [True, False]


def test_off_vmware_it_says_why() -> None:
    if _core.probe_machine(_core.read_cpu()).presence == _core.Presence.VMWARE:
        pytest.skip("this machine is VMware's")
    with pytest.raises(NotVMwareError, match="backdoor port"):
        Rpci()
