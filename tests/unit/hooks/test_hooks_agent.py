"""Hooks in a whole agent: in-process host, simulated disk, real clock. What the host hears."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.hooks import seen, write_script
from support.patience import PATIENCE

from vmtpy import _core
from vmtpy.config import HooksConfig
from vmtpy.hooks import AbortedError
from vmtpy.testing import EmulatedHost, SimulatedGuest
from vmtpy.testing.guest import QUIET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Rig(SimulatedGuest):
    """A running agent with hooks, its host and its disk."""

    def __init__(self, **hooks: object) -> None:
        self.host = EmulatedHost()
        made = HooksConfig(**{"directory": "", **hooks})
        super().__init__(self.host, QUIET._replace(hooks=made))
        self.until, self.command = self.host.wait_until, self.host.command

    def events(self) -> list[bytes]:
        found = self.host.events
        return [f"{event.name} {event.code} {event.text}".encode() for event in found]

    def keep_alives(self) -> int:
        return self.host.requests.count(b"vmbackup.eventSet req.keepAlive 0 ")

    def done(self) -> None:
        self.until(lambda: self.events()[-1:] == [b"req.done 0 "])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "hooks.d"
    directory.mkdir(mode=0o755)
    return directory


def test_hooks_run_before_the_first_freeze_and_after_the_last_thaw(place: Path) -> None:
    write_script(place / "a")
    rig = Rig(directory=str(place))
    frozen: list[tuple[str, bool]] = []

    @rig.agent.hook
    @contextmanager
    def watch() -> Iterator[None]:
        frozen.append(("freeze", rig.disk.frozen("/srv")))
        yield
        frozen.append(("thaw", rig.disk.frozen("/srv")))

    with rig:
        assert rig.command("vmbackup.start 0") == b"OK "
        rig.until(lambda: rig.events()[-1:] == [b"prov.snapshotCommit 0 "])
        assert rig.disk.frozen("/srv")
        assert seen(place) == ["a freeze"]
        assert frozen == [("freeze", False)]
        assert rig.command("vmbackup.snapshotDone") == b"OK "
        rig.done()
        assert seen(place) == ["a freeze", "a thaw"]
        assert frozen == [("freeze", False), ("thaw", False)]


def test_the_host_reads_which_hook_failed_and_its_first_line(place: Path) -> None:
    write_script(place / "10-shop", "echo 'no lock'; echo more; exit 3")
    with Rig(directory=str(place)) as rig:
        assert rig.command("vmbackup.start 0") == b"OK "
        rig.done()
        error = b"req.error 2 hook 10-shop freeze failed with exit code 3: no lock"
        assert rig.events() == [b"reset 0 ", error, b"req.done 0 "]
        assert "hook 10-shop freeze: more" in rig.log


def test_a_python_hook_that_hangs_fails_the_backup_while_the_host_is_kept_alive() -> None:
    rig = Rig(timeout=4)
    go_on, left = threading.Event(), threading.Event()

    @rig.agent.hook
    @contextmanager
    def stuck() -> Iterator[None]:
        go_on.wait(PATIENCE)
        try:
            yield
        except AbortedError:
            left.set()

    with rig:
        assert rig.command("vmbackup.start 0") == b"OK "
        rig.done()
        assert rig.keep_alives() >= 1
        assert rig.events()[-2] == b"req.error 2 hook stuck was not ready after 4 s"
        go_on.set()
        assert left.wait(PATIENCE)  # it is left when it returns


def test_an_abort_while_hooks_run_is_answered_at_once_and_unwinds_them(place: Path) -> None:
    write_script(place / "a")
    write_script(place / "b", '[ "$1" = freeze ] && exec sleep 60')
    with Rig(directory=str(place)) as rig:
        assert rig.command("vmbackup.start 0") == b"OK "
        rig.until(lambda: "b freeze" in seen(place))
        assert rig.command("vmbackup.abort") == b"OK "
        rig.done()
        assert rig.events() == [b"reset 0 ", b"req.aborted 4 aborted by the host", b"req.done 0 "]
        assert seen(place) == ["a freeze", "b freeze", "b freezeFail", "a freezeFail"]


def test_an_abort_is_honoured_although_a_python_hook_hangs() -> None:
    rig = Rig()
    entered, go_on = threading.Event(), threading.Event()

    @rig.agent.hook
    @contextmanager
    def stuck() -> Iterator[None]:
        entered.set()
        go_on.wait(PATIENCE)
        yield

    with rig:
        assert rig.command("vmbackup.start 0") == b"OK "
        assert entered.wait(PATIENCE)
        assert rig.command("vmbackup.abort") == b"OK "
        rig.done()
        assert rig.events() == [b"reset 0 ", b"req.aborted 4 aborted by the host", b"req.done 0 "]
        assert rig.command("vmbackup.start 0") == b"OK "
        rig.until(lambda: len(rig.events()) == 6)
        assert rig.events()[4] == b"req.error 2 hook stuck is still busy with an earlier backup"
        go_on.set()


def test_an_agent_that_ends_while_hooks_run_unwinds_them(place: Path) -> None:
    write_script(place / "a", '[ "$1" = freeze ] && exec sleep 60')
    with Rig(directory=str(place)) as rig:
        assert rig.command("vmbackup.start 0") == b"OK "
        rig.until(lambda: "a freeze" in seen(place))
    assert seen(place) == ["a freeze", "a freezeFail"]
    rig.until(lambda: b"req.done 0 " in rig.events())


def test_a_plan_that_fails_after_the_hooks_is_a_freeze_fail(place: Path) -> None:
    write_script(place / "a")
    rig = Rig(directory=str(place))
    rig.agent._quiesce._planner = lambda _: _core.Plan([])
    with rig:
        assert rig.command("vmbackup.start 0") == b"OK "
        rig.done()
        assert rig.events()[-2] == b"req.error 3 there is nothing to freeze"
        assert seen(place) == ["a freeze", "a freezeFail"]


def test_a_thaw_hook_that_fails_does_not_spoil_the_snapshot(place: Path) -> None:
    write_script(place / "a", '[ "$1" = freeze ]')
    with Rig(directory=str(place)) as rig:
        assert rig.command("vmbackup.start 0") == b"OK "
        rig.until(lambda: rig.events()[-1:] == [b"prov.snapshotCommit 0 "])
        assert rig.command("vmbackup.snapshotDone") == b"OK "
        rig.done()
        assert rig.events() == [b"reset 0 ", b"prov.snapshotCommit 0 ", b"req.done 0 "]
        assert "hook a thaw failed with exit code 1" in rig.log


def test_a_thaw_hook_that_a_signal_without_a_name_kills_does_not_end_the_agent(
    place: Path,
) -> None:
    write_script(place / "a", '[ "$1" = freeze ] || kill -40 $$')
    with Rig(directory=str(place)) as rig:
        for backup in (1, 2):
            assert rig.command("vmbackup.start 1") == b"OK "
            rig.until(lambda: rig.events()[-1:] == [b"prov.snapshotCommit 0 "])
            assert rig.command("vmbackup.snapshotDone") == b"OK "
            rig.done()
            assert rig.events()[-2].startswith(b"req.genericManifest 0 ")
            assert rig.log.count("hook a thaw was killed by signal 40") == backup
