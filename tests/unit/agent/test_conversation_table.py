"""The table of the conversation with the host, edge by edge, against what is expected of it."""

from __future__ import annotations

import itertools

import pytest

from vmtpy import _core

S = _core.ConversationState
E = _core.ConversationEvent

ANSWERING = (S.UNANNOUNCED, S.ANNOUNCED, S.KNOWN)
OPEN = (S.NEW, S.LOST, *ANSWERING)
EXPECTED = {
    (S.NEW, E.HEARD): S.UNANNOUNCED,
    (S.LOST, E.HEARD): S.UNANNOUNCED,
    (S.UNANNOUNCED, E.HEARD): S.UNANNOUNCED,
    (S.ANNOUNCED, E.HEARD): S.KNOWN,
    (S.KNOWN, E.HEARD): S.KNOWN,
    **{(state, E.FAILED): S.LOST for state in OPEN},
    (S.NEW, E.FORGOTTEN): S.NEW,
    (S.LOST, E.FORGOTTEN): S.LOST,
    **{(state, E.FORGOTTEN): S.UNANNOUNCED for state in ANSWERING},
    **{(state, E.TOLD): S.ANNOUNCED for state in ANSWERING},
    **{(state, E.CLOSE): S.CLOSED for state in OPEN},
}


@pytest.mark.parametrize(
    ("state", "event"),
    list(itertools.product(S, E)),
    ids=lambda value: value.name,
)
def test_each_state_and_event_lead_where_they_should(
    state: _core.ConversationState, event: _core.ConversationEvent
) -> None:
    assert _core.conversation_edge(state, event) == EXPECTED.get((state, event))


def test_a_host_that_was_lost_is_announced_to_before_it_is_known() -> None:
    """Whatever comes in between, the guest is announced after each loss."""
    reached = {S.LOST}
    while more := {
        following
        for (state, event), following in EXPECTED.items()
        if state in reached and event != E.TOLD and following not in reached
    }:
        reached |= more
    assert reached == {S.LOST, S.UNANNOUNCED, S.CLOSED}


def test_nothing_follows_the_end() -> None:
    assert [state for state, _ in EXPECTED if state == S.CLOSED] == []
