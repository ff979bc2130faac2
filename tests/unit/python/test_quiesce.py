"""What Python makes of the host's start and of a backup's end: the session's options, the manifest,
the hooks. The loop is turned by hand; the configuration is the test's.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.bench import RCU
from support.hooks import seen, write_script
from support.patience import PATIENCE, await_true
from support.rig import KIND, Rig, State
from support.start_options import start_options

from vmtpy import _core
from vmtpy._host import StoppingSystem
from vmtpy.config import HooksConfig, QuiesceConfig
from vmtpy.errors import PlanError
from vmtpy.hooks import HookError, Hooks
from vmtpy.log import Log
from vmtpy.quiesce import Quiesce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Guest:
    """An agent, and the Python side of it as it is."""

    def __init__(
        self,
        clock: Callable[[], float] = lambda: 0.0,
        directory: str = "",
        system: Callable[[_core.System], _core.System] = lambda disk: disk,
        **config: object,
    ) -> None:
        self.rig = Rig()
        self.records: list[_core.RunRecord] = []
        self.log: list[str] = []
        self.hooks = Hooks(HooksConfig(directory=directory), clock=clock)
        self.quiesce = Quiesce(
            QuiesceConfig(**config),  # type: ignore[arg-type]
            self.hooks,
            system=system(self.rig.disk),
            clock=self.rig.clock,
            planner=lambda _: _core.Plan(self.rig.disk.filesystems()),
            guardian=False,
            log=Log(lambda _, line: self.log.append(line)),
            on_record=self.records.append,
        )

    def start(self, command: str | bytes = "vmbackup.start 1") -> None:
        assert self.rig.command(command) == b"OK "
        self.quiesce.start(self.rig.agent, self.rig.take(KIND.START).request)

    def freeze(self) -> None:
        self.start()
        self.rig.until(lambda: self.rig.agent.backup_state == State.FROZEN)

    def end(self) -> _core.RunRecord:
        self.quiesce.ended(self.rig.agent, self.rig.take(KIND.ENDED).record)
        self.await_idle()
        return self.records[-1]

    def await_idle(self) -> None:
        self.rig.until(lambda: self.rig.agent.backup_state == State.IDLE)
        self.rig.turn()


def test_the_configured_time_of_one_filesystem_is_its_own() -> None:
    guest = Guest(timeout=30.0, filesystem_timeout=3.0)
    guest.rig.disk.hold("/srv")
    guest.start()
    guest.rig.until(lambda: guest.rig.agent.backup_state == State.FINISHING, seconds=0.1)
    guest.rig.disk.let_go("/srv")
    assert "/srv: not frozen within 3 s" in guest.end().error


@pytest.mark.parametrize("expedite", [True, False])
def test_the_switch_is_used_as_configured(*, expedite: bool) -> None:
    guest = Guest(expedite_rcu=expedite)
    assert guest.rig.disk.files()[RCU] == "0\n"
    guest.freeze()
    assert guest.rig.command("vmbackup.snapshotDone") == b"OK "
    assert guest.end().rcu_expedited is expedite


@pytest.mark.parametrize(
    ("already_frozen", "outcome"),
    [("error", _core.Outcome.FAILED), ("accept", _core.Outcome.RELEASED)],
)
def test_what_is_frozen_already_is_taken_as_configured(
    already_frozen: str, outcome: _core.Outcome
) -> None:
    guest = Guest(already_frozen=already_frozen)
    options = _core.FreezeOptions(guardian=False, expedite_rcu=False)
    disk = guest.rig.disk
    other = _core.FreezeSession(disk, guest.rig.clock, disk.filesystems(), options)
    other.start()
    assert other.wait_for(_core.Phase.FROZEN, PATIENCE)
    guest.start()
    rig = guest.rig
    rig.until(lambda: rig.agent.backup_state in (State.FROZEN, State.FINISHING))
    if rig.agent.backup_state == State.FROZEN:
        assert rig.command("vmbackup.snapshotDone") == b"OK "
    assert guest.end().outcome == outcome
    assert disk.frozen("/srv")
    other.release()
    await_true(lambda: not disk.frozen("/srv"))


@pytest.mark.parametrize("argument", ["0", "1"])
@pytest.mark.parametrize("good", [True, False])
def test_the_host_hears_of_a_manifest_that_it_wants_after_a_good_backup_alone(
    argument: str, *, good: bool
) -> None:
    guest = Guest()
    guest.start(f"vmbackup.start {argument}")
    guest.rig.until(lambda: guest.rig.agent.backup_state == State.FROZEN)
    guest.rig.command("vmbackup.snapshotDone" if good else "vmbackup.abort")
    guest.end()
    told = [event.split()[0] for event in guest.rig.events()]
    assert told[-1] == b"req.done"
    assert (b"req.genericManifest" in told) == (good and argument == "1")


def test_a_thaw_that_the_host_was_told_failed_is_a_failed_backup_here_too(tmp_path: Path) -> None:
    place = tmp_path / "hooks.d"
    place.mkdir(mode=0o755)
    write_script(place / "a")
    stops: list[StoppingSystem] = []

    def stopping(disk: _core.System) -> StoppingSystem:
        stops.append(StoppingSystem(disk, str(tmp_path / "stops")))
        return stops[0]

    guest = Guest(directory=str(place), system=stopping)
    guest.freeze()
    stops[0].stop("before thaw")
    before = len(guest.rig.replies())
    guest.rig.device.send_command("vmbackup.snapshotDone")
    guest.rig.until(lambda: stops[0].stopped("before thaw"))
    guest.rig.until(lambda: len(guest.rig.replies()) > before, seconds=1.0)
    assert guest.rig.replies()[-1] == b"ERROR Error: the thaw did not end in time"
    stops[0].let_go("before thaw")
    assert guest.end().outcome == _core.Outcome.ABORTED
    told = [event.split()[0] for event in guest.rig.events()]
    assert told[-2:] == [b"req.aborted", b"req.done"]
    assert b"req.genericManifest" not in told
    assert seen(place) == ["a freeze", "a freezeFail"]
    assert guest.log[-1] == "not quiesced (aborted): the thaw did not end in time"


def test_scripts_get_the_hosts_argument_before_and_after(tmp_path: Path) -> None:
    place = tmp_path / "hooks.d"
    place.mkdir(mode=0o755)
    write_script(place / "a")
    guest = Guest(directory=str(place))
    guest.start(b"vmbackup.startWithOpts " + start_options(argument=b"nightly"))
    guest.rig.until(lambda: guest.rig.agent.backup_state == State.FROZEN)
    assert guest.rig.command("vmbackup.snapshotDone") == b"OK "
    guest.end()
    assert seen(place) == ["a freeze nightly", "a thaw nightly"]


def test_an_interrupt_while_hooks_thaw_does_not_keep_the_end_from_the_host() -> None:
    armed, go_on = threading.Event(), threading.Event()

    def clock() -> float:
        if armed.is_set() and not go_on.is_set():
            go_on.set()
            raise KeyboardInterrupt
        return 0.0

    guest = Guest(clock=clock)

    @guest.hooks.add
    @contextmanager
    def hook() -> Iterator[None]:
        yield
        armed.set()
        assert go_on.wait(PATIENCE)

    guest.freeze()
    assert guest.rig.command("vmbackup.snapshotDone") == b"OK "
    with pytest.raises(KeyboardInterrupt):
        guest.quiesce.ended(guest.rig.agent, guest.rig.take(KIND.ENDED).record)
    guest.await_idle()
    assert guest.rig.events()[-1] == b"req.done 0 "


def test_an_error_that_nobody_expected_is_told_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Guest()

    def fail(_: str) -> _core.Plan:
        raise ZeroDivisionError("of the planner")

    monkeypatch.setattr(guest.quiesce, "plan", fail)
    guest.start()
    guest.rig.until(lambda: guest.rig.agent.backup_state == State.FINISHING)
    guest.rig.turn()
    assert guest.rig.events()[-1] == b"req.error 5 ZeroDivisionError: of the planner"
    assert guest.end().outcome == _core.Outcome.FAILED


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PlanError("/caf\udcff is busy"), b"req.error 3 /caf\\xff is busy"),
        (HookError("hook \udcff: no lock"), b"req.error 2 hook \\xff: no lock"),
        (HookError("hook a: \ud800"), b"req.error 2 hook a: \\ud800"),
        (ValueError("\udcff"), b"req.error 5 ValueError: \\xff"),
    ],
    ids=["plan", "hook", "no byte", "unexpected"],
)
def test_an_error_whose_text_is_no_utf_8_is_told_to_the_host_and_the_next_backup_works(
    error: Exception, told: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = Guest()

    def fail(_: _core.PlanRequest) -> _core.Plan:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(guest.quiesce, "_planner", fail)
        guest.start()
    guest.rig.until(lambda: guest.rig.agent.backup_state == State.FINISHING)
    guest.rig.turn()
    assert guest.rig.events()[-1] == told
    assert guest.end().outcome == _core.Outcome.FAILED
    guest.freeze()
    assert guest.rig.command("vmbackup.snapshotDone") == b"OK "
    assert guest.end().outcome == _core.Outcome.RELEASED


def test_a_hook_whose_name_is_no_utf_8_is_named_to_the_host(tmp_path: Path) -> None:
    place = tmp_path / "hooks.d"
    place.mkdir(mode=0o755)
    write_script(place / "a\udcff", "exit 1")
    guest = Guest(directory=str(place))
    guest.start()
    guest.rig.until(lambda: guest.rig.agent.backup_state == State.FINISHING)
    guest.rig.turn()
    told = rb"req.error 2 hook a\xff freeze failed with exit code 1"
    assert guest.rig.events()[-1] == told
    assert guest.end().outcome == _core.Outcome.FAILED


def test_a_record_that_cannot_be_handed_out_is_logged_and_the_backup_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guest = Guest()

    def fail(_: _core.RunRecord) -> None:
        raise KeyError("metrics")

    monkeypatch.setattr(guest.quiesce, "_on_record", fail)
    guest.freeze()
    assert guest.rig.command("vmbackup.snapshotDone") == b"OK "
    guest.quiesce.ended(guest.rig.agent, guest.rig.take(KIND.ENDED).record)
    guest.await_idle()
    assert guest.rig.events()[-1] == b"req.done 0 "
    assert guest.log[-1] == "the record of the backup could not be handled: KeyError: 'metrics'"
