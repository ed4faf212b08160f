"""Properties of rows: keys, ids, leases, the barrier's count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Step
from shiftwork_core.domain.requests.states import AttemptStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("token", "target", "arrivals", "in_vain"),
    [
        ("t", 2, 1, False),
        ("t", 2, 2, True),
        ("t", 2, 3, True),
        ("t", None, 9, False),
        (None, 0, 9, False),
    ],
)
def test_a_waiter_whose_arrivals_have_all_come_has_no_pending_jobs(
    token: str | None, target: int | None, arrivals: int, in_vain: bool
) -> None:
    step = Step("r", 1, "s", 3, NOW, arrivals=arrivals, token=token, target=target)
    assert step.has_no_pending_jobs is in_vain


@pytest.mark.parametrize("status", AttemptStatus)
@pytest.mark.parametrize("on_failure", OnFailure)
def test_a_job_arrives_when_it_completes_or_fails_and_its_step_goes_on(
    status: AttemptStatus, on_failure: OnFailure
) -> None:
    attempt = Attempt(
        "r", AttemptKey(1, 0, 1), "j", "t", 1, NOW, status=status, on_failure=on_failure
    )
    finishes = status is AttemptStatus.FAILURE and on_failure is not OnFailure.STOP
    assert attempt.has_arrived is (status is AttemptStatus.COMPLETED or finishes)


@pytest.mark.parametrize(
    ("status", "lease_until", "has_lapsed"),
    [
        (AttemptStatus.INPROGRESS, NOW + SECOND, False),
        (AttemptStatus.INPROGRESS, NOW, True),
        (AttemptStatus.INPROGRESS, None, False),
        (AttemptStatus.COMPLETED, NOW, False),
    ],
)
def test_a_held_attempt_lapses_when_its_lease_ends(
    status: AttemptStatus, lease_until: datetime | None, has_lapsed: bool
) -> None:
    key = AttemptKey(1, 0, 1)
    attempt = Attempt("r", key, "j", "t", 1, NOW, status=status, lease_until=lease_until)
    assert attempt.has_lapsed(NOW) is has_lapsed


@pytest.mark.parametrize(
    ("status", "poll_until", "is_overdue"),
    [
        (AttemptStatus.NEW, NOW + SECOND, False),
        (AttemptStatus.NEW, NOW, True),
        (AttemptStatus.NEW, None, False),
        (AttemptStatus.INPROGRESS, NOW, False),
    ],
)
def test_a_waiting_attempt_is_overdue_after_its_poll_timeout(
    status: AttemptStatus, poll_until: datetime | None, is_overdue: bool
) -> None:
    key = AttemptKey(1, 0, 1)
    attempt = Attempt("r", key, "j", "t", 1, NOW, status=status, poll_until=poll_until)
    assert attempt.is_overdue(NOW) is is_overdue


@pytest.mark.parametrize(
    ("attempt", "is_polled", "is_joined"),
    [(1, False, True), (2, False, False), (1, True, False), (2, True, False)],
)
def test_a_map_joins_first_attempts_that_run_jobs_does(
    attempt: int, is_polled: bool, is_joined: bool
) -> None:
    row = Attempt("r", AttemptKey(1, 0, attempt), "a", "t", 1, NOW, is_polled=is_polled)
    assert row.is_joined is is_joined
