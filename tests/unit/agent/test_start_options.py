"""vmbackup.startWithOpts: its XDR body, whatever it may be, and what the agent makes of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.patience import FAR, PATIENCE, await_true
from support.start_options import start_options

from vmtpy import _core
from vmtpy.cli import status
from vmtpy.config import QuiesceConfig
from vmtpy.testing import BackupOutcome, BackupResult, EmulatedHost, SimulatedGuest
from vmtpy.testing.guest import QUIET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERS = st.integers(0, 2**32 - 1)
BITS = st.integers(0, 1)


def parse(body: bytes) -> _core.QuiesceRequest:
    request, error = _core.parse_start_with_options(body)
    assert error == b""
    return request


def refusal(body: bytes) -> bytes:
    request, error = _core.parse_start_with_options(body)
    assert error.startswith(b"ERROR ")
    assert not request.volumes
    assert not request.script_argument
    return error


TEXT = st.binary(max_size=3200).map(lambda text: text.replace(b"\0", b"x"))
OPTIONS = st.fixed_dictionaries(
    {
        "version": st.integers(1, 2),
        **dict.fromkeys(("manifest", "applications", "filesystems", "writable", "scripts"), BITS),
        "argument": TEXT.map(lambda text: text[:256]),
        "timeout": NUMBERS,
        "volumes": TEXT,
    }
)


@given(OPTIONS)
def test_a_good_body_is_read_in_full_in_both_versions(options: dict[str, Any]) -> None:
    request = parse(start_options(**options))
    read = (request.manifest, request.freeze, request.scripts)
    assert read == tuple(bool(options[option]) for option in ("manifest", "filesystems", "scripts"))
    assert request.timeout == options["timeout"]
    assert request.script_argument.encode(errors="surrogateescape") == options["argument"]
    assert request.volumes.encode(errors="surrogateescape") == options["volumes"]


def test_texts_of_the_largest_length_are_read() -> None:
    request = parse(start_options(argument=b"a" * 256, volumes=b"v" * 3200))
    assert (len(request.script_argument), len(request.volumes)) == (256, 3200)


def test_every_truncation_of_a_good_body_is_refused() -> None:
    body = start_options(argument=b"nightly", timeout=30, volumes=b"uuid-1 uuid-2")
    for size in range(len(body)):
        assert refusal(body[:size]).endswith(b" is cut off")


@pytest.mark.parametrize("version", [0, 3, 2**32 - 1])
def test_another_version_is_incompatible_in_the_protocols_words(version: int) -> None:
    assert refusal(start_options(version=version)) == (
        b"ERROR Incompatible quiesce parameter version"
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (start_options(present=0), b"no parameters"),
        (start_options(present=2), b"the presence of the parameters is neither 0 nor 1"),
        (start_options(filesystems=7), b"quiesceFS is neither 0 nor 1"),
        (start_options(argument=bytes(257)), b"scriptArg is too long"),
        (start_options(argument=b"a\0b"), b"scriptArg has a NUL"),
        (start_options(volumes=b"x" * 3201), b"diskUuids is too long"),
        (start_options()[:-4] + b"\xff\xff\xff\xff", b"diskUuids is too long"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, error: bytes) -> None:
    assert refusal(body) == b"ERROR vmbackup.startWithOpts: " + error


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    _, error = _core.parse_start_with_options(body)
    assert error == b"" or error.startswith(b"ERROR ")


class Guest(SimulatedGuest):
    """A running agent on a simulated disk with one hook, and a host that plays a backup."""

    def __init__(self) -> None:
        self.host = EmulatedHost()
        super().__init__(self.host, QUIET._replace(quiesce=QuiesceConfig(timeout=FAR)))
        self.hooked: list[str] = []
        self.planned: list[list[str]] = []
        self.agent._quiesce._planner = self.plan
        self.hook(self.note)

    def plan(self, request: _core.PlanRequest) -> _core.Plan:
        self.planned.append(list(request.volumes))
        return _core.Plan(self.disk.native.filesystems())

    @contextmanager
    def note(self) -> Iterator[None]:
        self.hooked.append("entered")
        yield
        self.hooked.append("left")

    def backup(
        self,
        options: bytes,
        snapshot: Callable[[], object] | None = None,
        *,
        never_done: bool = False,
    ) -> BackupResult:
        return self.host.backup(snapshot, options=options, never_done=never_done, timeout=PATIENCE)


@pytest.fixture
def guest() -> Iterator[Guest]:
    with Guest() as guest:
        yield guest


def test_a_backup_with_options_freezes_what_they_name(guest: Guest) -> None:
    seen: list[bool] = []
    result = guest.backup(
        start_options(volumes=b"/srv 6000-29"),
        snapshot=lambda: seen.append(guest.disk.frozen("/srv")),
    )
    assert (result.outcome, result.error) == (BackupOutcome.DONE, "")
    assert seen == [True]
    assert guest.planned == [["/srv", "6000-29"]]
    assert guest.hooked == ["entered", "left"]


def test_without_quiesce_fs_the_hooks_are_held_and_nothing_is_frozen(guest: Guest) -> None:
    seen: list[tuple[bool, list[str]]] = []
    result = guest.backup(
        start_options(filesystems=0),
        snapshot=lambda: seen.append((guest.disk.frozen("/srv"), list(guest.hooked))),
    )
    assert (result.outcome, result.error) == (BackupOutcome.DONE, "")
    assert seen == [(False, ["entered"])]
    assert guest.hooked == ["entered", "left"]
    assert guest.planned == []
    await_true(lambda: guest.agent.status()["last_backup"])
    shown = dict(status.lines(guest.agent.status()))
    assert shown["last backup"].endswith("nothing was frozen, as the host asked")


def test_without_exec_scripts_no_hook_is_called(guest: Guest) -> None:
    assert guest.backup(start_options(scripts=0)).outcome is BackupOutcome.DONE
    assert guest.hooked == []


@pytest.mark.parametrize("filesystems", [0, 1])
def test_past_the_hosts_own_limit_it_is_given_up(guest: Guest, filesystems: int) -> None:
    result = guest.backup(start_options(filesystems=filesystems, timeout=1), never_done=True)
    assert result.outcome is BackupOutcome.FAILED
    assert result.error == "the backup was not done within its time limit"
    assert result.done is not None
    assert 1.0 <= result.done - result.start < PATIENCE
    assert not guest.disk.frozen("/srv")
    assert guest.records[-1].outcome == _core.Outcome.ABORTED


def test_after_a_malformed_body_a_backup_works_as_ever(guest: Guest) -> None:
    for body in (b"?", start_options(version=9), start_options(argument=b"evil")[:-1]):
        assert guest.backup(body).outcome is BackupOutcome.REFUSED
    result = guest.backup(b"")  # the plain start
    assert (result.outcome, result.error) == (BackupOutcome.DONE, "")
    assert guest.planned == [[]]
