"""Context managers as hooks: entered in order, left in reverse, always paired, never waited for
longer than the limit.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.hooks import Clock
from support.patience import PATIENCE

from vmtpy.config import HooksConfig
from vmtpy.hooks import AbortedError, Call, HookError, Hooks
from vmtpy.hooks.context import ContextHook, _Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

LIMIT = 60.0


class InterruptingClock(Clock):
    """Raises KeyboardInterrupt, as Ctrl-C would, when it is first looked at after arm()."""

    def __init__(self) -> None:
        super().__init__()
        self._armed = False
        self._raised = False

    def arm(self) -> None:
        self._armed = not self._raised

    def __call__(self) -> float:
        if self._armed:
            self._armed, self._raised = False, True
            raise KeyboardInterrupt
        return super().__call__()


class Bench:
    """Hooks with a clock that stands still, and what has been seen and logged."""

    def __init__(self, **config: object) -> None:
        self.seen: list[str] = []
        self.log: list[str] = []
        self.clock = InterruptingClock()
        self.go_on = threading.Event()
        values = {"directory": "", "timeout": LIMIT, **config}
        self.hooks = Hooks(HooksConfig(**values), log=self.log.append, clock=self.clock)

    def add(self, name: str, fails: str = "", hangs: str = "") -> None:
        """A hook that may raise or hang "freeze" or "thaw"; the hang lasts until `go_on`."""
        self.hooks.add(self.manager(name, fails, hangs))

    def manager(
        self, name: str, fails: str, hangs: str
    ) -> Callable[[], AbstractContextManager[None]]:
        def step(what: str) -> None:
            if hangs == what:
                self.clock.now += LIMIT + 1
                assert self.go_on.wait(PATIENCE)
            self.seen.append(f"{name} {what}")
            if fails == what:
                raise OSError("no space")

        @contextmanager
        def hook() -> Iterator[None]:
            step("freeze")
            try:
                yield
            except AbortedError:
                self.seen.append(f"{name} aborted")
                raise
            finally:
                step("thaw")

        hook.__name__ = name
        return hook

    def await_seen(self, count: int) -> None:
        """Waits until so much has been seen, of threads that were left behind."""
        tick = threading.Event()
        for _ in range(2000):
            if len(self.seen) >= count:
                return
            tick.wait(0.005)
        raise AssertionError(self.seen)


def test_hooks_are_entered_in_order_and_left_in_reverse() -> None:
    bench = Bench()
    bench.add("a")
    bench.add("b")
    bench.hooks.freeze()
    bench.hooks.thaw(aborted=False)
    assert bench.seen == ["a freeze", "b freeze", "b thaw", "a thaw"]
    assert bench.log == []


def test_a_failing_hook_undoes_those_before_it_and_is_named() -> None:
    bench = Bench()
    bench.add("a")
    bench.add("b", fails="freeze")
    bench.add("c")
    with pytest.raises(HookError, match=r"^hook b: no space$"):
        bench.hooks.freeze()
    assert bench.seen == ["a freeze", "b freeze", "a aborted", "a thaw"]
    bench.hooks.thaw(aborted=True)
    assert len(bench.seen) == 4


def test_a_hook_that_aborts_the_backup_itself_is_quoted() -> None:
    bench = Bench()

    @contextmanager
    def replica() -> Iterator[None]:
        raise AbortedError("this is a replica")
        yield

    bench.hooks.add(replica)
    with pytest.raises(HookError, match=r"^hook replica: this is a replica$"):
        bench.hooks.freeze()


def test_an_optional_hook_may_fail() -> None:
    bench = Bench(optional=("b",))
    for name in "abc":
        bench.add(name, fails="freeze" if name == "b" else "")
    bench.hooks.freeze()
    bench.hooks.thaw(aborted=False)
    assert bench.seen == ["a freeze", "b freeze", "c freeze", "c thaw", "a thaw"]
    assert bench.log == ["hook b: no space; the hook is optional, so the backup goes on"]


def test_an_aborted_backup_is_seen_by_the_hooks() -> None:
    bench = Bench()
    bench.add("a")
    bench.hooks.freeze()
    bench.hooks.thaw(aborted=True)
    assert bench.seen == ["a freeze", "a aborted", "a thaw"]
    assert bench.log == []


def test_a_hook_that_fails_at_the_thaw_is_reported_and_the_others_are_left() -> None:
    bench = Bench()
    bench.add("a")
    bench.add("b", fails="thaw")
    bench.hooks.freeze()
    bench.hooks.thaw(aborted=False)
    assert bench.log == ["hook b after the thaw: no space"]
    assert bench.seen[-1] == "a thaw"


def test_an_error_at_the_thaw_that_nobody_expected_is_logged_and_the_others_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.add("a")
    bench.add("b")

    def fail(hook: ContextHook, call: Call, *, aborted: bool) -> None:
        thaw(hook, call, aborted=aborted)
        if hook.name == "b":
            raise ValueError("of nobody")

    thaw = ContextHook.thaw
    bench.hooks.freeze()
    with monkeypatch.context() as patch:
        patch.setattr(ContextHook, "thaw", fail)
        bench.hooks.thaw(aborted=False)
    assert bench.log == ["hook b after the thaw: ValueError: of nobody"]
    assert bench.seen == ["a freeze", "b freeze", "b thaw", "a thaw"]


def test_a_hook_that_hangs_fails_the_backup_and_the_others_are_left_at_once() -> None:
    bench = Bench()
    bench.add("a")
    bench.add("b", hangs="freeze")
    with pytest.raises(HookError, match=r"^hook b was not ready after 60 s$"):
        bench.hooks.freeze()
    assert bench.seen == ["a freeze", "a aborted", "a thaw"]
    with pytest.raises(HookError, match=r"^hook b is still busy with an earlier backup$"):
        bench.hooks.freeze()
    bench.go_on.set()  # and when it comes to it, it is left as well
    bench.await_seen(9)
    assert bench.seen[6:] == ["b freeze", "b aborted", "b thaw"]


def test_a_hook_whose_thread_cannot_be_started_is_not_busy_at_the_next_backup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    bench = Bench()
    bench.add("a")
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            with pytest.raises(HookError, match=r"^hook a: can't start new thread$"):
                bench.hooks.freeze()
        bench.hooks.freeze()
        bench.hooks.thaw(aborted=False)
    assert bench.seen == 2 * ["a freeze", "a thaw"]


def test_a_hook_that_hangs_at_the_thaw_is_reported_and_not_waited_for() -> None:
    bench = Bench()
    bench.add("a")
    bench.add("b", hangs="thaw")
    bench.hooks.freeze()
    bench.hooks.thaw(aborted=False)
    assert bench.log == ["hook b had not ended 60 s after the thaw"]
    assert bench.seen[-1] == "a thaw"
    del bench.log[:]
    with pytest.raises(HookError, match=r"^hook b is still busy with an earlier backup$"):
        bench.hooks.freeze()
    assert bench.log == []  # the next backup does not wait for it either
    bench.go_on.set()
    bench.await_seen(7)
    again = ["a freeze", "a aborted", "a thaw"]
    assert bench.seen == ["a freeze", "b freeze", "a thaw", *again, "b thaw"]


def test_a_cancelled_backup_unwinds_the_hooks_although_one_hangs() -> None:
    bench = Bench()
    bench.add("a")
    bench.add("b", hangs="freeze")
    asked = threading.Event()

    def cancelled() -> bool:
        asked.set()
        return bench.clock.now > 0  # once b hangs

    with pytest.raises(HookError, match=r"^hook b was cancelled with the backup$"):
        bench.hooks.freeze(cancelled=cancelled)
    assert asked.is_set()
    assert bench.seen == ["a freeze", "a aborted", "a thaw"]
    bench.go_on.set()
    bench.await_seen(6)


def test_an_optional_hook_that_is_cancelled_does_not_let_the_backup_go_on() -> None:
    bench = Bench(optional=("b",))
    bench.add("a")
    bench.add("b", hangs="freeze")
    with pytest.raises(HookError, match=r"^hook b was cancelled with the backup$"):
        bench.hooks.freeze(cancelled=lambda: bench.clock.now > 0)
    assert bench.seen == ["a freeze", "a aborted", "a thaw"]
    bench.go_on.set()
    bench.await_seen(6)


def test_an_interrupt_while_hooks_freeze_undoes_those_before() -> None:
    bench = Bench()
    bench.add("a")
    bench.add("b")

    def cancelled() -> bool:
        if "a freeze" in bench.seen:
            bench.clock.arm()
        return False

    with pytest.raises(KeyboardInterrupt):
        bench.hooks.freeze(cancelled=cancelled)
    assert bench.seen == ["a freeze", "a aborted", "a thaw"]


def test_an_interrupt_while_hooks_thaw_leaves_the_others_all_the_same() -> None:
    bench = Bench()
    bench.add("a")

    @bench.hooks.add
    @contextmanager
    def slow() -> Iterator[None]:
        yield
        bench.clock.arm()
        assert bench.go_on.wait(PATIENCE)

    bench.hooks.freeze()
    with pytest.raises(KeyboardInterrupt):
        bench.hooks.thaw(aborted=False)
    bench.go_on.set()
    assert bench.seen == ["a freeze", "a thaw"]


def test_cancelled_between_two_hooks_the_next_is_not_begun() -> None:
    bench = Bench(optional=("b",))
    bench.add("a")
    bench.add("b")
    with pytest.raises(HookError, match="the backup was cancelled before hook b ran"):
        bench.hooks.freeze(cancelled=lambda: "a freeze" in bench.seen)
    assert bench.seen == ["a freeze", "a aborted", "a thaw"]


def test_a_hook_is_left_by_the_thread_that_entered_it() -> None:
    hooks = Hooks(HooksConfig(directory=""))
    threads = []

    @hooks.add
    @contextmanager
    def hook() -> Iterator[None]:
        threads.append(threading.get_ident())
        yield
        threads.append(threading.get_ident())

    hooks.freeze()
    hooks.thaw(aborted=False)
    assert len(threads) == 2
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_even_an_exit_in_a_hook_is_a_failure() -> None:
    hooks = Hooks(HooksConfig(directory=""))

    @hooks.add
    @contextmanager
    def hook() -> Iterator[None]:
        raise SystemExit(3)
        yield

    with pytest.raises(HookError, match=r"^hook hook: 3$"):
        hooks.freeze()


def test_a_hook_that_fails_right_behind_its_deadline_is_named_with_its_failure() -> None:
    """It fails between the look at the clock and the decision to abandon it."""
    go_on = threading.Event()
    times = iter([0.0, LIMIT + 1])

    @contextmanager
    def hook() -> Iterator[None]:
        assert go_on.wait(PATIENCE)
        raise OSError("no space")
        yield

    def clock() -> float:
        now = next(times)
        if now > LIMIT:
            go_on.set()
            next(thread for thread in threading.enumerate() if thread.name == "hook slow").join(
                PATIENCE
            )
        return now

    call = Call(LIMIT, "", lambda: False, lambda _: None, clock)
    with pytest.raises(HookError, match=r"^hook slow: no space$"):
        ContextHook("slow", hook).freeze(call)


def test_a_hook_that_is_held_is_not_abandoned_although_nobody_has_heard_of_it_yet() -> None:
    held = threading.Event()

    class Unheard(threading.Event):
        """Stands for the moment before it is set."""

        def set(self) -> None:
            held.set()

    @contextmanager
    def hook() -> Iterator[None]:
        yield

    visit = _Visit(hook)
    visit.entered = Unheard()
    threading.Thread(target=visit.live, daemon=True).start()
    assert held.wait(PATIENCE)
    assert not visit.abandon()
    visit.leave(aborted=False)
    assert visit.left.wait(PATIENCE)


def test_hooks_can_be_used_again() -> None:
    bench = Bench()
    bench.add("a")
    for _ in range(2):
        bench.hooks.freeze()
        bench.hooks.thaw(aborted=False)
    assert bench.seen == ["a freeze", "a thaw"] * 2


def test_entry_points_are_hooks_if_configured(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path

    directory = Path(str(tmp_path))
    (directory / "shop_hooks.py").write_text(
        "from contextlib import contextmanager\nseen = []\n"
        "@contextmanager\ndef quiet():\n    seen.append('in')\n    yield\n    seen.append('out')\n"
    )
    info = directory / "shop-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[vmtpy.hooks]\nshop = shop_hooks:quiet\nbroken = shop_hooks:nothing\n"
    )
    monkeypatch.syspath_prepend(str(directory))
    required = Hooks(HooksConfig(directory="", entry_points=True))
    with pytest.raises(HookError, match=r"hook broken: .*nothing"):
        required.freeze()
    log: list[str] = []
    hooks = Hooks(
        HooksConfig(directory="", entry_points=True, optional=("broken",)), log=log.append
    )
    hooks.freeze()
    import shop_hooks  # type: ignore[import-not-found]

    assert shop_hooks.seen == ["in"]
    hooks.thaw(aborted=False)
    assert shop_hooks.seen == ["in", "out"]
    assert len(log) == 1
    Hooks(HooksConfig(directory="")).freeze()
    assert shop_hooks.seen == ["in", "out"]
