"""The deadlines of polled jobs: leases, poll timeouts, the ends of attempts, and what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.domain.requests.definitions import (
    JobType,
    Target,
    TimeoutPolicy,
    WorkerPolicy,
)
from shiftwork_core.domain.requests.leases import (
    ends_at,
    expired,
    has_timed_out,
    is_alert_due,
    is_renewal_due,
    lease_until,
    poll_until,
)
from shiftwork_core.domain.requests.outcomes import Failed, Retryable
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus

NOW = datetime(2026, 1, 1, 9, tzinfo=UTC)


def second(offset: float) -> datetime:
    return NOW + timedelta(seconds=offset)


def a_type(timeout_s: float = 0.0, **policy: Any) -> JobType:
    worker = WorkerPolicy(response_timeout_s=60.0, **policy)
    return JobType("render", 1, Target.WORKER, timeout_s=timeout_s, worker=worker)


WAITING = Attempt("r", AttemptKey(1, 0, 1), "j", "render", 1, NOW, is_polled=True)
#: Claimed at NOW.
HELD = replace(
    WAITING, status=AttemptStatus.INPROGRESS, started_at=NOW, lease_until=second(60), poll_count=1
)


# -- leases and ends -----------------------------------------------------------------------------


def test_an_attempt_ends_a_timeout_after_its_first_claim() -> None:
    assert ends_at(a_type(timeout_s=90), second(5)) == second(95)


def test_an_attempt_that_was_never_claimed_or_has_no_timeout_has_no_end() -> None:
    assert ends_at(a_type(timeout_s=90), None) is None
    assert ends_at(a_type(), NOW) is None


def test_an_attempt_whose_timeout_only_warns_has_no_end() -> None:
    assert ends_at(a_type(timeout_s=90, timeout_policy=TimeoutPolicy.ALERT_ONLY), NOW) is None


def test_a_lease_ends_with_its_attempt() -> None:
    limited = a_type(timeout_s=90)
    assert lease_until(limited, second(10), NOW) == second(70)
    assert lease_until(limited, second(50), NOW) == second(90)
    assert lease_until(a_type(), second(50), NOW) == second(110)


def test_a_lease_is_renewed_once_more_than_a_third_of_it_is_over() -> None:
    assert not is_renewal_due(a_type(), second(0), second(60))
    assert not is_renewal_due(a_type(), second(20), second(60))
    assert is_renewal_due(a_type(), second(20.1), second(60))


# -- the poll timeout ----------------------------------------------------------------------------


def test_a_job_without_a_poll_timeout_waits_for_a_worker_forever() -> None:
    assert poll_until(a_type(), NOW) is None


def test_a_job_with_a_poll_timeout_waits_for_so_long() -> None:
    assert poll_until(a_type(poll_timeout_s=30), second(5)) == second(35)


def test_a_poll_timeout_that_only_warns_ends_no_wait() -> None:
    only_warns = a_type(poll_timeout_s=30, timeout_policy=TimeoutPolicy.ALERT_ONLY)
    assert poll_until(only_warns, NOW) is None


def test_a_job_that_was_put_back_waits_no_longer_than_its_attempt_may_take() -> None:
    limited = a_type(timeout_s=90, poll_timeout_s=30)
    assert poll_until(limited, second(10), started_at=NOW) == second(40)
    assert poll_until(limited, second(80), started_at=NOW) == second(90)
    assert poll_until(a_type(timeout_s=90), second(10), started_at=NOW) == second(90)


# -- the warning ---------------------------------------------------------------------------------

WARNS = a_type(timeout_s=90, timeout_policy=TimeoutPolicy.ALERT_ONLY)


def reported_at(moment: datetime) -> Attempt:
    """Return the attempt as its worker's report of that moment has left it."""
    return replace(HELD, lease_until=moment + timedelta(seconds=60))


@pytest.mark.parametrize("every_s", [30, 40])
def test_of_all_reports_only_the_first_after_the_time_warns(every_s: int) -> None:
    moments = [second(every_s * number) for number in range(1, 6)]
    befores = [NOW, *moments]
    warned = [
        moment
        for before, moment in zip(befores, moments, strict=False)
        if is_alert_due(WARNS, reported_at(before), moment)
    ]
    assert warned == [next(moment for moment in moments if moment > second(90))]


def test_a_job_that_nobody_holds_warns_of_nothing() -> None:
    assert not is_alert_due(WARNS, replace(HELD, started_at=None), second(100))
    assert not is_alert_due(WARNS, replace(HELD, lease_until=None), second(100))


def test_nothing_warns_of_a_time_that_has_no_bound_or_that_ends_the_attempt() -> None:
    unbounded = a_type(timeout_policy=TimeoutPolicy.ALERT_ONLY)
    assert not is_alert_due(unbounded, HELD, second(100))
    assert not is_alert_due(a_type(timeout_s=90), HELD, second(100))


# -- what a deadline that has passed means -------------------------------------------------------


def test_a_lease_that_ran_out_before_its_attempt_is_the_silence_of_a_worker() -> None:
    outcome = expired(a_type(timeout_s=90), HELD)
    assert isinstance(outcome, Retryable)
    assert outcome.error.type == "LeaseExpired"


def test_a_lease_that_ran_out_with_its_attempt_is_a_timeout() -> None:
    outcome = expired(a_type(timeout_s=60), HELD)
    assert isinstance(outcome, Retryable)
    assert (outcome.error.type, outcome.error.message) == (
        "Timeout",
        "it did not end within its 60 s",
    )


def test_a_job_that_waits_again_until_its_attempt_is_over_is_a_timeout() -> None:
    put_back = replace(WAITING, started_at=NOW, poll_until=second(90), lease_until=second(20))
    assert has_timed_out(a_type(timeout_s=90, poll_timeout_s=30), put_back)


def test_a_job_that_no_worker_took_is_a_poll_timeout() -> None:
    outcome = expired(a_type(timeout_s=90, poll_timeout_s=30), replace(WAITING, poll_until=NOW))
    assert isinstance(outcome, Retryable)
    assert outcome.error.type == "PollTimeout"


def test_the_time_of_a_job_without_a_deadline_has_not_run_out() -> None:
    assert not has_timed_out(a_type(), HELD)
    assert not has_timed_out(a_type(timeout_s=60), replace(HELD, lease_until=None))


def test_a_job_of_run_jobs_whose_lease_ran_out_has_lost_its_process() -> None:
    """RunJobs itself ends a job whose time is over; its lease says only that it lives."""
    held = replace(HELD, is_polled=False)
    outcome = expired(replace(a_type(timeout_s=10), target=Target.HTTP), held)
    assert isinstance(outcome, Retryable)
    assert outcome.error.type == "LeaseExpired"


@pytest.mark.parametrize(
    "attempt", [replace(HELD, lease_until=second(90)), replace(WAITING, poll_until=NOW)]
)
def test_a_timeout_is_retried_unless_its_policy_ends_the_request(attempt: Attempt) -> None:
    policies: dict[TimeoutPolicy, type[Failed | Retryable]] = {
        TimeoutPolicy.RETRY: Retryable,
        TimeoutPolicy.TIME_OUT_WF: Failed,
    }
    for policy, outcome in policies.items():
        job_type = a_type(timeout_s=90, poll_timeout_s=30, timeout_policy=policy)
        assert isinstance(expired(job_type, attempt), outcome)
