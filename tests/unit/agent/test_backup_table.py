"""The backup machine's table, edge by edge, against what is expected of it."""

from __future__ import annotations

import itertools

import pytest

from vmtpy import _core

S = _core.BackupState
E = _core.BackupEvent

GIVE_UP = (E.ABORT, E.STOP, E.HOST_GONE, E.LATE)
EXPECTED = {
    (S.IDLE, E.START): S.PREPARING,
    (S.PREPARING, E.ARMED): S.FREEZING,
    (S.PREPARING, E.SKIPPED): S.UNFROZEN,
    (S.PREPARING, E.REFUSED): S.FINISHING,
    **{(S.PREPARING, event): S.CANCELLED for event in GIVE_UP},
    (S.CANCELLED, E.ARMED): S.FINISHING,
    (S.CANCELLED, E.SKIPPED): S.FINISHING,
    (S.CANCELLED, E.REFUSED): S.FINISHING,
    (S.CANCELLED, E.LATE): S.FINISHING,
    (S.CANCELLED, E.ABORT): S.CANCELLED,
    (S.FREEZING, E.FROZE): S.FROZEN,
    (S.FREEZING, E.ENDED): S.FINISHING,
    **{(S.FREEZING, event): S.ABORTING for event in GIVE_UP},
    (S.FROZEN, E.SNAPSHOT_DONE): S.THAWING,
    (S.FROZEN, E.ENDED): S.FINISHING,
    **{(S.FROZEN, event): S.ABORTING for event in GIVE_UP},
    (S.UNFROZEN, E.SNAPSHOT_DONE): S.FINISHING,
    **{(S.UNFROZEN, event): S.FINISHING for event in GIVE_UP},
    (S.THAWING, E.ENDED): S.FINISHING,
    (S.THAWING, E.LATE): S.ABORTING,
    (S.ABORTING, E.ENDED): S.FINISHING,
    (S.ABORTING, E.ABORT): S.ABORTING,
    (S.FINISHING, E.FINISHED): S.IDLE,
    (S.FINISHING, E.LATE): S.IDLE,
    (S.FINISHING, E.ABORT): S.FINISHING,
}


@pytest.mark.parametrize(
    ("state", "event"),
    list(itertools.product(S, E)),
    ids=lambda value: value.name,
)
def test_each_state_and_event_lead_where_they_should(
    state: _core.BackupState, event: _core.BackupEvent
) -> None:
    assert _core.backup_edge(state, event) == EXPECTED.get((state, event))


def test_from_every_state_there_is_a_way_back_to_idle() -> None:
    reached = {S.IDLE}
    while more := {
        state
        for (state, _), following in EXPECTED.items()
        if following in reached and state not in reached
    }:
        reached |= more
    assert reached == set(S)


def test_wherever_something_may_be_frozen_stop_and_a_lost_host_thaw() -> None:
    for state, event in itertools.product((S.FREEZING, S.FROZEN), GIVE_UP):
        assert _core.backup_edge(state, event) == S.ABORTING
