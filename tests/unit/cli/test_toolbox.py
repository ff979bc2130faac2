"""What `vmtpy-toolbox-cmd` has beyond its peer: counterparts, the agent's reload, refusals."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import guestlib as host
from support.emulated import EmulatedHost

import vmtpy
from vmtpy import _core, guestlib, toolbox
from vmtpy.toolbox import config

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration, of the test's own."""
    made = tmp_path / "vmtpy.toml"
    monkeypatch.setattr(config, "FILE", made)
    monkeypatch.setattr(toolbox, "is_root", lambda: True)
    return made


def run(*words: str) -> int:
    return toolbox.run("toolbox", list(words))


def test_a_setting_keeps_the_rest_of_the_file(file: Path) -> None:
    file.write_text("# mine\n[quiesce]\ntimeout = 20  # short\n")
    file.chmod(0o600)
    assert run("config", "set", "vmbackup", "excludedFileSystems", "/mnt/*,/srv") == 0
    assert file.read_text() == (
        '# mine\n[quiesce]\nexclude = ["/mnt/*", "/srv"]\ntimeout = 20  # short\n'
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("config", "remove", "vmbackup", "excludedFileSystems") == 0
    assert file.read_text() == "# mine\n[quiesce]\ntimeout = 20  # short\n"


def test_no_polling_is_no_guest_information(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "set", "guestinfo", "poll-interval", "0") == 0
    assert file.read_text() == "[guest_info]\nenabled = false\n"
    assert run("config", "get", "guestinfo", "poll-interval") == 0
    assert capsys.readouterr().out == "[guestinfo] poll-interval = 0\n"
    assert run("config", "set", "guestinfo", "poll-interval", "30") == 0
    assert file.read_text() == "[guest_info]\ninterval = 30\n"


def test_a_setting_without_counterpart_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("config", "set", "appinfo", "disabled", "true") == 75
    assert "[appinfo] disabled has no counterpart in vmtpy" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("guestinfo poll-interval often", "the value is not a number of seconds"),
        ("vmbackup excludedFileSystems data*", "match no mount point: data*"),
    ],
)
def test_a_value_that_means_nothing_is_refused_and_removes_nothing(
    setting: str, reason: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = '[guest_info]\ninterval = 30\n[quiesce]\nexclude = ["/mnt"]\n'
    file.write_text(before)
    assert run("config", "set", *setting.split()) == 75
    assert reason in capsys.readouterr().err
    assert file.read_text() == before


def test_an_empty_list_removes_the_key(file: Path) -> None:
    file.write_text('[quiesce]\nexclude = ["/mnt"]\n')
    assert run("config", "set", "vmbackup", "excludedFileSystems", "") == 0
    assert file.read_text() == "[quiesce]\n"


def test_a_configuration_that_is_wrong_stays(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("[hooks]\nlegacy = 'yes'\n")
    assert run("config", "set", "guestinfo", "poll-interval", "30") == 75
    assert "legacy = 'yes': the value must be true or false" in capsys.readouterr().err
    assert file.read_text() == "[hooks]\nlegacy = 'yes'\n"


def test_what_cannot_be_read_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[hooks\n")
    assert run("config", "get", "vmbackup", "execScripts") == 75
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Error reading config: the text is not valid TOML")


def test_a_running_agent_reads_it_anew(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    file.write_text('[status]\nsocket = "/run/elsewhere"\n')
    agents = {"/run/elsewhere": {"pid": 4711}}
    monkeypatch.setattr(config, "ask", lambda socket: agents[socket])
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append((process, number)))
    assert run("config", "set", "vmbackup", "execScripts", "true") == 0
    assert run("config", "set", "vmbackup", "execScripts", "true") == 0
    assert sent == [(4711, signal.SIGHUP)], "once: the second changed nothing"


def test_only_root_may_configure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolbox, "is_root", lambda: False)
    assert run("config", "get", "a", "b") == 77
    assert capsys.readouterr().err == "toolbox: You must be root to perform config operations.\n"


def test_commands_that_are_not_there_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    for name in toolbox.ABSENT:
        assert run(name, "list") == 69
        assert capsys.readouterr().err == f"toolbox: vmtpy does not have '{name}'\n"


def test_every_statistic_of_a_host_is_read() -> None:
    found = guestlib.parse(host.answer(invalid=(3,)))
    assert found.session == host.SESSION
    assert found.values.pop(3) is None
    assert found.values.pop(18) == found.values.pop(37) == b"/host/user/pool1"
    others = set(range(1, 39)) - {3, 18, 37}
    assert found.values == {number: 1000 + number for number in others}


def test_any_cut_answer_is_an_error_and_no_crash() -> None:
    whole = host.answer()
    for length in range(len(whole)):
        cut = whole[:length]
        with pytest.raises(guestlib.GuestLibError):
            guestlib.parse(cut)
        if length >= guestlib.HEAD.size:  # as short as it says
            size = length - guestlib.HEAD.size
            with pytest.raises(guestlib.GuestLibError):
                guestlib.parse(cut[:12] + size.to_bytes(4, "little") + cut[16:])


@given(st.binary(max_size=200), st.integers(0, 500))
def test_no_answer_brings_another_error(noise: bytes, place: int) -> None:
    whole = host.answer()
    size = len(whole) - guestlib.HEAD.size
    for answer in (noise, whole[:place] + noise + whole[place + len(noise) :]):
        head = whole[:12] + (len(answer[16:]) if len(answer) >= 16 else size).to_bytes(4, "little")
        for body in (answer, head + answer[16:]):
            with contextlib.suppress(guestlib.GuestLibError):
                guestlib.parse(body)


def test_a_newer_host_is_read_as_far_as_it_is_known() -> None:
    found = guestlib.parse(host.answer(count=45))
    assert (found.known, len(found.values)) == (38, 38)


def test_the_hosts_option_about_time_is_read_and_set() -> None:
    emulated = EmulatedHost()
    rpci = vmtpy.Rpci(emulated.backdoor)
    assert _core.read_time_option(emulated.backdoor) is False
    rpci.call(b"vmx.set_option synctime 0 1")
    assert _core.read_time_option(emulated.backdoor) is True
    rpci.call(b"vmx.set_option synctime 1 0\0")
    assert _core.read_time_option(emulated.backdoor) is False
    with pytest.raises(vmtpy.RpcError):
        rpci.call(b"vmx.set_option nothing 0 1")
    assert _core.read_time_option(_core.AbsentBackdoor()) is None
