"""Due times: sweeps take requests over, and executions keep theirs ahead."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Outage
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.ports.stores import DueRequest
from tests.contract.store.conftest import Aws
from tests.contract.store.rows import (
    EXTRAS,
    LEASE,
    NOW,
    REQUEST_STATUSES,
    SECOND,
    Stores,
    sent_twice,
)

LATER = NOW + timedelta(minutes=5)
DUE = LATER + LEASE
NOT_INPROGRESS = [s for s in REQUEST_STATUSES if s is not RequestStatus.INPROGRESS]


@pytest.mark.parametrize("status", REQUEST_STATUSES)
def test_a_request_that_is_due_as_seen_is_taken_over(stores: Stores, status: RequestStatus) -> None:
    request = stores.request(status=status)
    seen = DueRequest("r1", 1, NOW + LEASE)
    taken = sent_twice(lambda: stores.requests.take_over(seen, DUE))
    assert taken.won
    assert taken.row == stores.request_row() == replace(request, execution=2, due_at=DUE)


@pytest.mark.parametrize(
    "seen",
    [DueRequest("r1", 2, NOW + LEASE), DueRequest("r1", 4, NOW + LEASE), DueRequest("r1", 3, NOW)],
    ids=["an older execution", "a newer execution", "another due time"],
)
def test_a_request_that_is_not_due_as_seen_is_not_taken_over(
    stores: Stores, seen: DueRequest
) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, execution=3)
    taken = stores.requests.take_over(seen, DUE)
    assert (taken.won, taken.row) == (False, request)
    assert stores.request_row() == request


def test_the_same_due_time_under_another_number_is_not_taken_over(
    stores: Stores,
) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, execution=3, due_at=DUE)
    taken = stores.requests.take_over(DueRequest("r1", 5, NOW), DUE)
    assert (taken.won, taken.row) == (False, request)


def test_of_two_sweeps_one_takes_the_request_over(stores: Stores) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    seen = DueRequest("r1", 1, NOW + LEASE)
    winner = stores.requests.take_over(seen, DUE)
    loser = stores.requests.take_over(seen, DUE + SECOND)
    assert (loser.won, loser.row) == (False, winner.row)
    assert stores.request_row() == winner.row


def test_an_ended_request_without_a_due_time_is_not_taken_over(stores: Stores) -> None:
    request = stores.request(status=RequestStatus.COMPLETED, due_at=None)
    assert not stores.requests.take_over(DueRequest("r1", 1, NOW + LEASE), DUE).won
    assert stores.request_row() == request


@pytest.mark.parametrize("due_at", [None, DUE])
@pytest.mark.parametrize("status", REQUEST_STATUSES)
def test_the_due_time_of_a_request_as_seen_is_set_or_removed(
    stores: Stores, status: RequestStatus, due_at: datetime | None
) -> None:
    request = stores.request(status=status)
    sent_twice(lambda: stores.requests.set_due(request, due_at))
    assert stores.request_row() == replace(request, due_at=due_at)
    stores.requests.set_due(stores.request_row(), NOW)
    assert stores.request_row() == replace(request, due_at=NOW)


@pytest.mark.parametrize(
    "difference",
    [
        {"status": RequestStatus.FAILED},
        {"generation": 1},
        {"execution": 1},
        {"due_at": NOW},
        {"due_at": None},
    ],
    ids=["status", "generation", "execution", "due_at", "no due_at"],
)
def test_the_due_time_of_a_request_that_has_moved_since_stays(
    stores: Stores, difference: dict[str, Any]
) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, generation=2, execution=3)
    stores.requests.set_due(replace(request, **difference), None)
    assert stores.request_row() == request


@pytest.mark.parametrize("due_at", [NOW + LEASE + SECOND, NOW + LEASE, NOW])
def test_only_an_earlier_due_time_is_postponed(stores: Stores, due_at: datetime) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS)
    assert sent_twice(lambda: stores.requests.postpone_due("r1", due_at))
    assert stores.request_row().due_at == max(due_at, NOW + LEASE)
    assert stores.request_row() == replace(request, due_at=max(due_at, NOW + LEASE))


@pytest.mark.parametrize("status", NOT_INPROGRESS)
def test_only_a_request_in_progress_is_postponed(stores: Stores, status: RequestStatus) -> None:
    request = stores.request(status=status)
    assert not stores.requests.postpone_due("r1", DUE)
    assert stores.request_row() == request


def test_a_request_without_a_due_time_is_not_postponed(stores: Stores) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS, due_at=None)
    assert stores.requests.postpone_due("r1", DUE)
    assert stores.request_row() == request


def test_the_latest_time_at_which_a_batch_lives_counts_and_the_requests_row_stays(
    stores: Stores,
) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS)
    assert stores.requests.alive_until("r1") is None
    for until in (DUE, NOW + LEASE, DUE, NOW):
        stores.requests.note_alive("r1", until)
    stores.requests.note_alive("r2", DUE + LEASE)
    assert stores.requests.alive_until("r1") == DUE
    assert stores.request_row() == request


def test_what_a_batch_notes_expires(aws: Aws) -> None:
    aws.stores().requests.note_alive("r1", NOW + LEASE)
    [row] = aws.items(aws.batches_table)
    assert int(row["expires_at"]["N"]) == (NOW + LEASE).timestamp()


@pytest.mark.parametrize("error", [JobError("Throttled", "too much at once"), None])
@pytest.mark.parametrize("status", REQUEST_STATUSES)
def test_an_outage_is_noted_and_removed(
    stores: Stores, status: RequestStatus, error: JobError | None
) -> None:
    request = stores.request(status=status)
    outage = Outage(3, NOW, error)
    sent_twice(lambda: stores.requests.note_outage(request, outage))
    assert stores.request_row() == replace(request, outage=outage)
    stores.requests.note_outage(request, None)
    assert stores.request_row() == request


@pytest.mark.parametrize(
    "changed",
    [{"status": RequestStatus.CANCELLED}, {"generation": 1}, {"execution": 2}],
    ids=str,
)
def test_what_an_older_execution_knows_of_an_outage_is_not_noted(
    stores: Stores, changed: dict[str, Any]
) -> None:
    request = stores.request(status=RequestStatus.INPROGRESS)
    stores.requests.note_outage(replace(request, **changed), Outage(3, NOW))
    assert stores.request_row() == request


def test_a_retry_ends_the_outage(stores: Stores) -> None:
    request = stores.request(status=RequestStatus.FAILED, outage=Outage(3, NOW))
    assert stores.request_row() == request
    assert stores.requests.reopen(request, 1, EXTRAS, NOW, DUE).row.outage is None
