"""Sweeps find rows in the indexes, and rows leave the indexes once they have served."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.ports.stores import DueRequest, Lane
from shiftwork_core.ports.world import MAX_DELAY
from tests.contract.store.rows import (
    BROKEN,
    FATAL,
    KEY,
    LEASE,
    NOW,
    REQUEST_STATUSES,
    SECOND,
    Stores,
    successor_of,
)

FAR = NOW + timedelta(days=400)
LONG = MAX_DELAY + timedelta(milliseconds=1)


# -- due requests --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", REQUEST_STATUSES)
def test_a_due_request_is_found_in_the_lane_of_its_status(
    stores: Stores, status: RequestStatus
) -> None:
    stores.request(status=status, execution=3)
    is_new = status is RequestStatus.QUEUING
    here, there = (Lane.NEW, Lane.INPROGRESS) if is_new else (Lane.INPROGRESS, Lane.NEW)
    assert stores.requests.due(here, FAR, 10) == [DueRequest("r1", 3, NOW + LEASE)]
    assert stores.requests.due(there, FAR, 10) == []


def test_due_requests_are_found_the_longest_due_first_up_to_a_limit(stores: Stores) -> None:
    for number in (3, 1, 4, 2, 5):
        stores.request(f"r{number}", due_at=NOW + number * SECOND)
    before = NOW + 5 * SECOND
    found = [due.request_id for due in stores.requests.due(Lane.NEW, before, 10)]
    assert found == ["r1", "r2", "r3", "r4"]
    assert [due.request_id for due in stores.requests.due(Lane.NEW, before, 2)] == ["r1", "r2"]


def test_a_request_changes_its_lane_when_it_starts(stores: Stores) -> None:
    stores.request()
    stores.requests.start("r1", NOW, NOW + SECOND)
    assert stores.requests.due(Lane.NEW, FAR, 10) == []
    assert stores.requests.due(Lane.INPROGRESS, FAR, 10) == [DueRequest("r1", 1, NOW + SECOND)]


def test_a_request_cancelled_before_its_start_is_tidied_by_the_other_sweep(
    stores: Stores,
) -> None:
    stores.request()
    stores.requests.finish("r1", RequestStatus.CANCELLED, NOW, due_at=NOW)
    assert stores.requests.due(Lane.NEW, FAR, 10) == []
    assert [d.due_at for d in stores.requests.due(Lane.INPROGRESS, FAR, 10)] == [NOW]


def test_every_new_due_time_is_found(stores: Stores) -> None:
    def dues() -> list[DueRequest]:
        return stores.requests.due(Lane.INPROGRESS, FAR, 10)

    request = stores.request(status=RequestStatus.INPROGRESS)
    times = [NOW + number * LEASE for number in range(10, 20)]
    stores.requests.enter_step("r1", 1, Payload("{}"), times[0])
    assert dues() == [DueRequest("r1", 1, times[0])]
    stores.requests.postpone_due("r1", times[1])
    assert dues() == [DueRequest("r1", 1, times[1])]
    stores.requests.take_over(DueRequest("r1", 1, times[1]), times[2])
    assert dues() == [DueRequest("r1", 2, times[2])]
    request = stores.request_row()
    stores.requests.set_due(request, times[3])
    assert dues() == [DueRequest("r1", 2, times[3])]
    stores.requests.set_due(stores.request_row(), None)
    assert dues() == []
    stores.requests.set_due(stores.request_row(), times[4])
    assert dues() == [DueRequest("r1", 2, times[4])]
    attempt = stores.claimed()
    stores.jobs.fail(attempt, BROKEN, NOW, request=FATAL, due_at=times[5])
    assert dues() == [DueRequest("r1", 2, times[5])]
    failed = stores.request_row()
    stores.requests.set_due(failed, None)
    assert dues() == []
    stores.requests.reopen("r1", failed, NOW, times[6])
    assert dues() == [DueRequest("r1", 3, times[6])]
    stores.requests.finish("r1", RequestStatus.COMPLETED, NOW)
    assert dues() == []


def test_a_failure_without_a_due_time_leaves_the_index(stores: Stores) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    stores.jobs.fail(stores.claimed(), BROKEN, NOW, request=FATAL)
    assert stores.requests.due(Lane.INPROGRESS, FAR, 10) == []


# -- wake-ups ------------------------------------------------------------------------------------


def waiting(stores: Stores, job: int, delay: timedelta, **values: object) -> Attempt:
    """Retry an attempt, and return the successor that waits for so long."""
    key = AttemptKey(1, job, 1)
    attempt = stores.claimed(key, **values)
    successor = successor_of(attempt, delay)
    stores.jobs.retry(attempt, BROKEN, successor, NOW)
    return stores.row(successor)


@pytest.fixture
def inprogress(stores: Stores) -> None:
    stores.request(status=RequestStatus.INPROGRESS)


@pytest.mark.usefixtures("inprogress")
def test_retries_that_no_message_can_wake_are_found_the_earliest_first(stores: Stores) -> None:
    for job, hours in enumerate((3, 1, 2)):
        waiting(stores, job, timedelta(hours=hours))
    hours_2 = NOW + timedelta(hours=2)
    assert stores.jobs.attempts_to_wake(hours_2, 10) == [("r1", AttemptKey(1, 1, 2))]
    found = [key.job for _, key in stores.jobs.attempts_to_wake(FAR, 10)]
    assert found == [1, 2, 0]
    assert [key.job for _, key in stores.jobs.attempts_to_wake(FAR, 2)] == [1, 2]


@pytest.mark.usefixtures("inprogress")
@pytest.mark.parametrize(
    ("delay", "is_polled"), [(MAX_DELAY, False), (SECOND, False), (LONG, True)]
)
def test_other_retries_are_not_found(stores: Stores, delay: timedelta, is_polled: bool) -> None:
    waiting(stores, 0, delay, is_polled=is_polled)
    assert stores.jobs.attempts_to_wake(FAR, 10) == []


@pytest.mark.usefixtures("inprogress")
def test_a_retry_is_not_found_once_it_is_claimed(stores: Stores) -> None:
    attempt = waiting(stores, 0, LONG)
    assert len(stores.jobs.attempts_to_wake(FAR, 10)) == 1
    stores.claim("r1", attempt.key)
    assert stores.jobs.attempts_to_wake(FAR, 10) == []


@pytest.mark.usefixtures("inprogress")
def test_a_retry_is_not_found_once_it_is_cancelled(stores: Stores) -> None:
    attempt = waiting(stores, 0, LONG)
    stores.jobs.cancel([attempt], NOW)
    assert stores.jobs.attempts_to_wake(FAR, 10) == []


@pytest.mark.usefixtures("inprogress")
def test_a_retry_whose_message_was_sent_leaves_the_index_and_does_not_change(
    stores: Stores,
) -> None:
    attempt, other = waiting(stores, 0, LONG), waiting(stores, 1, LONG)
    for _ in range(2):
        stores.jobs.forget_wake_up("r1", attempt.key)
        assert stores.jobs.attempts_to_wake(FAR, 10) == [("r1", other.key)]
        assert stores.row(attempt) == attempt


def test_forgetting_an_unknown_wake_up_makes_no_row(stores: Stores) -> None:
    stores.jobs.forget_wake_up("r1", KEY)
    assert stores.jobs.get("r1", KEY) is None
    stores.attempt(KEY, wake_at=NOW + LONG)
    assert stores.jobs.attempts_to_wake(FAR, 10) == [("r1", KEY)]
