"""Requests are created, and move through their table of transitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.records import Outage, Request, RequestError
from shiftwork_core.domain.requests.retries import Retried
from shiftwork_core.domain.requests.states import (
    REQUEST_TRANSITIONS,
    Refused,
    RequestEvent,
    RequestStatus,
)
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.stores import DueRequest, IdempotencyKey, Lane
from tests.contract.store.rows import (
    BROKEN,
    EXTRAS,
    FATAL,
    LEASE,
    NOW,
    REQUEST_STATUSES,
    RETENTION,
    SECOND,
    Stores,
    a_request,
    full,
    sent_twice,
)

LATER = NOW + timedelta(minutes=5)
DUE = LATER + LEASE
NOT_INPROGRESS = [s for s in REQUEST_STATUSES if s is not RequestStatus.INPROGRESS]


def is_admitted(status: RequestStatus, event: RequestEvent) -> bool:
    return not isinstance(REQUEST_TRANSITIONS[status, event], Refused)


# -- create --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        a_request(),
        full(
            a_request(
                job_types={"documents.list": 1, "documents.analyse": 12},
                params=Payload(ref="requests/r1/params.json"),
                extras=Payload(ref="requests/r1/extras.json"),
                status=RequestStatus.FAILED,
                current_step=3,
                execution=2,
                generation=1,
                due_at=DUE,
                start_at=NOW + SECOND,
                started_at=NOW + 2 * SECOND,
                completed_at=NOW + timedelta(milliseconds=3001),
                first_completed_at=NOW + 3 * SECOND,
                retries=(
                    Retried(RequestStatus.FAILED, None, None, 3),
                    Retried(RequestStatus.COMPLETED, NOW + 3 * SECOND, NOW + 5 * SECOND),
                ),
                error=FATAL,
                correlation_id="",
                priority=-5,
                domains={"*": "eu", "documents.analyse": "gpu"},
                outage=Outage(2, NOW, BROKEN),
            )
        ),
        a_request(due_at=None),
        a_request(status=RequestStatus.FAILED, error=RequestError("Stopped", "by whom? ünknown")),
    ],
    ids=["new", "every field", "not due", "an error of no job"],
)
def test_a_request_is_read_back_as_it_was_written(stores: Stores, request_: Request) -> None:
    created = sent_twice(lambda: stores.requests.create(request_, None))
    assert (created.request, created.is_new, created.digest) == (request_, True, None)
    assert stores.requests.get("r1") == request_


def test_an_unknown_request_is_none(stores: Stores) -> None:
    stores.request("r1")
    assert stores.requests.get("r2") is None


def test_creating_again_finds_the_request_as_it_is(stores: Stores) -> None:
    request = stores.request()
    stores.requests.start("r1", LATER, DUE)
    created = stores.requests.create(request, None)
    assert created.is_new
    assert created.request.status is RequestStatus.INPROGRESS


def test_creating_again_under_a_key_leaves_the_request_and_the_key(stores: Stores) -> None:
    request = stores.request()
    started = stores.requests.start("r1", LATER, DUE).row
    key = IdempotencyKey("order 7", "digest")
    created = sent_twice(lambda: stores.requests.create(request, key))
    assert (created.request, created.is_new, created.digest) == (started, True, "digest")
    assert stores.request_row() == started
    assert stores.requests.create(a_request("r2"), key).request.request_id == "r2"


def test_a_second_submission_under_a_key_gets_the_first_request(stores: Stores) -> None:
    first, second = a_request("r1"), a_request("r2")
    mine, theirs = IdempotencyKey("order 7", "digest A"), IdempotencyKey("order 7", "digest B")
    created = sent_twice(lambda: stores.requests.create(first, mine))
    assert (created.request, created.is_new, created.digest) == (first, True, "digest A")
    stores.requests.start("r1", LATER, DUE)
    found = sent_twice(lambda: stores.requests.create(second, theirs))
    assert (found.is_new, found.digest) == (False, "digest A")
    assert found.request == stores.request_row("r1")
    assert stores.requests.get("r2") is None


def test_other_keys_make_other_requests(stores: Stores) -> None:
    for number in ("1", "2"):
        key = IdempotencyKey(f"order {number}", "digest")
        assert stores.requests.create(a_request(f"r{number}"), key).is_new
    assert stores.requests.create(a_request("r3"), None).is_new


@pytest.mark.parametrize(
    "made_ms, used_ms, is_free", [(0, -1, False), (1, 999, False), (1, 1000, True)]
)
def test_a_key_is_kept_to_the_next_full_second(
    stores: Stores, made_ms: int, used_ms: int, is_free: bool
) -> None:
    key = IdempotencyKey("order 7", "digest")
    millisecond = timedelta(milliseconds=1)
    stores.requests.create(a_request("r1", created_at=NOW + made_ms * millisecond), key)
    late = a_request("r2", created_at=NOW + RETENTION + used_ms * millisecond)
    assert stores.requests.create(late, key).is_new is is_free


@pytest.mark.parametrize("start_at", [None, NOW + timedelta(days=30)])
def test_a_key_is_free_again_only_after_the_retention_period(
    stores: Stores, start_at: datetime | None
) -> None:
    key = IdempotencyKey("order 7", "digest")
    stores.requests.create(a_request("r1", start_at=start_at), key)
    over = (start_at or NOW) + RETENTION
    early = a_request("r2", created_at=over - SECOND)
    assert not stores.requests.create(early, key).is_new
    late = a_request("r3", created_at=over)
    assert sent_twice(lambda: stores.requests.create(late, key)).is_new
    assert stores.requests.get("r3") == late


# -- start ---------------------------------------------------------------------------------------


def test_a_start_moves_a_new_request_to_step_1(stores: Stores) -> None:
    request = stores.request()
    started = sent_twice(lambda: stores.requests.start("r1", LATER, DUE))
    assert started.won
    assert started.row == stores.request_row()
    assert started.row == replace(
        request,
        status=RequestStatus.INPROGRESS,
        current_step=1,
        started_at=LATER,
        due_at=DUE,
    )


def test_a_start_sent_twice_between_two_milliseconds_recognises_itself(stores: Stores) -> None:
    stores.request()
    now = LATER + timedelta(microseconds=1234)
    assert stores.requests.start("r1", now, DUE).won
    assert stores.requests.start("r1", now, DUE).won


def test_the_second_to_start_loses_and_sees_the_winner(stores: Stores) -> None:
    stores.request()
    winner = stores.requests.start("r1", LATER, DUE).row
    loser = stores.requests.start("r1", LATER + SECOND, DUE + SECOND)
    assert (loser.won, loser.row) == (False, winner)
    assert stores.request_row() == winner


def test_a_start_that_finds_its_request_ended_has_not_won(stores: Stores) -> None:
    stores.request()
    stores.requests.start("r1", LATER, DUE)
    ended = stores.requests.finish("r1", RequestStatus.CANCELLED, LATER).row
    again = stores.requests.start("r1", LATER, DUE)
    assert (again.won, again.row) == (False, ended)


@pytest.mark.parametrize("status", REQUEST_STATUSES)
def test_a_request_starts_only_where_the_table_admits_it(
    stores: Stores, status: RequestStatus
) -> None:
    request = stores.request(status=status)
    started = stores.requests.start("r1", LATER, DUE)
    assert started.won is is_admitted(status, RequestEvent.START)
    assert started.won or stores.request_row() == started.row == request


# -- steps of the request ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Payload('{"a":1}'), Payload('{"a":1,"b":2}')),
        (Payload('{"a":1}'), Payload(ref="requests/r1/x.json")),
        (Payload(ref="requests/r1/x.json"), Payload("{}")),
    ],
    ids=["text", "text to reference", "reference to text"],
)
def test_a_request_enters_the_next_step_with_its_extras(
    stores: Stores, before: Payload, after: Payload
) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, current_step=1, extras=before)
    entered = sent_twice(lambda: stores.requests.enter_step(request, after, DUE))
    assert entered.won
    assert entered.row == stores.request_row()
    assert entered.row == replace(request, current_step=2, extras=after, due_at=DUE)


def test_a_request_that_enters_a_step_keeps_its_due_time_unless_one_is_given(
    stores: Stores,
) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, current_step=1)
    entered = sent_twice(lambda: stores.requests.enter_step(request, Payload("{}"), None))
    assert entered.row == replace(request, current_step=2, extras=Payload("{}"))
    assert [due.due_at for due in stores.requests.due(Lane.INPROGRESS, DUE)] == [request.due_at]


def test_a_late_second_entry_to_a_step_wins_and_changes_nothing(stores: Stores) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, current_step=1)
    stores.requests.enter_step(request, Payload('{"a":1}'), DUE)
    late = stores.requests.enter_step(request, Payload('{"a":1}'), DUE + SECOND)
    assert late.won
    assert late.row == stores.request_row()
    assert late.row.due_at == DUE


@pytest.mark.parametrize("current_step", [0, 2, 4])
def test_a_step_is_entered_only_from_the_one_before(stores: Stores, current_step: int) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, current_step=current_step)
    seen = replace(request, current_step=1)
    entered = stores.requests.enter_step(seen, Payload('{"a":1}'), DUE)
    assert entered.won is (current_step == 2)
    assert entered.row == stores.request_row() == request


@pytest.mark.parametrize("current_step", [1, 2])
@pytest.mark.parametrize("status", NOT_INPROGRESS)
def test_a_step_is_entered_only_in_progress(
    stores: Stores, status: RequestStatus, current_step: int
) -> None:
    request = stores.request(status=status, current_step=current_step)
    seen = replace(request, current_step=1)
    entered = stores.requests.enter_step(seen, Payload('{"a":1}'), DUE)
    assert not entered.won
    assert entered.row == stores.request_row() == request


@pytest.mark.parametrize("generation", [0, 2])
@pytest.mark.parametrize("current_step", [1, 2])
def test_a_step_is_entered_only_in_the_generation_that_was_seen(
    stores: Stores, generation: int, current_step: int
) -> None:
    request = stores.request(
        status=RequestStatus.INPROGRESS, current_step=current_step, generation=1
    )
    seen = replace(request, current_step=1, generation=generation)
    entered = stores.requests.enter_step(seen, Payload('{"a":1}'), DUE)
    assert (entered.won, entered.row) == (False, request)
    assert stores.request_row() == request


@pytest.mark.parametrize("difference", [{"generation": 0}, {"generation": 2}])
def test_a_request_that_was_retried_since_it_was_seen_is_not_completed(
    stores: Stores, difference: dict[str, Any]
) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, current_step=1, generation=1)
    seen = replace(request, **difference)
    late = stores.requests.finish("r1", RequestStatus.COMPLETED, LATER, seen=seen)
    assert (late.won, stores.request_row()) == (False, request)


def test_a_request_that_was_taken_over_since_it_was_seen_is_completed(stores: Stores) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, current_step=1, execution=3)
    seen = replace(request, execution=2)
    late = sent_twice(
        lambda: stores.requests.finish("r1", RequestStatus.COMPLETED, LATER, seen=seen)
    )
    assert (late.won, late.row.status) == (True, RequestStatus.COMPLETED)


# -- the end and after ---------------------------------------------------------------------------

ENDINGS = [
    (RequestStatus.COMPLETED, RequestEvent.COMPLETE),
    (RequestStatus.FAILED, RequestEvent.FAIL),
    (RequestStatus.CANCELLED, RequestEvent.CANCEL),
]


@pytest.mark.parametrize(("ending", "event"), ENDINGS)
@pytest.mark.parametrize("status", REQUEST_STATUSES)
def test_a_request_ends_only_where_the_table_admits_it(
    stores: Stores, status: RequestStatus, ending: RequestStatus, event: RequestEvent
) -> None:
    request = stores.request(status=status)
    finished = sent_twice(lambda: stores.requests.finish("r1", ending, LATER))
    if is_admitted(status, event):
        assert finished.won
        assert finished.row == replace(request, status=ending, completed_at=LATER, due_at=None)
    else:
        assert finished.won is (status is ending)
        assert finished.row == request
    assert stores.request_row() == finished.row


def test_an_end_records_its_error_and_its_due_time(stores: Stores) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS)
    failed = sent_twice(
        lambda: stores.requests.finish("r1", RequestStatus.FAILED, LATER, error=FATAL, due_at=DUE)
    )
    assert failed.row == stores.request_row()
    assert failed.row == replace(
        request, status=RequestStatus.FAILED, error=FATAL, completed_at=LATER, due_at=DUE
    )


@pytest.mark.parametrize("extras", [Payload('{"a":1}'), Payload(ref="requests/r1/x.json")])
def test_an_end_records_its_extras(stores: Stores, extras: Payload) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    stores.requests.finish("r1", RequestStatus.COMPLETED, LATER, extras=extras)
    assert stores.request_row().extras == extras


def test_a_late_second_end_of_a_request_wins_and_changes_nothing(stores: Stores) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    first = stores.requests.finish("r1", RequestStatus.FAILED, LATER, error=FATAL, due_at=DUE)
    late = stores.requests.finish(
        "r1", RequestStatus.FAILED, DUE, error=replace(FATAL, message="another"), due_at=None
    )
    assert late == first
    assert stores.request_row() == first.row


@pytest.mark.parametrize("difference", [{"generation": 1}, {"execution": 3}, {}])
def test_an_execution_ends_only_what_it_saw(stores: Stores, difference: dict[str, int]) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, generation=2, execution=4)
    seen = replace(request, **difference)  # type: ignore[arg-type]
    failed = sent_twice(
        lambda: stores.requests.finish("r1", RequestStatus.FAILED, LATER, error=FATAL, seen=seen)
    )
    assert failed.won is (not difference)
    assert failed.row == stores.request_row()
    assert failed.row.status is (RequestStatus.INPROGRESS if difference else RequestStatus.FAILED)


def a_failed_request(stores: Stores, **values: Any) -> Request:
    failed: dict[str, Any] = {
        "status": RequestStatus.FAILED,
        "current_step": 2,
        "execution": 4,
        "started_at": NOW,
        "completed_at": NOW,
        "error": FATAL,
        "due_at": None,
    }
    return stores.request(**failed | values)


def test_a_failed_request_reopens_one_generation_and_execution_later(stores: Stores) -> None:
    failed = a_failed_request(stores)
    reopened = sent_twice(lambda: stores.requests.reopen(failed, 2, EXTRAS, NOW, DUE))
    assert reopened.won
    assert reopened.row == stores.request_row()
    assert reopened.row == replace(
        failed,
        status=RequestStatus.INPROGRESS,
        generation=1,
        execution=5,
        extras=EXTRAS,
        completed_at=None,
        retries=(Retried(RequestStatus.FAILED, NOW, NOW),),
        error=None,
        due_at=DUE,
    )


def test_a_completed_request_reopens_at_a_step_and_keeps_when_it_first_completed(
    stores: Stores,
) -> None:
    completed = a_failed_request(stores, status=RequestStatus.COMPLETED, error=None)
    reopened = sent_twice(lambda: stores.requests.reopen(completed, 1, EXTRAS, LATER, DUE))
    assert (reopened.won, reopened.row) == (True, stores.request_row())
    assert reopened.row == replace(
        completed,
        status=RequestStatus.INPROGRESS,
        current_step=1,
        generation=1,
        execution=5,
        extras=EXTRAS,
        completed_at=None,
        first_completed_at=NOW,
        retries=(Retried(RequestStatus.COMPLETED, NOW, LATER),),
        due_at=DUE,
    )
    again = stores.requests.finish("r1", RequestStatus.COMPLETED, LATER).row
    row = stores.requests.reopen(again, 2, EXTRAS, LATER, DUE).row
    assert row.first_completed_at == NOW
    assert row.retries == (
        Retried(RequestStatus.COMPLETED, NOW, LATER),
        Retried(RequestStatus.COMPLETED, LATER, LATER),
    )


def test_a_request_that_failed_before_it_began_is_started_as_it_reopens(stores: Stores) -> None:
    failed = a_failed_request(stores, current_step=0, started_at=None)
    reopened = sent_twice(lambda: stores.requests.reopen(failed, 1, EXTRAS, LATER, DUE))
    assert (reopened.won, reopened.row) == (True, stores.request_row())
    assert (reopened.row.current_step, reopened.row.started_at) == (1, LATER)


def test_a_request_that_reopens_keeps_when_it_had_begun(stores: Stores) -> None:
    failed = stores.request(status=RequestStatus.FAILED, started_at=NOW, current_step=2)
    reopened = stores.requests.reopen(failed, 2, EXTRAS, LATER, DUE)
    assert (reopened.row.started_at, reopened.row.current_step) == (NOW, 2)


def test_a_request_that_was_retried_since_it_was_seen_stays_failed(stores: Stores) -> None:
    seen = a_failed_request(stores)
    stores.requests.reopen(seen, 1, EXTRAS, NOW, DUE)
    stores.requests.finish("r1", RequestStatus.FAILED, LATER, error=FATAL)
    failed_again = stores.request_row()
    late = stores.requests.reopen(seen, 1, EXTRAS, NOW, DUE)
    assert (late.won, late.row) == (False, failed_again)
    assert stores.request_row() == failed_again


@pytest.mark.parametrize("seen_generation", [1, 3])
def test_a_request_of_another_generation_does_not_reopen(
    stores: Stores, seen_generation: int
) -> None:
    failed = a_failed_request(stores, generation=2)
    reopened = stores.requests.reopen(
        replace(failed, generation=seen_generation), 1, EXTRAS, NOW, DUE
    )
    assert (reopened.won, reopened.row) == (False, failed)


@pytest.mark.parametrize("status", REQUEST_STATUSES)
def test_a_request_reopens_only_where_the_table_admits_it(
    stores: Stores, status: RequestStatus
) -> None:
    request = stores.request(status=status)
    reopened = stores.requests.reopen(request, 1, EXTRAS, NOW, DUE)
    assert reopened.won is is_admitted(status, RequestEvent.RETRY)
    assert reopened.won or stores.request_row() == reopened.row == request


def test_writes_to_an_unknown_request_make_none(stores: Stores) -> None:
    requests = stores.requests
    writes: list[Callable[[], object]] = [
        lambda: requests.start("r1", NOW, DUE),
        lambda: requests.enter_step(a_request(), Payload("{}"), DUE),
        lambda: requests.finish("r1", RequestStatus.FAILED, NOW),
        lambda: requests.reopen(a_request(), 1, EXTRAS, NOW, DUE),
        lambda: requests.take_over(DueRequest("r1", 1, NOW), DUE),
    ]
    for write in writes:
        with pytest.raises(NotFound):
            write()
    requests.set_due(a_request(), DUE)
    requests.note_outage(a_request(), Outage(1, NOW))
    assert not requests.postpone_due("r1", DUE)
    assert requests.get("r1") is None
    assert list(requests.due(Lane.NEW, DUE + SECOND)) == []
