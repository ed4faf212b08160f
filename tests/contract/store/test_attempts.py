"""Attempts are inserted, claimed, held and cancelled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.blocks import Block, Todo
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, LateUpdate
from shiftwork_core.domain.requests.states import (
    ATTEMPT_TRANSITIONS,
    AttemptEvent,
    AttemptStatus,
    Refused,
    RequestStatus,
)
from tests.contract.store.rows import (
    ATTEMPT_STATUSES,
    BROKEN,
    KEY,
    LEASE,
    NOW,
    SECOND,
    Stores,
    a_request,
    an_attempt,
    full,
    sent_twice,
)


def is_admitted(status: AttemptStatus, event: AttemptEvent) -> bool:
    return not isinstance(ATTEMPT_TRANSITIONS[status, event], Refused)


@pytest.mark.parametrize(
    "attempt",
    [
        an_attempt(),
        full(
            an_attempt(
                AttemptKey(12, 9_999, 104),
                name="analyse[9999]",
                type="documents.analyse",
                type_version=7,
                status=AttemptStatus.RETRY,
                tries=2,
                generation=3,
                on_failure=OnFailure.FINISH,
                is_wide=True,
                is_polled=True,
                fence=5,
                item=Payload('["é"]'),
                params=Payload('{"depth":1}'),
                output=Payload('{"pages":3}'),
                error=BROKEN,
                wake_at=NOW + SECOND,
                started_at=NOW + 2 * SECOND,
                completed_at=NOW + 3 * SECOND,
                lease_until=NOW + LEASE,
                worker_id="worker 1",
                claim_id="claim 1",
                priority=7,
                domain="gpu",
                shard=3,
                poll_until=NOW + 2 * LEASE,
                poll_count=4,
                slot=0,
                late_updates=(LateUpdate(NOW, "FAILED", None, "ünknown"),),
                block=full(
                    Block(1, 2, 9, (Todo(range(1, 9), 3),), (range(1),), (range(9),), 2, 7, 6, 4, 1)
                ),
            )
        ),
        an_attempt(item=Payload(ref="i"), params=Payload(ref="p"), output=Payload(ref="o")),
    ],
    ids=["new", "every field", "references"],
)
def test_an_attempt_is_read_back_as_it_was_written(stores: Stores, attempt: Attempt) -> None:
    assert stores.jobs.insert([attempt]) == 0
    assert stores.jobs.get("r1", attempt.key) == attempt


def test_an_unknown_attempt_is_none(stores: Stores) -> None:
    stores.attempt()
    assert stores.jobs.get("r1", AttemptKey(1, 0, 2)) is None
    assert stores.jobs.get("r2", KEY) is None


def test_inserting_leaves_what_exists_and_counts_it(stores: Stores) -> None:
    keys = [AttemptKey(1, job, 1) for job in range(40)]
    claimed = stores.claimed(keys[7])
    attempts = [an_attempt(key, name="another plan") for key in keys]
    assert stores.jobs.insert(attempts) == 1
    assert stores.jobs.insert(attempts) == 40
    assert stores.row(claimed) == claimed
    others = [a for a in stores.jobs.of_step("r1", 1) if a.key != keys[7]]
    assert others == [a for a in attempts if a.key != keys[7]]
    assert stores.jobs.insert([]) == 0


def test_a_step_has_its_attempts_in_order_and_no_others(stores: Stores) -> None:
    keys = [AttemptKey(2, j, n) for j in (0, 1, 9, 10, 99) for n in (1, 2, 10)]
    others = [AttemptKey(1, 0, 1), AttemptKey(3, 0, 1), AttemptKey(20, 0, 1)]
    stores.jobs.insert([an_attempt(key) for key in reversed(keys + others)])
    stores.jobs.insert([an_attempt(AttemptKey(2, 5, 1), "r2")])
    assert [a.key for a in stores.jobs.of_step("r1", 2)] == keys
    assert list(stores.jobs.of_step("r1", 4)) == []


def test_a_steps_attempts_are_filtered_by_status(stores: Stores) -> None:
    for job, status in enumerate(ATTEMPT_STATUSES):
        stores.attempt(AttemptKey(1, job, 1), status=status)
    for job, status in enumerate(ATTEMPT_STATUSES):
        (found,) = stores.jobs.of_step("r1", 1, status)
        assert (found.key.job, found.status) == (job, status)


# -- claim ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_polled", [False, True])
def test_a_claim_takes_the_attempt_under_the_next_fence(stores: Stores, is_polled: bool) -> None:
    attempt = stores.attempt(item=Payload("1"), wake_at=NOW - SECOND, is_polled=is_polled, fence=3)
    claim = sent_twice(
        lambda: stores.jobs.claim(
            "r1", KEY, claim_id="c1", worker_id="w1", now=NOW, lease_until=NOW + LEASE
        )
    )
    assert claim.won
    assert claim.row == stores.row(attempt)
    assert claim.row == replace(
        attempt,
        status=AttemptStatus.INPROGRESS,
        fence=4,
        claim_id="c1",
        worker_id="w1",
        started_at=NOW,
        lease_until=NOW + LEASE,
        wake_at=None,
    )


def test_second_claim_loses_and_sees_the_winner(stores: Stores) -> None:
    winner = stores.claimed()
    second = stores.jobs.claim(
        "r1", KEY, claim_id="c2", worker_id="w2", now=NOW, lease_until=NOW + 2 * LEASE
    )
    assert (second.won, second.row) == (False, winner)
    assert stores.row(winner) == winner


@pytest.mark.parametrize("status", ATTEMPT_STATUSES)
def test_an_attempt_is_claimed_only_where_the_table_admits_it(
    stores: Stores, status: AttemptStatus
) -> None:
    attempt = stores.attempt(status=status, claim_id="other")
    claim = stores.claim("r1", KEY)
    assert (claim is not None) is is_admitted(status, AttemptEvent.CLAIM)
    assert claim is not None or stores.row(attempt) == attempt


def test_a_claim_that_comes_again_after_its_outcome_has_not_won(stores: Stores) -> None:
    attempt = stores.claimed()
    stores.jobs.complete(attempt, Payload("{}"), NOW)
    assert stores.claim("r1", KEY, attempt.claim_id or "") is None
    assert stores.row(attempt).status is AttemptStatus.COMPLETED


def test_claiming_an_unknown_attempt_makes_none(stores: Stores) -> None:
    claim = stores.jobs.claim(
        "r1", KEY, claim_id="c1", worker_id="w1", now=NOW, lease_until=NOW + LEASE
    )
    assert (claim.won, claim.row) == (False, None)
    assert stores.jobs.get("r1", KEY) is None


# -- renew ---------------------------------------------------------------------------------------


def test_a_holder_renews_its_lease(stores: Stores) -> None:
    attempt = stores.claimed()
    assert sent_twice(lambda: stores.jobs.renew(attempt, NOW + 2 * LEASE))
    assert stores.row(attempt) == replace(attempt, lease_until=NOW + 2 * LEASE)


@pytest.mark.parametrize("fence", [1, 3])
def test_nobody_renews_under_another_fence(stores: Stores, fence: int) -> None:
    attempt = stores.attempt(status=AttemptStatus.INPROGRESS, fence=2)
    assert not stores.jobs.renew(replace(attempt, fence=fence), NOW + 2 * LEASE)
    assert stores.row(attempt) == attempt


@pytest.mark.parametrize("status", ATTEMPT_STATUSES)
def test_a_lease_is_renewed_only_where_the_table_admits_it(
    stores: Stores, status: AttemptStatus
) -> None:
    attempt = stores.attempt(status=status, fence=1)
    renewed = stores.jobs.renew(attempt, NOW + 2 * LEASE)
    assert renewed is is_admitted(status, AttemptEvent.RENEW)
    assert renewed or stores.row(attempt) == attempt


def test_renewing_an_unknown_attempt_makes_none(stores: Stores) -> None:
    assert not stores.jobs.renew(an_attempt(fence=1), NOW + LEASE)
    assert stores.jobs.get("r1", KEY) is None


# -- cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_polled", [False, True])
def test_a_new_attempt_is_cancelled_and_not_claimed_any_more(
    stores: Stores, is_polled: bool
) -> None:
    attempt = stores.attempt(is_polled=is_polled, wake_at=NOW + SECOND)
    assert sent_twice(lambda: stores.jobs.cancel([attempt], NOW))
    assert stores.row(attempt) == replace(
        attempt, status=AttemptStatus.CANCELLED, completed_at=NOW, wake_at=None
    )
    assert stores.claim("r1", KEY) is None


@pytest.mark.parametrize("status", ATTEMPT_STATUSES)
def test_an_attempt_is_cancelled_only_where_the_table_admits_it(
    stores: Stores, status: AttemptStatus
) -> None:
    attempt = stores.attempt(status=status)
    admitted = is_admitted(status, AttemptEvent.CANCEL)
    cancelled = stores.jobs.cancel([attempt], NOW)
    assert cancelled == (admitted or status is AttemptStatus.CANCELLED)
    assert admitted or stores.row(attempt) == attempt


def test_those_that_are_new_are_cancelled_and_counted(stores: Stores) -> None:
    held = stores.claimed()
    waiting = [stores.attempt(AttemptKey(1, job, 1)) for job in range(1, 40)]
    assert stores.jobs.cancel([held, *waiting], NOW) == 39
    assert stores.row(held) == held
    assert {stores.row(attempt).status for attempt in waiting} == {AttemptStatus.CANCELLED}


@pytest.mark.parametrize(
    "difference", [{}, {"status": RequestStatus.INPROGRESS}, {"generation": 3}]
)
def test_an_attempt_of_a_failed_request_is_cancelled_while_it_is_not_retried(
    stores: Stores, difference: dict[str, Any]
) -> None:
    failed = a_request(status=RequestStatus.FAILED, generation=2)
    stores.requests.create(replace(failed, **difference), None)
    attempt = stores.attempt()
    cancelled = sent_twice(lambda: stores.jobs.cancel([attempt], NOW, failed=failed))
    assert cancelled == (not difference)
    status = AttemptStatus.NEW if difference else AttemptStatus.CANCELLED
    assert stores.row(attempt).status is status
    assert stores.request_row() == replace(failed, **difference)


def test_an_attempt_that_is_claimed_is_not_cancelled_with_its_failed_request(
    stores: Stores,
) -> None:
    failed = stores.request(status=RequestStatus.FAILED)
    attempt = stores.claimed()
    assert not stores.jobs.cancel([attempt], NOW, failed=failed)
    assert stores.row(attempt) == attempt


def test_nothing_of_a_request_that_is_gone_is_cancelled_as_failed(stores: Stores) -> None:
    attempt = stores.attempt()
    assert not stores.jobs.cancel([attempt], NOW, failed=a_request(status=RequestStatus.FAILED))
    assert stores.row(attempt) == attempt


def test_cancelling_an_unknown_attempt_makes_none(stores: Stores) -> None:
    assert not stores.jobs.cancel([an_attempt()], NOW)
    assert stores.jobs.get("r1", KEY) is None
