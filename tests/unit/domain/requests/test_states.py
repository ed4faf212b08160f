"""The transition tables: complete, and drawn as they are."""

from __future__ import annotations

import itertools

import pytest

from shiftwork_core.domain.requests.states import (
    ATTEMPT_OPEN,
    ATTEMPT_TRANSITIONS,
    REQUEST_ENDED,
    REQUEST_TRANSITIONS,
    AttemptEvent,
    AttemptStatus,
    Refused,
    RequestEvent,
    RequestStatus,
    attempt_sources,
    request_sources,
)
from tools.draw_states import PAGE, draw


def test_every_pair_of_state_and_event_is_decided() -> None:
    assert set(REQUEST_TRANSITIONS) == set(itertools.product(RequestStatus, RequestEvent))
    assert set(ATTEMPT_TRANSITIONS) == set(itertools.product(AttemptStatus, AttemptEvent))


@pytest.mark.parametrize("status", sorted(set(AttemptStatus) - ATTEMPT_OPEN))
def test_an_attempt_with_an_outcome_never_moves_again(status: AttemptStatus) -> None:
    assert all(isinstance(ATTEMPT_TRANSITIONS[status, event], Refused) for event in AttemptEvent)


def test_an_ended_request_moves_only_by_a_retry_and_a_cancelled_one_never() -> None:
    moves = {
        (status, event)
        for status in REQUEST_ENDED
        for event in RequestEvent
        if not isinstance(REQUEST_TRANSITIONS[status, event], Refused)
    }
    assert moves == {
        (RequestStatus.FAILED, RequestEvent.RETRY),
        (RequestStatus.COMPLETED, RequestEvent.RETRY),
    }


def test_every_status_can_be_reached_from_the_first() -> None:
    for first, table, statuses in (
        (RequestStatus.QUEUING, REQUEST_TRANSITIONS, RequestStatus),
        (AttemptStatus.NEW, ATTEMPT_TRANSITIONS, AttemptStatus),
    ):
        reached = {first}
        for _ in statuses:
            reached |= {to for (s, _), to in table.items() if s in reached and to in set(statuses)}
        assert reached == set(statuses)


def test_an_attempt_is_open_for_as_long_as_it_may_move() -> None:
    moves = {
        status for (status, _), to in ATTEMPT_TRANSITIONS.items() if not isinstance(to, Refused)
    }
    assert moves == ATTEMPT_OPEN


def test_each_event_moves_a_request_from_these_statuses_alone() -> None:
    """What a store's condition admits."""
    unended = [RequestStatus.QUEUING, RequestStatus.INPROGRESS]
    assert {event: request_sources(event) for event in RequestEvent} == {
        RequestEvent.START: [RequestStatus.QUEUING],
        RequestEvent.COMPLETE: [RequestStatus.INPROGRESS],
        RequestEvent.FAIL: unended,
        RequestEvent.CANCEL: unended,
        RequestEvent.RETRY: [RequestStatus.COMPLETED, RequestStatus.FAILED],
    }


@pytest.mark.parametrize("event", AttemptEvent)
def test_only_the_holder_of_an_attempt_records_its_outcome(event: AttemptEvent) -> None:
    of_new = {AttemptEvent.CLAIM, AttemptEvent.CANCEL, AttemptEvent.OVERDUE, AttemptEvent.ABANDON}
    source = AttemptStatus.NEW if event in of_new else AttemptStatus.INPROGRESS
    assert attempt_sources(event) == [source]


def test_the_page_of_states_is_drawn_from_these_tables() -> None:
    assert PAGE.read_text() == draw(), "run: python tools/draw_states.py"
