"""Polled attempts are queued, claimed and put back; slots, rates, logs and late updates."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.queue_order import MAX_LAPSED, QueueView
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, LateUpdate, LogLine
from shiftwork_core.domain.requests.states import (
    AttemptEvent,
    AttemptStatus,
    RequestStatus,
    attempt_sources,
)
from shiftwork_core.ports.jobs import (
    MAX_LATE_UPDATES,
    MOST_PRIORITIES,
    FreeSlot,
    QueueHead,
    Slot,
)
from shiftwork_core.ports.stores import Recorded
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Interfering
from tests.contract.store.rows import (
    ALL_STEPS,
    ATTEMPT_STATUSES,
    BROKEN,
    FATAL,
    KEY,
    LEASE,
    NOW,
    OUTPUT,
    SECOND,
    Stores,
    a_step,
    an_attempt,
    queued_of,
    sent_twice,
    successor_of,
)

QUEUE = "documents.list"
HOUR = timedelta(hours=1)
MILLISECOND = timedelta(milliseconds=1)
#: When every lease is over.
FAR = NOW + 2 * LEASE
INPROGRESS = RequestStatus.INPROGRESS


def polled(stores: Stores, job: int = 0, **values: object) -> Attempt:
    return stores.attempt(AttemptKey(1, job, 1), is_polled=True, **values)


def held(stores: Stores, job: int = 0, **values: object) -> Attempt:
    attempt = stores.claim_queued(polled(stores, job, **values))
    assert attempt is not None
    return attempt


def jobs_in(stores: Stores, queue: str = QUEUE, limit: int = 10) -> list[int]:
    return [queued.key.job for queued in stores.jobs.queued(queue, NOW, limit).waiting]


# -- the queue -----------------------------------------------------------------------------------


def test_a_queue_is_in_order_of_priority_then_age(stores: Stores) -> None:
    for job, (priority, age) in enumerate([(0, 1), (5, 1), (99, 1), (5, 2), (0, 2)]):
        polled(stores, job, priority=priority, created_at=NOW - age * SECOND)
    assert jobs_in(stores) == [2, 3, 1, 4, 0]
    assert jobs_in(stores, limit=2) == [2, 3]


def test_a_queue_knows_what_a_claim_needs(stores: Stores) -> None:
    attempt = polled(stores, priority=7, type_version=3, fence=4, started_at=NOW - HOUR)
    assert stores.jobs.queued(QUEUE, NOW, 10) == QueueView([queued_of(attempt)], [])


def test_a_delayed_job_is_queued_from_its_time_on(stores: Stores) -> None:
    for job, delay_s in enumerate([-2, 0, 1, 3600]):
        polled(stores, job, wake_at=NOW + delay_s * SECOND)
    polled(stores, 4, created_at=NOW - SECOND)
    assert jobs_in(stores) == [0, 4, 1]
    assert stores.jobs.queue_size(QUEUE) == 5


def test_a_delayed_job_of_high_priority_goes_before_older_ones_once_it_is_due(
    stores: Stores,
) -> None:
    polled(stores, 0, created_at=NOW - HOUR)
    polled(stores, 1, priority=1, wake_at=NOW)
    assert jobs_in(stores) == [1, 0]


def test_of_jobs_whose_delay_ends_together_the_highest_priority_is_listed(stores: Stores) -> None:
    for job, priority in enumerate([0, 7, 3]):
        polled(stores, job, priority=priority, wake_at=NOW)
    assert jobs_in(stores, limit=1) == [1]


def test_each_domain_has_a_queue_of_its_own(stores: Stores) -> None:
    polled(stores, 0)
    polled(stores, 1, domain="gpu")
    assert jobs_in(stores) == [0]
    assert jobs_in(stores, f"{QUEUE}#gpu") == [1]
    assert jobs_in(stores, f"{QUEUE}#cpu") == []
    assert stores.jobs.queue_size(f"{QUEUE}#gpu") == 1


def test_only_what_waits_for_workers_is_queued(stores: Stores) -> None:
    stores.attempt(AttemptKey(1, 0, 1))
    polled(stores, 1, status=AttemptStatus.CANCELLED, completed_at=NOW)
    stores.claim_queued(polled(stores, 2))
    stores.jobs.cancel([polled(stores, 3)], NOW)
    assert jobs_in(stores) == []
    assert stores.jobs.queue_size(QUEUE) == 0


def test_a_retry_is_queued_when_its_back_off_is_over(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = held(stores)
    successor = successor_of(attempt, timedelta(0))
    stores.jobs.retry(attempt, BROKEN, successor, NOW)
    [queued] = stores.jobs.queued(QUEUE, NOW, 10).waiting
    assert queued == queued_of(stores.row(successor))


# -- what is held --------------------------------------------------------------------------------


def lapsed_in(stores: Stores, now: datetime, limit: int = 10) -> list[tuple[int, int, datetime]]:
    """Return the job, fence and end of lease of each lapsed attempt that the queue shows."""
    lapsed = stores.jobs.queued(QUEUE, now, limit).lapsed
    return [(queued.key.job, queued.fence, queued.at) for queued in lapsed]


def test_a_held_job_is_in_its_queue_from_the_end_of_its_lease(stores: Stores) -> None:
    attempt = held(stores)
    assert attempt.lease_until is not None
    assert lapsed_in(stores, attempt.lease_until - MILLISECOND) == []
    assert lapsed_in(stores, attempt.lease_until) == [(0, 1, attempt.lease_until)]
    assert stores.jobs.queued(QUEUE, FAR, 10).waiting == []
    assert stores.jobs.queue_size(QUEUE) == 0
    assert stores.jobs.queue_head(QUEUE, FAR, 10) == QueueHead()


def test_a_renewed_lease_hides_its_job_for_longer(stores: Stores) -> None:
    attempt = held(stores)
    assert stores.jobs.renew(attempt, NOW + 3 * LEASE)
    assert lapsed_in(stores, NOW + 3 * LEASE - MILLISECOND) == []
    assert lapsed_in(stores, NOW + 3 * LEASE) == [(0, 1, NOW + 3 * LEASE)]


def test_a_job_that_is_held_no_more_is_not_lapsed(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    output = Payload("{}")
    stores.jobs.complete(held(stores, 0), output, NOW)
    attempt = held(stores, 1)
    stores.jobs.retry(attempt, BROKEN, successor_of(attempt), NOW, lapsed=True)
    stores.jobs.fail(held(stores, 2), BROKEN, NOW, request=None, lapsed=True)
    stores.jobs.put_back(held(stores, 3), output, NOW + SECOND, None)
    assert lapsed_in(stores, FAR) == []
    assert [queued.key.job for queued in stores.jobs.queued(QUEUE, FAR, 10).waiting] == [3, 1]


def test_lapsed_jobs_keep_none_that_waits_out_of_sight(stores: Stores) -> None:
    """The latest lease comes first, and a poll that wants one job sees several lapsed ones."""
    for job in range(MAX_LAPSED):
        stores.jobs.renew(held(stores, job), NOW + job * SECOND)
    polled(stores, 20, wake_at=NOW)
    polled(stores, 21)
    view = stores.jobs.queued(QUEUE, FAR, 1)
    assert [queued.key.job for queued in view.lapsed] == list(reversed(range(MAX_LAPSED)))
    assert [queued.key.job for queued in view.waiting] == [20, 21]
    for job in range(22, 22 + 2 * MAX_LAPSED):
        stores.jobs.renew(held(stores, job), NOW)
    view = stores.jobs.queued(QUEUE, FAR, 1)
    assert len(view.lapsed) == MAX_LAPSED
    assert [queued.key.job for queued in view.waiting] == [20, 21]


# -- its shards ----------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", [None, "gpu"])
def test_a_job_stays_in_its_shard_whatever_becomes_of_it(
    stores: Stores, domain: str | None
) -> None:
    """It waits, is held, lapses, is put back, and its retry waits there: in no other."""
    stores.request(status=INPROGRESS)
    queue = f"{QUEUE}#{domain}" if domain else QUEUE
    shard, others = f"{queue}##3", [queue, f"{queue}##4"]
    attempt = polled(stores, shard=3, domain=domain)
    assert stores.jobs.queued(shard, NOW, 10) == QueueView([queued_of(attempt)], [])
    assert stores.jobs.queue_head(shard, NOW, 10) == QueueHead(1, NOW)
    claimed = stores.claim_queued(attempt)
    assert claimed is not None
    assert stores.jobs.queue_size(shard) == 0
    assert len(stores.jobs.queued(shard, FAR, 10).lapsed) == 1
    assert stores.jobs.renew(claimed, NOW + 3 * LEASE)
    assert stores.jobs.queued(shard, FAR, 10).lapsed == []
    assert len(stores.jobs.queued(shard, NOW + 3 * LEASE, 10).lapsed) == 1
    stores.jobs.put_back(stores.row(attempt), None, NOW + SECOND, None)
    assert stores.jobs.queue_size(shard) == 1
    claimed = stores.claim_queued(stores.row(attempt), "c2")
    assert claimed is not None
    successor = successor_of(claimed, domain=domain)
    stores.jobs.retry(claimed, BROKEN, successor, NOW)
    assert stores.row(successor).shard == 3
    assert [one.key for one in stores.jobs.queued(shard, FAR, 10).waiting] == [successor.key]
    for other in others:
        assert stores.jobs.queued(other, NOW + 9 * LEASE, 10) == QueueView([], [])
        assert stores.jobs.queue_size(other) == 0


# -- its head ------------------------------------------------------------------------------------


def test_the_head_of_an_empty_queue_has_no_oldest(stores: Stores) -> None:
    assert stores.jobs.queue_head(QUEUE, NOW, 10) == QueueHead(0, None)


def test_the_oldest_of_a_queue_may_have_any_priority(stores: Stores) -> None:
    for job, (priority, age) in enumerate([(9, 1), (9, 3), (5, 7), (5, 6), (0, 4)]):
        polled(stores, job, priority=priority, created_at=NOW - age * SECOND)
    assert stores.jobs.queue_head(QUEUE, NOW, 10) == QueueHead(5, NOW - 7 * SECOND)


def test_the_head_has_delayed_jobs_from_their_time_on(stores: Stores) -> None:
    polled(stores, 0, created_at=NOW - HOUR, wake_at=NOW + SECOND)
    assert stores.jobs.queue_head(QUEUE, NOW, 10) == QueueHead(0, None)
    assert stores.jobs.queue_head(QUEUE, NOW + SECOND, 10) == QueueHead(1, NOW + SECOND)
    polled(stores, 1, created_at=NOW - HOUR, wake_at=NOW - 2 * SECOND)
    assert stores.jobs.queue_head(QUEUE, NOW, 10) == QueueHead(1, NOW - 2 * SECOND)
    polled(stores, 2, created_at=NOW - SECOND)
    assert stores.jobs.queue_head(QUEUE, NOW, 10) == QueueHead(2, NOW - 2 * SECOND)
    polled(stores, 3, created_at=NOW - 3 * SECOND)
    assert stores.jobs.queue_head(QUEUE, NOW, 10) == QueueHead(3, NOW - 3 * SECOND)


def test_a_queue_is_counted_up_to_a_limit_and_its_oldest_is_found_behind_it(
    stores: Stores,
) -> None:
    for job in range(4):
        polled(stores, job, priority=1)
    polled(stores, 4, created_at=NOW - HOUR)
    for job in range(5, 8):
        polled(stores, job, wake_at=NOW - SECOND)
    heads = [stores.jobs.queue_head(QUEUE, NOW, limit) for limit in (1, 4, 6, 8, 9)]
    assert heads == [QueueHead(jobs, NOW - HOUR) for jobs in (1, 4, 6, 8, 8)]


def test_the_oldest_is_looked_for_in_so_many_priorities(stores: Stores) -> None:
    for job in range(MOST_PRIORITIES + 1):
        polled(stores, job, priority=50 - job, created_at=NOW - job * SECOND)
    oldest_at = NOW - (MOST_PRIORITIES - 1) * SECOND
    assert stores.jobs.queue_head(QUEUE, NOW, 99) == QueueHead(MOST_PRIORITIES + 1, oldest_at)


def test_the_head_is_that_of_one_queue(stores: Stores) -> None:
    polled(stores, 0, domain="gpu")
    polled(stores, 1, type="other")
    assert stores.jobs.queue_head(QUEUE, NOW, 10) == QueueHead(0, None)
    assert stores.jobs.queue_head(f"{QUEUE}#gpu", NOW, 10) == QueueHead(1, NOW)


@pytest.mark.parametrize(
    ("rows", "queries"),
    [
        ([], 2),
        ([{}], 4),
        ([{}] * 5, 4),
        ([{"priority": 1}, {}], 5),
        ([{"wake_at": NOW}], 3),
        ([{"wake_at": NOW}, {}], 5),
    ],
)
def test_the_head_of_a_queue_costs_few_queries(
    aws: Aws, rows: list[dict[str, object]], queries: int
) -> None:
    for job, values in enumerate(rows):
        polled(aws.stores(), job, **values)
    client = Interfering(aws.dynamodb)
    assert aws.stores(client).jobs.queue_head(QUEUE, NOW, 10).jobs == len(rows)
    assert client.calls == {"query": queries}


# -- claiming ------------------------------------------------------------------------------------


def test_a_claim_holds_the_attempt_under_the_next_fence(stores: Stores) -> None:
    attempt = polled(stores, fence=3, wake_at=NOW, poll_until=NOW + HOUR, poll_count=2)
    taken = stores.claim_queued(attempt)
    assert taken == stores.row(attempt)
    assert taken == replace(
        attempt,
        status=AttemptStatus.INPROGRESS,
        fence=4,
        poll_count=3,
        claim_id="c1",
        worker_id="worker of c1",
        started_at=NOW,
        lease_until=NOW + LEASE,
        wake_at=None,
        poll_until=None,
    )


def test_an_attempt_claimed_before_keeps_its_first_start(stores: Stores) -> None:
    attempt = polled(stores, fence=1, started_at=NOW - HOUR)
    taken = stores.claim_queued(attempt)
    assert taken is not None
    assert taken.started_at == NOW - HOUR


def test_a_claim_sent_twice_claims_once(stores: Stores) -> None:
    attempt = polled(stores)
    taken = sent_twice(lambda: stores.claim_queued(attempt))
    assert taken is not None
    assert taken.fence == 1


def test_of_two_claims_one_wins(stores: Stores) -> None:
    attempt = polled(stores)
    assert stores.claim_queued(attempt, "c1") is not None
    assert stores.claim_queued(attempt, "c2") is None
    assert stores.row(attempt).claim_id == "c1"


def test_a_stale_queue_claims_nothing_that_was_claimed_since(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = polled(stores)
    taken = stores.claim_queued(attempt)
    assert taken is not None
    stores.jobs.put_back(taken, None, NOW, None)
    assert stores.claim_queued(attempt, "c2") is None
    # An earlier sending of the first claim arrives late: nobody would run what it claims.
    assert stores.claim_queued(attempt, "c1") is None
    assert stores.claim_queued(stores.row(attempt), "c2") is not None


def test_each_of_several_is_claimed_by_itself(stores: Stores) -> None:
    attempts = [polled(stores, job) for job in range(4)]
    assert stores.claim_queued(attempts[2], "c0") is not None
    taken = stores.jobs.claim_queued(
        [queued_of(attempt) for attempt in attempts],
        claim_id="c1",
        worker_id="w",
        now=NOW,
        leases=[NOW + n * LEASE for n in range(4)],
    )
    assert [a and a.key.job for a in taken] == [0, 1, None, 3]
    assert [a and a.lease_until for a in taken] == [NOW, NOW + LEASE, None, NOW + 3 * LEASE]
    assert stores.row(attempts[2]).claim_id == "c0"


def test_an_attempt_without_a_row_is_not_claimed(stores: Stores) -> None:
    assert stores.claim_queued(an_attempt(is_polled=True)) is None
    assert stores.jobs.get("r1", KEY) is None


@pytest.mark.parametrize("status", sorted(set(ATTEMPT_STATUSES) - {AttemptStatus.NEW}))
def test_only_a_waiting_attempt_is_claimed(stores: Stores, status: AttemptStatus) -> None:
    attempt = polled(stores, status=status, fence=1)
    assert status not in attempt_sources(AttemptEvent.CLAIM)
    assert stores.claim_queued(attempt) is None
    assert stores.row(attempt) == attempt


# -- slots ---------------------------------------------------------------------------------------


def slot_of(attempt: Attempt, number: int = 0, claim_id: str = "c1") -> Slot:
    return Slot(QUEUE, number, attempt.attempt_id, claim_id)


def test_a_claim_takes_its_slot_with_it(stores: Stores) -> None:
    attempt = polled(stores)
    taken = sent_twice(lambda: stores.claim_queued(attempt, slot=FreeSlot(QUEUE, 3)))
    assert taken is not None
    assert taken.slot == 3
    assert stores.limits.slots(QUEUE) == [slot_of(attempt, 3)]


def test_a_slot_that_is_taken_takes_no_other_job(stores: Stores) -> None:
    first, second = polled(stores, 0), polled(stores, 1)
    stores.claim_queued(first, slot=FreeSlot(QUEUE, 0))
    lost = stores.claim_limited(second, "c2", FreeSlot(QUEUE, 0))
    assert (lost.attempt, lost.is_slot_lost) == (None, True)
    assert stores.row(second) == second
    assert stores.limits.slots(QUEUE) == [slot_of(first)]


def test_a_claim_that_is_lost_takes_no_slot(stores: Stores) -> None:
    attempt = polled(stores)
    stores.claim_queued(attempt)
    lost = stores.claim_limited(attempt, "c2", FreeSlot(QUEUE, 0))
    assert (lost.attempt, lost.is_slot_lost) == (None, False)
    assert stores.limits.slots(QUEUE) == []


def test_the_slot_of_a_dead_holder_is_taken_over_once(stores: Stores) -> None:
    dead, first, second = (polled(stores, job) for job in range(3))
    stores.claim_queued(dead, slot=FreeSlot(QUEUE, 0))
    seen = FreeSlot(QUEUE, 0, slot_of(dead))
    assert stores.claim_queued(first, "c2", seen) is not None
    assert stores.claim_limited(second, "c3", seen).is_slot_lost
    assert stores.limits.slots(QUEUE) == [slot_of(first, 0, "c2")]


def test_a_slot_is_taken_over_only_from_the_job_and_claim_that_were_seen_in_it(
    stores: Stores,
) -> None:
    holder, other, late = (polled(stores, job) for job in range(3))
    stores.claim_queued(holder, slot=FreeSlot(QUEUE, 0))
    for seen in (slot_of(other), slot_of(holder, claim_id="c0")):
        claim = stores.claim_limited(late, "c2", FreeSlot(QUEUE, 0, seen))
        assert (claim.attempt, claim.is_slot_lost) == (None, True)
    assert stores.row(late) == late
    assert stores.limits.slots(QUEUE) == [slot_of(holder)]


def test_a_slot_is_freed_by_its_holder_only(stores: Stores) -> None:
    attempt, other = polled(stores), polled(stores, 1)
    stores.claim_queued(attempt, slot=FreeSlot(QUEUE, 0))
    stores.limits.free(slot_of(attempt, claim_id="c2"))
    stores.limits.free(slot_of(other))
    assert stores.limits.slots(QUEUE) == [slot_of(attempt)]
    for _ in range(2):
        stores.limits.free(slot_of(attempt))
        assert stores.limits.slots(QUEUE) == []


def test_each_type_has_slots_of_its_own(stores: Stores) -> None:
    stores.claim_queued(polled(stores), slot=FreeSlot(QUEUE, 0))
    assert stores.limits.slots("other") == []


# -- rates ---------------------------------------------------------------------------------------


def test_a_window_grants_what_it_has_left(stores: Stores) -> None:
    def reserve(count: int) -> tuple[int, int]:
        return stores.limits.reserve(QUEUE, NOW, count, 10, NOW + HOUR)

    assert [reserve(4), reserve(4), reserve(4), reserve(1)] == [(4, 4), (4, 8), (2, 10), (0, 10)]
    assert stores.limits.reserve(QUEUE, NOW + SECOND, 4, 10, NOW + HOUR) == (4, 4)
    assert stores.limits.reserve("other", NOW, 4, 10, NOW + HOUR) == (4, 4)


def test_a_limit_that_was_lowered_grants_nothing_while_more_is_used(stores: Stores) -> None:
    stores.limits.reserve(QUEUE, NOW, 4, 10, NOW + HOUR)
    assert stores.limits.reserve(QUEUE, NOW, 1, 2, NOW + HOUR) == (0, 4)
    assert stores.limits.used(QUEUE, NOW) == 4


def test_a_window_that_granted_nothing_is_given_nothing_back(stores: Stores) -> None:
    assert stores.limits.reserve(QUEUE, NOW, 1, 0, NOW + HOUR) == (0, 0)
    stores.limits.give_back(QUEUE, NOW, 1, 0)
    assert stores.limits.used(QUEUE, NOW) == 0


def test_an_unused_reservation_is_given_back_once(stores: Stores) -> None:
    stores.limits.reserve(QUEUE, NOW, 4, 10, NOW + HOUR)
    for _ in range(2):
        stores.limits.give_back(QUEUE, NOW, 3, 4)
    assert stores.limits.reserve(QUEUE, NOW, 10, 10, NOW + HOUR) == (9, 10)


def test_the_used_share_of_a_window_is_read(stores: Stores) -> None:
    stores.limits.reserve(QUEUE, NOW, 4, 10, NOW + HOUR)
    stores.limits.give_back(QUEUE, NOW, 1, 4)
    assert stores.limits.used(QUEUE, NOW) == 3
    assert stores.limits.used(QUEUE, NOW + SECOND) == stores.limits.used("other", NOW) == 0


def test_nothing_is_given_back_once_others_have_reserved(stores: Stores) -> None:
    stores.limits.reserve(QUEUE, NOW, 4, 10, NOW + HOUR)
    stores.limits.reserve(QUEUE, NOW, 1, 10, NOW + HOUR)
    stores.limits.give_back(QUEUE, NOW, 3, 4)
    assert stores.limits.reserve(QUEUE, NOW, 10, 10, NOW + HOUR) == (5, 10)


# -- putting back --------------------------------------------------------------------------------


def test_an_attempt_put_back_waits_under_its_fence(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = stores.claim_queued(polled(stores, priority=3), slot=FreeSlot(QUEUE, 0))
    assert attempt is not None
    until = NOW + HOUR
    recorded = sent_twice(lambda: stores.jobs.put_back(attempt, OUTPUT, NOW + SECOND, until))
    assert recorded is Recorded.WON
    assert stores.row(attempt) == replace(
        attempt,
        status=AttemptStatus.NEW,
        output=OUTPUT,
        wake_at=NOW + SECOND,
        poll_until=until,
        lease_until=None,
        slot=None,
    )
    assert jobs_in(stores) == []
    [queued] = stores.jobs.queued(QUEUE, NOW + SECOND, 10).waiting
    assert queued == queued_of(stores.row(attempt))


def test_only_the_holder_puts_an_attempt_back(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = held(stores)
    late = replace(attempt, fence=0)
    assert stores.jobs.put_back(late, None, NOW, None) is Recorded.STALE
    stores.jobs.put_back(attempt, None, NOW, None)
    again = stores.claim_queued(stores.row(attempt), "c2")
    assert again is not None
    # At another time: DynamoDB answers the same call for ten minutes as it did the first.
    assert stores.jobs.put_back(attempt, None, NOW + SECOND, None) is Recorded.STALE
    stores.jobs.put_back(attempt, None, NOW, None)
    assert stores.row(attempt) == again
    # The next holder puts it back until the same time: that is not the first holder's doing.
    stores.jobs.put_back(again, None, NOW + 2 * SECOND, None)
    assert stores.jobs.put_back(attempt, None, NOW + 2 * SECOND, None) is Recorded.STALE


def test_an_attempt_put_back_twice_waits_until_the_first_time(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = held(stores)
    stores.jobs.put_back(attempt, None, NOW, None)
    assert stores.jobs.put_back(attempt, None, NOW + SECOND, None) is Recorded.STALE
    assert stores.row(attempt).wake_at == NOW


def test_an_attempt_without_a_row_is_not_put_back(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = an_attempt(is_polled=True, status=AttemptStatus.INPROGRESS, fence=1)
    assert stores.jobs.put_back(attempt, None, NOW, None) is Recorded.STALE
    assert stores.jobs.get("r1", KEY) is None


@pytest.mark.parametrize(
    "status", sorted(set(ATTEMPT_STATUSES) - {AttemptStatus.INPROGRESS, AttemptStatus.NEW})
)
def test_an_ended_attempt_was_not_put_back_whatever_its_wake_time(
    stores: Stores, status: AttemptStatus
) -> None:
    stores.request(status=INPROGRESS)
    attempt = polled(stores, status=status, fence=1, wake_at=NOW)
    assert stores.jobs.put_back(attempt, None, NOW, None) is Recorded.STALE


@pytest.mark.parametrize("status", sorted(set(ATTEMPT_STATUSES) - {AttemptStatus.INPROGRESS}))
def test_only_a_held_attempt_is_put_back(stores: Stores, status: AttemptStatus) -> None:
    stores.request(status=INPROGRESS)
    attempt = polled(stores, status=status, fence=1)
    assert stores.jobs.put_back(attempt, None, NOW, None) is Recorded.STALE
    assert stores.row(attempt) == attempt


@pytest.mark.parametrize("status", sorted(set(RequestStatus) - {INPROGRESS}))
def test_putting_back_does_not_look_at_the_request(stores: Stores, status: RequestStatus) -> None:
    request = stores.request(status=status)
    attempt = held(stores)
    assert stores.jobs.put_back(attempt, None, NOW, None) is Recorded.WON
    assert stores.row(attempt).status is AttemptStatus.NEW
    assert stores.request_row() == request


# -- outcomes ------------------------------------------------------------------------------------


def test_a_completion_that_is_not_counted_changes_the_attempt_alone(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    stores.requests.add_step(a_step())
    attempt = held(stores)
    recorded = sent_twice(lambda: stores.jobs.complete(attempt, OUTPUT, NOW + SECOND))
    assert recorded is Recorded.WON
    row = stores.row(attempt)
    assert (row.status, row.output, row.completed_at) == (
        AttemptStatus.COMPLETED,
        OUTPUT,
        NOW + SECOND,
    )
    assert stores.step_row().arrivals == 0


def test_completions_are_counted_in_the_steps_row(stores: Stores) -> None:
    assert stores.requests.count_arrivals("r1", 1, 1) is None
    assert stores.requests.get_step("r1", 1) is None
    stores.requests.add_step(a_step())
    row = stores.requests.count_arrivals("r1", 1, 3)
    assert row == stores.step_row()
    assert row is not None
    assert row.arrivals == 3


def test_an_attempt_that_nobody_claimed_in_time_is_retried(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = polled(stores, poll_until=NOW)
    successor = successor_of(attempt)
    recorded = sent_twice(lambda: stores.jobs.retry(attempt, BROKEN, successor, NOW, lapsed=True))
    assert recorded is Recorded.WON
    assert stores.row(attempt) == replace(
        attempt, status=AttemptStatus.RETRY, error=BROKEN, completed_at=NOW, poll_until=None
    )
    assert stores.row(successor) == successor


def test_an_attempt_that_nobody_claimed_in_time_fails_its_request(stores: Stores) -> None:
    stores.request(status=INPROGRESS)
    attempt = polled(stores, poll_until=NOW, fence=2)
    recorded = sent_twice(
        lambda: stores.jobs.fail(attempt, BROKEN, NOW, request=FATAL, lapsed=True)
    )
    assert recorded is Recorded.WON
    assert stores.row(attempt).status is AttemptStatus.FAILURE
    assert stores.request_row().status is RequestStatus.FAILED


@pytest.mark.parametrize("fence", [0, 2])
def test_a_worker_that_claims_it_in_time_keeps_it(stores: Stores, fence: int) -> None:
    stores.request(status=INPROGRESS)
    seen = polled(stores, poll_until=NOW, fence=fence)
    taken = stores.claim_queued(seen)
    assert stores.jobs.retry(seen, BROKEN, successor_of(seen), NOW, lapsed=True) is Recorded.STALE
    assert stores.jobs.fail(seen, BROKEN, NOW, request=FATAL, lapsed=True) is Recorded.STALE
    assert stores.row(seen) == taken
    assert taken is not None
    stores.jobs.put_back(taken, None, NOW, None)
    assert stores.jobs.fail(seen, BROKEN, NOW, request=FATAL) is Recorded.STALE


def test_an_earlier_output_stays_when_the_attempt_fails_even_if_sent_twice(
    stores: Stores,
) -> None:
    stores.request(status=INPROGRESS)
    attempt = held(stores, output=OUTPUT)
    error = JobError("TaskFailed", "no")
    recorded = sent_twice(lambda: stores.jobs.fail(attempt, error, NOW, request=None))
    assert recorded is Recorded.WON
    assert stores.row(attempt).output == OUTPUT


# -- due times -----------------------------------------------------------------------------------


def test_a_due_time_is_brought_forward_and_not_postponed(stores: Stores) -> None:
    stores.request(status=INPROGRESS, due_at=NOW + HOUR)
    for due_at in (NOW + 2 * HOUR, NOW + SECOND, NOW + SECOND, NOW + HOUR):
        stores.requests.bring_due_forward("r1", due_at)
    assert stores.request_row().due_at == NOW + SECOND


def test_a_request_that_is_not_due_is_not_made_due(stores: Stores) -> None:
    request = stores.request(status=INPROGRESS, due_at=None)
    stores.requests.bring_due_forward("r1", NOW)
    assert stores.request_row() == request


@pytest.mark.parametrize("status", sorted(set(RequestStatus) - {INPROGRESS}))
def test_only_the_due_time_of_a_request_in_progress_is_moved(
    stores: Stores, status: RequestStatus
) -> None:
    request = stores.request(status=status, due_at=NOW + HOUR)
    stores.requests.bring_due_forward("r1", NOW)
    stores.requests.bring_due_forward("unknown", NOW)
    assert stores.request_row() == request
    assert stores.requests.get("unknown") is None


# -- reports besides outcomes --------------------------------------------------------------------


def test_some_attempts_are_read_in_one_call(stores: Stores) -> None:
    attempts = [polled(stores, job) for job in range(120)]
    ids = [("r1", attempt.key) for attempt in attempts]
    wanted = [*ids, *ids[:2], ("r1", AttemptKey(9, 9, 9)), ("r2", KEY)]
    found = {attempt.key: attempt for attempt in stores.jobs.get_many(wanted)}
    assert list(found.values()) and {a.key: a for a in attempts} == found
    assert stores.jobs.get_many([]) == []


def test_an_attempt_that_is_asked_for_twice_is_read_once(stores: Stores) -> None:
    attempt = polled(stores)
    assert stores.jobs.get_many([("r1", attempt.key)] * 2) == [attempt]


def test_late_updates_are_kept_in_order_and_change_nothing_else(stores: Stores) -> None:
    attempt = held(stores)
    stores.jobs.complete(attempt, OUTPUT, NOW)
    before = stores.row(attempt)
    updates = [LateUpdate(NOW + n * SECOND, "FAILED", "w", f"no {n}") for n in range(2)]
    for update in updates:
        stores.jobs.add_late_update(stores.row(attempt), update)
    assert stores.row(attempt) == replace(before, late_updates=tuple(updates))


def test_a_late_update_sent_twice_is_kept_once(stores: Stores) -> None:
    attempt = held(stores)
    update = LateUpdate(NOW, "COMPLETED", None, "")
    for _ in range(2):
        stores.jobs.add_late_update(attempt, update)
    assert stores.row(attempt).late_updates == (update,)


def test_a_late_update_by_a_writer_that_missed_another_is_not_added(stores: Stores) -> None:
    attempt = held(stores)
    first, second, third = (LateUpdate(NOW, "FAILED", "w", f"no {n}") for n in range(3))
    stores.jobs.add_late_update(attempt, first)
    seen = stores.row(attempt)
    stores.jobs.add_late_update(seen, second)
    stores.jobs.add_late_update(seen, third)
    assert stores.row(attempt).late_updates == (first, second)


def test_late_updates_are_kept_up_to_a_bound(stores: Stores) -> None:
    attempt = held(stores)
    for number in range(MAX_LATE_UPDATES + 2):
        stores.jobs.add_late_update(
            stores.row(attempt), LateUpdate(NOW, "FAILED", "w", str(number))
        )
    assert [u.reason for u in stores.row(attempt).late_updates] == list(
        map(str, range(MAX_LATE_UPDATES))
    )


def test_a_late_update_of_an_unknown_attempt_makes_no_row(stores: Stores) -> None:
    stores.jobs.add_late_update(an_attempt(), LateUpdate(NOW, "FAILED", "w", ""))
    assert stores.jobs.get("r1", KEY) is None


def test_a_log_has_each_line_once_in_order_of_time(stores: Stores) -> None:
    attempt = held(stores)
    lines = [LogLine(NOW + n * SECOND, f"line {n}") for n in (2, 0, 1)]
    for _ in range(2):
        stores.jobs.add_logs("r1", attempt.key, lines, NOW)
    stores.jobs.add_logs("r1", attempt.key, [], NOW)
    stores.jobs.add_logs("r1", AttemptKey(1, 0, 2), [LogLine(NOW, "another")], NOW)
    stores.jobs.add_logs("r2", attempt.key, [LogLine(NOW, "another")], NOW)
    assert stores.jobs.logs("r1", attempt.key) == sorted(lines, key=lambda line: line.at)
    assert stores.jobs.logs("r1", AttemptKey(2, 0, 1)) == []


def test_a_log_is_not_listed_as_an_attempt(stores: Stores) -> None:
    attempt = held(stores)
    stores.jobs.add_logs("r1", attempt.key, [LogLine(NOW, "line")], NOW)
    assert list(stores.jobs.of_step("r1", 1)) == [attempt]
    assert stores.jobs.find("r1", ALL_STEPS, None, 10, None).items == [attempt]
