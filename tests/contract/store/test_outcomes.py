"""Outcomes are recorded once, under the fence, with all their writes or none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import (
    ATTEMPT_TRANSITIONS,
    AttemptEvent,
    AttemptStatus,
    Refused,
    RequestStatus,
)
from shiftwork_core.ports.stores import Recorded
from tests.contract.store.rows import (
    ATTEMPT_STATUSES,
    BROKEN,
    FATAL,
    KEY,
    LEASE,
    NOW,
    OUTPUT,
    REQUEST_STATUSES,
    SECOND,
    Stores,
    a_step,
    an_attempt,
    sent_twice,
    successor_of,
)

INPROGRESS = RequestStatus.INPROGRESS
NOT_INPROGRESS = [s for s in REQUEST_STATUSES if s is not INPROGRESS]
LATER = NOW + 30 * SECOND
#: A first attempt that RunJobs runs, one that workers poll for, and a second attempt.
RETRIED = AttemptKey(1, 0, 2)
KINDS = {
    "joined": (KEY, False),
    "polled": (KEY, True),
    "retried": (RETRIED, False),
}


def complete(stores: Stores, attempt: Attempt) -> Recorded:
    return stores.jobs.complete(attempt, OUTPUT, LATER)


def retry(stores: Stores, attempt: Attempt) -> Recorded:
    return stores.jobs.retry(attempt, BROKEN, successor_of(attempt), LATER)


def fail(stores: Stores, attempt: Attempt) -> Recorded:
    return stores.jobs.fail(attempt, BROKEN, LATER, request=FATAL, due_at=LATER + LEASE)


def fail_alone(stores: Stores, attempt: Attempt) -> Recorded:
    return stores.jobs.fail(attempt, BROKEN, LATER, request=None)


#: Every way to record an outcome, its event, and what the row is afterwards.
RECORDERS = {
    "complete": (complete, AttemptEvent.COMPLETE, AttemptStatus.COMPLETED),
    "retry": (retry, AttemptEvent.RETRY, AttemptStatus.RETRY),
    "fail": (fail, AttemptEvent.FAIL, AttemptStatus.FAILURE),
    "fail alone": (fail_alone, AttemptEvent.FAIL, AttemptStatus.FAILURE),
}
each_outcome = pytest.mark.parametrize("outcome", RECORDERS)
each_kind = pytest.mark.parametrize("kind", KINDS)


def assert_nothing_written(stores: Stores, attempt: Attempt, arrivals: int = 0) -> None:
    assert stores.row(attempt) == attempt
    assert list(stores.jobs.of_step("r1", 1)) == [attempt]
    assert stores.step_row().arrivals == arrivals
    assert stores.request_row().error is None


@each_kind
@each_outcome
def test_a_holders_outcome_is_recorded_once_however_often_it_is_sent(
    stores: Stores, outcome: str, kind: str
) -> None:
    record, _, status = RECORDERS[outcome]
    key, is_polled = KINDS[kind]
    stores.request(status=INPROGRESS)
    stores.requests.add_step(a_step())
    attempt = stores.claimed(key, is_polled=is_polled)
    assert sent_twice(lambda: record(stores, attempt)) is Recorded.WON
    is_completed = status is AttemptStatus.COMPLETED
    assert stores.row(attempt) == replace(
        attempt,
        status=status,
        completed_at=LATER,
        lease_until=None,
        output=OUTPUT if is_completed else None,
        error=None if is_completed else BROKEN,
    )
    assert stores.step_row() == a_step()
    assert len(list(stores.jobs.of_step("r1", 1))) == (2 if outcome == "retry" else 1)
    assert (stores.request_row().status is RequestStatus.FAILED) is (outcome == "fail")


@each_kind
@each_outcome
@pytest.mark.parametrize("status", ATTEMPT_STATUSES)
def test_an_outcome_is_recorded_only_where_the_table_admits_it(
    stores: Stores, outcome: str, kind: str, status: AttemptStatus
) -> None:
    record, event, _ = RECORDERS[outcome]
    key, is_polled = KINDS[kind]
    stores.request(status=INPROGRESS)
    stores.requests.add_step(a_step())
    attempt = stores.attempt(key, is_polled=is_polled, status=status, fence=1)
    if isinstance(ATTEMPT_TRANSITIONS[status, event], Refused):
        assert record(stores, attempt) is Recorded.STALE
        assert_nothing_written(stores, attempt)
    else:
        assert record(stores, attempt) is Recorded.WON
        assert stores.row(attempt).status is not status


@each_kind
@each_outcome
@pytest.mark.parametrize("fence", [1, 3])
def test_an_outcome_under_another_fence_is_stale(
    stores: Stores, outcome: str, kind: str, fence: int
) -> None:
    record, _, _ = RECORDERS[outcome]
    key, is_polled = KINDS[kind]
    stores.request(status=INPROGRESS)
    stores.requests.add_step(a_step())
    attempt = stores.attempt(key, is_polled=is_polled, status=AttemptStatus.INPROGRESS, fence=2)
    assert record(stores, replace(attempt, fence=fence)) is Recorded.STALE
    assert_nothing_written(stores, attempt)


@each_outcome
@pytest.mark.parametrize("other", RECORDERS)
def test_of_two_different_outcomes_the_first_counts(
    stores: Stores, outcome: str, other: str
) -> None:
    stores.request(status=INPROGRESS)
    stores.requests.add_step(a_step())
    attempt = stores.claimed(RETRIED)
    assert RECORDERS[outcome][0](stores, attempt) is Recorded.WON
    row = stores.row(attempt)
    is_same = RECORDERS[outcome][2] is RECORDERS[other][2]
    late = RECORDERS[other][0](stores, attempt)
    assert late is (Recorded.WON if is_same else Recorded.STALE)
    assert stores.row(attempt) == row
    assert stores.step_row() == a_step()


@each_outcome
def test_an_outcome_after_another_under_a_later_fence_is_stale(
    stores: Stores, outcome: str
) -> None:
    stores.request(status=INPROGRESS)
    attempt = stores.claimed()
    assert RECORDERS[outcome][0](stores, attempt) is Recorded.WON
    assert RECORDERS[outcome][0](stores, replace(attempt, fence=9)) is Recorded.STALE


@each_outcome
def test_an_outcome_of_an_unknown_attempt_is_stale_and_makes_none(
    stores: Stores, outcome: str
) -> None:
    stores.request(status=INPROGRESS)
    stores.requests.add_step(a_step())
    assert RECORDERS[outcome][0](stores, an_attempt(fence=1)) is Recorded.STALE
    assert list(stores.jobs.of_step("r1", 1)) == []
    assert stores.request_row().status is INPROGRESS


# -- complete ------------------------------------------------------------------------------------


@each_kind
def test_another_output_under_the_same_fence_is_stale(stores: Stores, kind: str) -> None:
    key, is_polled = KINDS[kind]
    stores.requests.add_step(a_step())
    attempt = stores.claimed(key, is_polled=is_polled)
    assert stores.jobs.complete(attempt, OUTPUT, LATER) is Recorded.WON
    assert stores.jobs.complete(attempt, Payload("{}"), LATER) is Recorded.STALE
    assert stores.row(attempt).output == OUTPUT


def test_a_large_output_is_kept_by_reference(stores: Stores) -> None:
    attempt = stores.claimed()
    output = Payload(ref="requests/r1/large.json")
    assert sent_twice(lambda: stores.jobs.complete(attempt, output, LATER)) is Recorded.WON
    assert stores.row(attempt).output == output


@each_kind
@pytest.mark.parametrize("status", REQUEST_STATUSES)
def test_a_running_attempt_completes_whatever_its_request_status(
    stores: Stores, kind: str, status: RequestStatus
) -> None:
    key, is_polled = KINDS[kind]
    request = stores.request(status=status)
    stores.requests.add_step(a_step())
    attempt = stores.claimed(key, is_polled=is_polled)
    assert complete(stores, attempt) is Recorded.WON
    assert stores.request_row() == request


@each_kind
@pytest.mark.parametrize("on_failure", OnFailure)
def test_a_failure_by_itself_changes_neither_its_request_nor_its_step(
    stores: Stores, kind: str, on_failure: OnFailure
) -> None:
    key, is_polled = KINDS[kind]
    request = stores.request(status=RequestStatus.INPROGRESS)
    stores.requests.add_step(a_step(token="token", target=1))
    attempt = stores.claimed(key, is_polled=is_polled, on_failure=on_failure)
    assert sent_twice(lambda: fail_alone(stores, attempt)) is Recorded.WON
    assert stores.row(attempt).status is AttemptStatus.FAILURE
    assert stores.step_row() == a_step(token="token", target=1)
    assert stores.request_row() == request


def test_a_failure_that_ends_its_request_arrives_nowhere(stores: Stores) -> None:
    """Also in a step that is to finish: nobody waits there any more."""
    stores.request(status=RequestStatus.INPROGRESS)
    stores.requests.add_step(a_step(token="token", target=1))
    attempt = stores.claimed(RETRIED, on_failure=OnFailure.FINISH)
    assert fail(stores, attempt) is Recorded.WON
    assert stores.step_row() == a_step(token="token", target=1)


def test_a_stale_failure_of_a_step_that_is_to_finish_writes_nothing(stores: Stores) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    stores.requests.add_step(a_step())
    attempt = stores.claimed(RETRIED, on_failure=OnFailure.FINISH)
    stale = replace(attempt, fence=attempt.fence - 1)
    assert fail_alone(stores, stale) is Recorded.STALE
    assert_nothing_written(stores, attempt)


def test_a_completion_before_the_step_is_planned_makes_no_step(stores: Stores) -> None:
    attempt = stores.claimed(RETRIED)
    assert sent_twice(lambda: complete(stores, attempt)) is Recorded.WON
    assert stores.row(attempt).status is AttemptStatus.COMPLETED
    assert stores.requests.get_step("r1", 1) is None
    assert stores.requests.add_step(a_step()).won
    assert complete(stores, attempt) is Recorded.WON
    assert stores.step_row() == a_step()


def test_a_stale_completion_before_the_step_is_planned_writes_nothing(stores: Stores) -> None:
    attempt = stores.claimed(RETRIED)
    stale = replace(attempt, fence=attempt.fence - 1)
    assert complete(stores, stale) is Recorded.STALE
    assert stores.row(attempt) == attempt


# -- retry ---------------------------------------------------------------------------------------


def test_a_retry_adds_its_successor(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = stores.claimed(item=Payload('"a"'))
    successor = successor_of(attempt, item=attempt.item)
    retried = sent_twice(lambda: stores.jobs.retry(attempt, BROKEN, successor, LATER))
    assert retried is Recorded.WON
    assert stores.row(successor) == successor


def test_a_retry_sent_again_leaves_its_successor_as_it_is(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = stores.claimed()
    successor = successor_of(attempt)
    stores.jobs.retry(attempt, BROKEN, successor, LATER)
    claimed = stores.claim("r1", successor.key)
    assert stores.jobs.retry(attempt, BROKEN, successor, LATER) is Recorded.WON
    assert stores.row(successor) == claimed


def test_a_retry_with_another_error_is_stale(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = stores.claimed()
    retry(stores, attempt)
    other = JobError("Timeout", "another")
    late = stores.jobs.retry(attempt, other, successor_of(attempt), LATER)
    assert late is Recorded.STALE
    assert stores.row(attempt).error == BROKEN


@pytest.mark.parametrize("status", NOT_INPROGRESS)
def test_a_retry_does_not_look_at_its_request(stores: Stores, status: RequestStatus) -> None:
    """All retries of a wide step would look at the one row; who claims looks at it instead."""
    request = stores.request(status=status)
    attempt = stores.claimed()
    assert sent_twice(lambda: retry(stores, attempt)) is Recorded.WON
    assert stores.row(successor_of(attempt)).status is AttemptStatus.NEW
    assert stores.request_row() == request


def test_a_retry_recorded_before_its_request_ended_has_won(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = stores.claimed()
    retry(stores, attempt)
    stores.requests.finish("r1", RequestStatus.CANCELLED, LATER)
    assert retry(stores, attempt) is Recorded.WON


def test_a_stale_retry_of_an_ended_request_is_stale(stores: Stores) -> None:
    stores.request(status=RequestStatus.FAILED)
    attempt = stores.claimed()
    assert retry(stores, replace(attempt, fence=7)) is Recorded.STALE


def test_a_retry_whose_successor_exists_writes_nothing(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = stores.claimed()
    successor = stores.attempt(AttemptKey(1, 0, 2), name="put there by hand")
    assert retry(stores, attempt) is Recorded.STALE
    assert stores.row(attempt) == attempt
    assert stores.row(successor) == successor


# -- fail ----------------------------------------------------------------------------------------


def test_a_failure_fails_its_request_in_the_same_write(stores: Stores) -> None:
    request = stores.request(status=INPROGRESS, current_step=1)
    attempt = stores.claimed()
    assert sent_twice(lambda: fail(stores, attempt)) is Recorded.WON
    assert stores.request_row() == replace(
        request,
        status=RequestStatus.FAILED,
        error=FATAL,
        completed_at=LATER,
        due_at=LATER + LEASE,
    )


def test_a_failure_may_leave_its_request_without_a_due_time(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    stores.jobs.fail(stores.claimed(), BROKEN, LATER, request=FATAL)
    assert stores.request_row().due_at is None


@pytest.mark.parametrize("status", NOT_INPROGRESS)
def test_the_failure_of_a_request_that_is_not_in_progress_writes_nothing(
    stores: Stores, status: RequestStatus
) -> None:
    request = stores.request(status=status)
    attempt = stores.claimed()
    assert sent_twice(lambda: fail(stores, attempt)) is Recorded.ENDED
    assert stores.row(attempt) == attempt
    assert stores.request_row() == request
    assert sent_twice(lambda: fail_alone(stores, attempt)) is Recorded.WON
    assert stores.request_row() == request


def test_of_two_failures_one_fails_the_request(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    first, second = stores.claimed(), stores.claimed(AttemptKey(1, 1, 1))
    assert fail(stores, first) is Recorded.WON
    assert fail(stores, second) is Recorded.ENDED
    assert fail(stores, first) is Recorded.WON
    assert stores.row(second) == second


def test_a_failure_with_another_error_is_stale(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = stores.claimed()
    fail_alone(stores, attempt)
    late = stores.jobs.fail(attempt, JobError("Other", "another"), LATER, request=None)
    assert late is Recorded.STALE
    assert stores.row(attempt).error == BROKEN


def test_a_failure_of_an_unknown_request_writes_nothing(stores: Stores) -> None:
    attempt = stores.claimed()
    assert fail(stores, attempt) is Recorded.ENDED
    assert stores.row(attempt) == attempt
    assert stores.requests.get("r1") is None


# -- lapsed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["retry", "fail", "fail alone"])
@pytest.mark.parametrize("is_renewed", [False, True])
def test_only_a_holder_that_does_not_renew_is_declared_lost(
    stores: Stores, outcome: str, is_renewed: bool
) -> None:
    stores.request(status=INPROGRESS)
    seen = stores.claimed(is_polled=True)
    if is_renewed:
        assert stores.jobs.renew(seen, NOW + 2 * LEASE)

    def expire() -> Recorded:
        if outcome == "retry":
            successor = successor_of(seen)
            return stores.jobs.retry(seen, BROKEN, successor, LATER, lapsed=True)
        error = FATAL if outcome == "fail" else None
        return stores.jobs.fail(seen, BROKEN, LATER, request=error, lapsed=True)

    recorded = sent_twice(expire)
    assert recorded is (Recorded.STALE if is_renewed else Recorded.WON)
    row = stores.row(seen)
    if is_renewed:
        assert row == replace(seen, lease_until=NOW + 2 * LEASE)
        assert stores.request_row().status is INPROGRESS
        assert complete(stores, seen) is Recorded.WON
    else:
        assert row.lease_until is None
        assert complete(stores, seen) is Recorded.STALE


def test_a_sweep_that_saw_no_lease_declares_no_holder_lost(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    held = stores.claimed(is_polled=True)
    seen = replace(held, lease_until=None)
    assert stores.jobs.fail(seen, BROKEN, LATER, request=FATAL, lapsed=True) is Recorded.STALE
    assert stores.row(held) == held


@pytest.mark.parametrize("outcome", ["retry", "fail", "fail alone"])
def test_a_holders_own_outcome_needs_no_lease_as_seen(stores: Stores, outcome: str) -> None:
    stores.request(status=INPROGRESS)
    attempt = stores.claimed()
    stores.jobs.renew(attempt, NOW + 2 * LEASE)
    assert RECORDERS[outcome][0](stores, attempt) is Recorded.WON
