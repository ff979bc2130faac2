"""The scenarios; each has cases, and each case has contenders."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.scenario import Scenario


def scenarios() -> dict[str, Scenario]:
    """All scenarios by name, in the order in which they run."""
    from benchmarks.scenarios import (
        demo,
        dirty,
        idle,
        many,
        picture,
        quiesce,
        rpc,
        slow,
        slow_alone,
        slow_end,
        slow_file,
        slow_queue,
        startup,
        throttled,
        transports,
    )

    modules: list[Scenario] = [
        quiesce,
        dirty,
        slow,
        slow_file,
        slow_queue,
        slow_end,
        slow_alone,
        throttled,
        many,
        rpc,
        startup,
        idle,
        transports,
        demo,
        picture,
    ]
    return {module.NAME: module for module in modules}
