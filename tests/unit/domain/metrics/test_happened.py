"""What rows report to have happened, and what a change of one adds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shiftwork_core.domain.metrics.counters import CounterKey, Happened, Subject
from shiftwork_core.domain.metrics.happened import Row, difference, happened
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.blocks import Block
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    Request,
    Step,
    StepStatus,
)
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.workspaces.records import Cause, LifecycleJob, Operation

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
REQUEST = Request("r1", "invoice", 1, {}, Payload("{}"), Payload("{}"), NOW)
ATTEMPT = Attempt("r1", AttemptKey(1, 0, 1), "send", "mail.send", 1, NOW)
STOP = LifecycleJob("j1", "w1", Operation.STOP, NOW, NOW, NOW, Cause.SCHEDULE)


def numbers(things: list[Happened]) -> Counter[str]:
    """Return the counts by field."""
    counts: Counter[str] = Counter()
    for one in things:
        counts[one.field] += one.count
    return counts


def started(row: Request, after: timedelta = SECOND) -> Request:
    return replace(row, status=RequestStatus.INPROGRESS, started_at=NOW + after)


def ended(row: Request, status: RequestStatus, after_s: float = 20) -> Request:
    return replace(row, status=status, completed_at=NOW + after_s * SECOND)


def test_a_request_is_counted_in_each_status_that_it_reaches() -> None:
    begun = started(REQUEST)
    assert numbers(difference(None, REQUEST)) == Counter(Queuing=1)
    assert numbers(difference(REQUEST, begun)) == Counter(Inprogress=1)
    assert numbers(difference(begun, replace(begun, current_step=2))) == Counter()
    done = difference(begun, ended(begun, RequestStatus.COMPLETED))
    assert numbers(done) == Counter(Completed=1, took_30000=1, took_ms=20_000)
    assert {one.at for one in done} == {NOW + 20 * SECOND}


def test_a_row_reports_nothing_that_has_not_happened() -> None:
    assert happened(REQUEST) == [
        Happened(CounterKey(Subject.REQUESTS, ("invoice",)), "Queuing", 1, NOW)
    ]
    assert happened(None) == difference(REQUEST, None) == []


def test_a_request_took_its_time_from_its_start_time_on() -> None:
    later = started(replace(REQUEST, start_at=NOW + 60 * SECOND), 60 * SECOND)
    done = difference(later, ended(later, RequestStatus.COMPLETED, 62))
    assert numbers(done) == Counter(Completed=1, took_2500=1, took_ms=2000)


def test_failures_of_a_request_that_is_retried_stay_counted() -> None:
    failed = ended(started(REQUEST), RequestStatus.FAILED)
    assert numbers(difference(started(REQUEST), failed)) == Counter(Failed=1)
    retried = replace(
        failed,
        status=RequestStatus.INPROGRESS,
        completed_at=None,
        generation=1,
        **failed.retried(NOW + 30 * SECOND),
    )
    [retry] = difference(failed, retried)
    assert retry.at == NOW + 30 * SECOND
    assert numbers(difference(failed, retried)) == Counter(retries=1)
    again = ended(retried, RequestStatus.FAILED, 40)
    [second] = difference(retried, again)
    assert (second.field, second.count, second.at) == ("Failed", 1, NOW + 40 * SECOND)
    assert numbers(happened(again)) == Counter(Queuing=1, Inprogress=1, Failed=2, retries=1)


def test_completions_of_a_request_that_is_retried_stay_counted_and_it_took_its_time_once() -> None:
    completed = ended(started(REQUEST), RequestStatus.COMPLETED, 2)
    retried = replace(
        completed,
        status=RequestStatus.INPROGRESS,
        completed_at=None,
        generation=1,
        **completed.retried(NOW + 30 * SECOND),
    )
    assert numbers(difference(completed, retried)) == Counter(retries=1)
    again = ended(retried, RequestStatus.COMPLETED, 40)
    [second] = difference(retried, again)
    assert (second.field, second.count, second.at) == ("Completed", 1, NOW + 40 * SECOND)
    failed = ended(retried, RequestStatus.FAILED, 40)
    assert numbers(difference(retried, failed)) == Counter(Failed=1)
    once_more = replace(
        failed,
        status=RequestStatus.INPROGRESS,
        completed_at=None,
        generation=2,
        **failed.retried(NOW + 50 * SECOND),
    )
    assert numbers(difference(failed, once_more)) == Counter(retries=1)
    assert numbers(happened(once_more)) == Counter(
        Queuing=1, Inprogress=1, Completed=1, Failed=1, retries=2, took_2500=1, took_ms=2000
    )


def test_a_step_is_counted_when_it_begins_and_when_it_completes_under_its_requests_type() -> None:
    step = Step("r1", 1, "send", 3, NOW, type="invoice")
    failed = replace(step, status=StepStatus.FAILED, completed_at=NOW + SECOND)
    again = replace(step, counts={})
    done = replace(step, status=StepStatus.COMPLETED, completed_at=NOW + 4 * SECOND)
    assert numbers(difference(None, step)) == Counter(running=1)
    assert difference(step, failed) == []
    assert difference(failed, again) == []
    completed = difference(again, done)
    assert numbers(completed) == Counter(completed=1, step_took_5000=1, step_took_ms=4000)
    assert {one.key for one in completed} == {CounterKey(Subject.REQUESTS, ("invoice",))}


def test_a_step_from_before_its_type_was_kept_counts_as_unknown() -> None:
    [begun] = happened(Step("r1", 1, "send", 3, NOW))
    assert begun.key.labels == ("unknown",)


@pytest.mark.parametrize(
    "status", [AttemptStatus.COMPLETED, AttemptStatus.FAILURE, AttemptStatus.RETRY]
)
def test_an_attempt_is_counted_when_it_ends_with_how_long_it_waited_and_took(
    status: AttemptStatus,
) -> None:
    held = replace(ATTEMPT, status=AttemptStatus.INPROGRESS, started_at=NOW + 2 * SECOND)
    assert difference(ATTEMPT, held) == []
    done = replace(held, status=status, completed_at=NOW + 3 * SECOND)
    counted = Counter(
        {status: 1, "took_1000": 1, "took_ms": 1000, "waited_2500": 1, "waited_ms": 2000}
    )
    assert numbers(difference(held, done)) == counted
    assert difference(done, replace(done, poll_count=2)) == []


def test_an_attempt_at_a_block_counts_its_jobs_by_what_became_of_each_and_no_time() -> None:
    block = Block(0, 0, 5, (), completed=2, retried=2, given_up=1)
    row = replace(ATTEMPT, block=block, started_at=NOW + SECOND)
    done = replace(row, status=AttemptStatus.COMPLETED, completed_at=NOW + 3 * SECOND)
    assert difference(ATTEMPT, row) == []
    became = {("completed", 2), ("failure", 1), ("retry", 2)}
    assert {(one.field, one.count) for one in difference(row, done)} == became
    assert {(one.field, one.count) for one in happened(done)} == became


def test_a_retry_has_not_waited_in_a_queue_but_for_its_back_off() -> None:
    second = replace(ATTEMPT, key=AttemptKey(1, 0, 2), tries=2, started_at=NOW + 60 * SECOND)
    done = replace(second, status=AttemptStatus.COMPLETED, completed_at=NOW + 61 * SECOND)
    assert numbers(happened(done)) == Counter(completed=1, took_1000=1, took_ms=1000)


def test_an_attempt_that_was_cancelled_before_it_was_claimed_took_no_time() -> None:
    cancelled = replace(ATTEMPT, status=AttemptStatus.CANCELLED, completed_at=NOW)
    assert numbers(difference(ATTEMPT, cancelled)) == Counter(cancelled=1)
    assert numbers(difference(None, cancelled)) == Counter(cancelled=1)


def test_an_attempt_that_was_cancelled_after_it_was_put_back_has_waited_and_took_no_time() -> None:
    put_back = replace(ATTEMPT, started_at=NOW + 2 * SECOND)
    cancelled = replace(put_back, status=AttemptStatus.CANCELLED, completed_at=NOW + 60 * SECOND)
    counted = Counter(cancelled=1, waited_2500=1, waited_ms=2000)
    assert numbers(difference(put_back, cancelled)) == counted


def test_a_polled_attempt_is_counted_once_in_the_queue_of_its_domain() -> None:
    polled = replace(ATTEMPT, is_polled=True, domain="blue")
    [queued] = difference(None, polled)
    assert queued == Happened(CounterKey(Subject.QUEUES, ("mail.send", "blue")), "queued", 1, NOW)
    assert difference(polled, replace(polled, wake_at=NOW + SECOND)) == []


def test_a_polled_attempt_without_a_domain_is_in_a_queue_whose_domain_has_no_name() -> None:
    [queued] = happened(replace(ATTEMPT, is_polled=True))
    assert queued.key.labels == ("mail.send", "")


def test_a_clock_that_is_behind_makes_no_duration_below_zero() -> None:
    done = replace(
        ATTEMPT,
        status=AttemptStatus.COMPLETED,
        started_at=NOW - SECOND,
        completed_at=NOW - 2 * SECOND,
    )
    counted = numbers(happened(done))
    assert (counted["took_ms"], counted["waited_ms"]) == (0, 0)
    assert (counted["took_50"], counted["waited_50"]) == (1, 1)


def test_a_lifecycle_job_is_counted_when_it_ends_and_how_late_if_it_completed() -> None:
    done = replace(STOP, completed_at=NOW + 90 * SECOND)
    late = Counter(completed=1, late_300000=1, late_ms=90_000)
    assert numbers(happened(STOP)) == Counter()
    assert numbers(happened(done)) == late
    assert numbers(happened(replace(done, error="no"))) == Counter(failed=1)
    assert numbers(happened(replace(STOP, cancelled_at=NOW))) == Counter(cancelled=1)


FAILED = ended(started(REQUEST), RequestStatus.FAILED)
RETRIED = replace(started(REQUEST), generation=1, **FAILED.retried(NOW + 30 * SECOND))


@pytest.mark.parametrize(
    "history",
    [
        [
            REQUEST,
            started(REQUEST),
            FAILED,
            RETRIED,
            ended(RETRIED, RequestStatus.COMPLETED, 50),
        ],
        [REQUEST, ended(REQUEST, RequestStatus.CANCELLED)],
    ],
)
def test_what_the_changes_add_is_what_the_last_row_reports(history: list[Row]) -> None:
    added: Counter[str] = Counter()
    for old, new in zip([None, *history], history, strict=False):
        added += numbers(difference(old, new))
    assert added == numbers(happened(history[-1]))
