"""Hooks are entered in order, left in reverse, and always paired."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from vmtpy.hooks import AbortedError, HookError, Hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def recording(
    name: str, seen: list[str], *, fails: str = ""
) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def hook() -> Iterator[None]:
        seen.append(f"{name} freeze")
        if fails == "freeze":
            raise OSError("no space")
        try:
            yield
        except AbortedError:
            seen.append(f"{name} aborted")
            raise
        finally:
            seen.append(f"{name} thaw")
        if fails == "thaw":
            raise OSError("cannot unlock")

    return hook


def test_hooks_are_entered_in_order_and_left_in_reverse() -> None:
    seen: list[str] = []
    hooks = Hooks()
    hooks.add(recording("a", seen))
    hooks.add(recording("b", seen))
    hooks.freeze()
    assert hooks.thaw(aborted=False) == []
    assert seen == ["a freeze", "b freeze", "b thaw", "a thaw"]


def test_a_failing_hook_undoes_those_before_it_and_is_named() -> None:
    seen: list[str] = []
    hooks = Hooks()
    hooks.add(recording("a", seen))
    hooks.add(recording("b", seen, fails="freeze"))
    with pytest.raises(HookError, match=r"hook .*hook: no space"):
        hooks.freeze()
    assert seen == ["a freeze", "b freeze", "a aborted", "a thaw"]
    assert hooks.thaw(aborted=False) == []


def test_an_aborted_backup_is_seen_by_the_hooks() -> None:
    seen: list[str] = []
    hooks = Hooks()
    hooks.add(recording("a", seen))
    hooks.freeze()
    assert hooks.thaw(aborted=True) == []
    assert seen == ["a freeze", "a aborted", "a thaw"]


def test_a_hook_that_fails_at_the_thaw_is_reported_and_the_others_are_left() -> None:
    seen: list[str] = []
    hooks = Hooks()
    hooks.add(recording("a", seen))
    hooks.add(recording("b", seen, fails="thaw"))
    hooks.freeze()
    assert hooks.thaw(aborted=False) == ["hook: cannot unlock"]
    assert seen[-1] == "a thaw"


def test_hooks_can_be_used_again() -> None:
    seen: list[str] = []
    hooks = Hooks()
    hooks.add(recording("a", seen))
    for _ in range(2):
        hooks.freeze()
        hooks.thaw(aborted=False)
    assert seen == ["a freeze", "a thaw"] * 2
