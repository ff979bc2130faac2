"""Whatever hooks do, whoever was asked to freeze is asked to thaw, once, in reverse order."""

from __future__ import annotations

import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hooks import Clock, seen, write_script
from support.patience import PATIENCE

from vmtpy.config import HooksConfig
from vmtpy.hooks import HookError, Hooks

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 60.0


@dataclass(frozen=True)
class Plot:
    """What one hook does."""

    freeze: str  # "ok", "fails" or "hangs"
    thaw: str
    optional: bool


PLOTS = st.builds(
    Plot,
    freeze=st.sampled_from(["ok", "ok", "ok", "fails", "hangs"]),
    thaw=st.sampled_from(["ok", "ok", "fails", "hangs"]),
    optional=st.booleans(),
)


class Stage:
    """Context managers that follow their plots; those that hang do so until `go_on`."""

    def __init__(self, plots: list[Plot]) -> None:
        self.events: list[tuple[str, int]] = []
        self.go_on = threading.Event()
        self.clock = Clock()
        optional = tuple(f"h{i}" for i, plot in enumerate(plots) if plot.optional)
        config = HooksConfig(directory="", timeout=LIMIT, optional=optional)
        self.hooks = Hooks(config, clock=self.clock)
        for number, plot in enumerate(plots):
            self.hooks.add(self.manager(number, plot))

    def manager(self, number: int, plot: Plot):  # noqa: ANN201
        @contextmanager
        def hook() -> Iterator[None]:
            self.act("freeze", number, plot.freeze)
            self.events.append(("held", number))
            try:
                yield
            finally:
                self.act("thaw", number, plot.thaw)
                self.events.append(("left", number))

        hook.__name__ = f"h{number}"
        return hook

    def act(self, what: str, number: int, how: str) -> None:
        self.events.append((what, number))
        if how == "hangs":
            self.clock.now += LIMIT + 1
            assert self.go_on.wait(PATIENCE)
        if how == "fails":
            self.events.append(("left", number))
            raise OSError("as the plot has it")

    def numbers(self, what: str) -> list[int]:
        return [number for event, number in self.events if event == what]


def await_threads() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("hook "):
            thread.join(PATIENCE)
            assert not thread.is_alive()


@settings(deadline=None, max_examples=150)
@given(
    plots=st.lists(PLOTS, max_size=5),
    cancel_at=st.none() | st.integers(0, 5),
    aborted=st.booleans(),
)
def test_context_managers_are_paired(
    plots: list[Plot], cancel_at: int | None, aborted: bool
) -> None:
    stage = Stage(plots)

    def cancelled() -> bool:
        return cancel_at is not None and len(stage.numbers("freeze")) > cancel_at

    bad = [i for i, plot in enumerate(plots) if plot.freeze != "ok" and not plot.optional]
    try:
        stage.hooks.freeze(cancelled=cancelled)
        went_well = True
    except HookError:
        went_well = False
    if cancel_at is None:
        assert went_well == (not bad)
    asked = stage.numbers("freeze")
    assert asked == list(range(len(asked)))
    if went_well:
        assert len(asked) == len(plots)
        stage.hooks.thaw(aborted=aborted)
    elif bad:
        assert max(asked, default=-1) <= bad[0]
    # All that were held have been asked to thaw by now, in reverse order, although some hang.
    # (The last one may have been cancelled before its thread got to run, and thaw later.)
    late = [] if went_well or cancel_at is None else asked[-1:]
    prompt = [i for i in asked if plots[i].freeze == "ok" and i not in late]
    assert [i for i in stage.numbers("thaw") if i not in late] == prompt[::-1]
    stage.go_on.set()
    await_threads()
    assert sorted(stage.numbers("thaw")) == sorted(stage.numbers("held"))
    assert sorted(stage.numbers("left")) == asked


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    plots=st.lists(
        st.builds(
            Plot,
            freeze=st.sampled_from(["true", "true", "exit 7", "kill -9 $$"]),
            thaw=st.sampled_from(["true", "true", "exit 7"]),
            optional=st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    aborted=st.booleans(),
)
def test_executables_are_paired(plots: list[Plot], aborted: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="vmtpy-hooks-") as base:
        directory = Path(base) / "hooks.d"
        directory.mkdir(mode=0o755)
        for number, plot in enumerate(plots):
            body = f'case "$1" in freeze) {plot.freeze};; *) {plot.thaw};; esac'
            write_script(directory / f"h{number}", body)
        optional = tuple(f"h{i}" for i, plot in enumerate(plots) if plot.optional)
        hooks = Hooks(HooksConfig(directory=str(directory), timeout=LIMIT, optional=optional))
        bad = [i for i, plot in enumerate(plots) if plot.freeze != "true"]
        required = [i for i in bad if not plots[i].optional]
        expected = []
        for i in range(required[0] + 1 if required else len(plots)):
            expected.append(f"h{i} freeze")
            if i in bad and plots[i].optional:
                expected.append(f"h{i} freezeFail")
        to_thaw = [int(line[1]) for line in expected if line.endswith(" freeze")]
        to_thaw = [i for i in to_thaw if not (i in bad and plots[i].optional)]
        phase = "freezeFail" if required or aborted else "thaw"
        expected += [f"h{i} {phase}" for i in reversed(to_thaw)]
        if required:
            with pytest.raises(HookError, match=rf"^hook h{required[0]} freeze (failed|was) "):
                hooks.freeze()
        else:
            hooks.freeze()
            hooks.thaw(aborted=aborted)
        assert seen(directory) == expected
