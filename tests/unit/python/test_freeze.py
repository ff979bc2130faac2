"""`with vmtpy.freeze(…)` on disks that are not there: interrupts, errors, what is put back."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.bench import Bench
from support.patience import await_true

from vmtpy._core import Outcome, Phase
from vmtpy._freeze import Freeze
from vmtpy._host import FaultySystem, SimulatedDisk
from vmtpy.errors import FreezeError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bytecode() -> Iterator[None]:
    """Imports write it, as they do by default."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = False
    yield
    sys.dont_write_bytecode = before


def test_an_interrupt_while_it_freezes_thaws_before_it_is_seen() -> None:
    machine = FaultySystem(disk := SimulatedDisk(["/a"]))
    disk.hold("/a")
    bench = Bench(disk=disk, system=machine, start=False)

    def interrupt() -> None:
        await_true(lambda: machine.calls().count("freeze") == 1)
        os.kill(os.getpid(), signal.SIGINT)
        disk.let_go("/a")

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        Freeze(bench.session).__enter__()
    thread.join()
    assert bench.session.phase() == Phase.ENDED
    assert bench.frozen() == []
    assert bench.session.record().error == "the program was interrupted while vmtpy was freezing"


def test_a_filesystem_that_stays_frozen_is_an_error_although_the_body_was_covered() -> None:
    machine = FaultySystem(disk := SimulatedDisk(["/a"]))
    bench = Bench(disk=disk, system=machine, start=False)
    ended = threading.Event()

    def pass_time() -> None:
        while not ended.wait(0.001):
            bench.clock.advance(0.25)

    thread = threading.Thread(target=pass_time)
    freeze = Freeze(bench.session).__enter__()
    machine.fail(1, errno.EIO, for_good=True, call="thaw")
    thread.start()
    try:
        with pytest.raises(FreezeError, match=r"^FITHAW /a: .*; it is still frozen") as error:
            freeze.__exit__(None, None, None)
        assert error.value.record.outcome == Outcome.RELEASED
        machine.fail(1 << 30, 0, for_good=False)
        await_true(lambda: bench.frozen() == [])
    finally:
        ended.set()
        thread.join()


@pytest.mark.usefixtures("bytecode")
def test_imports_write_no_bytecode_while_anything_is_frozen() -> None:
    bench = Bench("/a", start=False)
    with Freeze(bench.session):
        assert sys.dont_write_bytecode
    assert not sys.dont_write_bytecode


@pytest.mark.usefixtures("bytecode")
def test_imports_write_bytecode_again_when_it_could_not_be_frozen() -> None:
    machine = FaultySystem(disk := SimulatedDisk(["/a"]))
    machine.fail(1, errno.EIO, for_good=True, call="freeze")
    bench = Bench(disk=disk, system=machine, start=False)
    with pytest.raises(FreezeError, match="FIFREEZE /a"):
        Freeze(bench.session).__enter__()
    assert not sys.dont_write_bytecode
