"""Sweeps find rows in the indexes, and rows leave the indexes once they have served."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.workers.workers import Worker, WorkerKind
from shiftwork_core.ports.shards import SHARDS, shard_of
from shiftwork_core.ports.stores import DueRequest, Lane
from shiftwork_core.ports.world import MAX_DELAY
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Overtaken
from tests.contract.store.rows import (
    BROKEN,
    EXTRAS,
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
    assert list(stores.requests.due(here, FAR)) == [DueRequest("r1", 3, NOW + LEASE)]
    assert list(stores.requests.due(there, FAR)) == []


def test_due_requests_are_found_the_longest_due_first(stores: Stores) -> None:
    for number in (3, 1, 4, 2, 5):
        stores.request(f"r{number}", due_at=NOW + number * SECOND)
    before = NOW + 5 * SECOND
    found = [due.request_id for due in stores.requests.due(Lane.NEW, before)]
    assert found == ["r1", "r2", "r3", "r4"]


def test_a_request_changes_its_lane_when_it_starts(stores: Stores) -> None:
    stores.request()
    stores.requests.start("r1", NOW, NOW + SECOND)
    assert list(stores.requests.due(Lane.NEW, FAR)) == []
    assert list(stores.requests.due(Lane.INPROGRESS, FAR)) == [DueRequest("r1", 1, NOW + SECOND)]


def test_a_request_cancelled_before_its_start_is_tidied_by_the_other_sweep(
    stores: Stores,
) -> None:
    stores.request()
    stores.requests.finish("r1", RequestStatus.CANCELLED, NOW, due_at=NOW)
    assert list(stores.requests.due(Lane.NEW, FAR)) == []
    assert [d.due_at for d in stores.requests.due(Lane.INPROGRESS, FAR)] == [NOW]


def test_every_new_due_time_is_found(stores: Stores) -> None:
    def dues() -> list[DueRequest]:
        return list(stores.requests.due(Lane.INPROGRESS, FAR))

    request = stores.request(status=RequestStatus.INPROGRESS)
    times = [NOW + number * LEASE for number in range(10, 20)]
    stores.requests.enter_step(request, Payload("{}"), times[0])
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
    stores.requests.reopen(failed, 1, EXTRAS, NOW, times[6])
    assert dues() == [DueRequest("r1", 3, times[6])]
    stores.requests.finish("r1", RequestStatus.COMPLETED, NOW)
    assert dues() == []


def test_a_failure_without_a_due_time_leaves_the_index(stores: Stores) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    stores.jobs.fail(stores.claimed(), BROKEN, NOW, request=FATAL)
    assert list(stores.requests.due(Lane.INPROGRESS, FAR)) == []


def test_each_due_request_is_in_one_shard(stores: Stores) -> None:
    for number in range(30):
        stores.request(f"r{number}", due_at=NOW + number * SECOND)
    found = {shard: list(stores.requests.due(Lane.NEW, FAR, shard)) for shard in SHARDS}
    assert all(shard_of(due.request_id) == shard for shard, dues in found.items() for due in dues)
    assert all(dues == sorted(dues, key=lambda due: due.due_at) for dues in found.values())
    assert sum(map(len, found.values())) == 30


def test_each_wake_up_and_each_watched_worker_is_in_one_shard(stores: Stores) -> None:
    ids = [f"r{number}" for number in range(30)]
    for an_id in ids:
        stores.attempt(KEY, request_id=an_id, wake_at=NOW + LONG)
        stores.workers.save(replace(WATCHED, worker_id=an_id))
    woken = {shard: list(stores.jobs.attempts_to_wake(FAR, shard)) for shard in SHARDS}
    assert sorted(one for some in woken.values() for one in some) == sorted((i, KEY) for i in ids)
    watched = {shard: set(stores.workers.watched(FAR, shard)) for shard in SHARDS}
    assert watched == {shard: {i for i in ids if shard_of(i) == shard} for shard in SHARDS}


def test_more_than_a_page_of_a_shard_is_found_while_what_was_found_moves_on(
    stores: Stores,
) -> None:
    ids = [i for i in (f"r{number}" for number in range(2000)) if shard_of(i) == "3"][:130]
    for number, request_id in enumerate(ids):
        stores.request(request_id, due_at=NOW + number * SECOND)
    found = []
    for due in stores.requests.due(Lane.NEW, FAR, "3"):
        stores.requests.take_over(due, FAR + SECOND)
        found.append(due.request_id)
    assert found == ids
    assert list(stores.requests.due(Lane.NEW, FAR, "3")) == []


# -- what is put off ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Swept:
    """A row that a sweep finds, by its due time, and how to put it off.

    `move` gives it another due time, `end` takes it out of the index.
    """

    make: Callable[[Stores], object]
    find: Callable[[Stores, datetime], Iterable[object]]
    put_off: Callable[[Stores, datetime], PutOff | None]
    move: Callable[[Stores], object]
    end: Callable[[Stores], object]


WATCHED = Worker("host-1", "host-1", WorkerKind.REGISTERED, NOW, NOW, watch_at=NOW)
SWEPT = {
    "request": Swept(
        lambda stores: stores.request(due_at=NOW),
        lambda stores, before: stores.requests.due(Lane.NEW, before),
        lambda stores, before: stores.requests.put_off("r1", before),
        lambda stores: stores.requests.set_due(stores.request_row(), NOW),
        lambda stores: stores.requests.set_due(stores.request_row(), None),
    ),
    "wake-up": Swept(
        lambda stores: stores.attempt(KEY, created_at=NOW - LONG, wake_at=NOW),
        lambda stores, before: stores.jobs.attempts_to_wake(before),
        lambda stores, before: stores.jobs.put_off_wake_up("r1", KEY, before),
        lambda stores: stores.jobs.forget_wake_up("r1", KEY),
        lambda stores: stores.claim("r1", KEY),
    ),
    "worker": Swept(
        lambda stores: stores.workers.save(WATCHED),
        lambda stores, before: stores.workers.watched(before),
        lambda stores, before: stores.workers.put_off("host-1", before),
        lambda stores: stores.workers.save(replace(WATCHED, revision=1)),
        lambda stores: stores.workers.save(replace(WATCHED, revision=1, watch_at=None)),
    ),
}


@pytest.fixture(params=list(SWEPT.values()), ids=list(SWEPT))
def swept(request: pytest.FixtureRequest, stores: Stores) -> Swept:
    found: Swept = request.param
    found.make(stores)
    return found


def test_what_is_put_off_is_due_later_each_time_up_to_an_hour(stores: Stores, swept: Swept) -> None:
    now, waits = NOW + SECOND, []
    for times in range(1, 9):
        assert len(list(swept.find(stores, now))) == 1
        put_off = swept.put_off(stores, now)
        assert put_off is not None
        assert put_off.times == times
        assert list(swept.find(stores, put_off.until)) == []
        waits.append((put_off.until - now) // timedelta(minutes=1))
        now = put_off.until + SECOND
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_what_is_no_longer_due_is_not_put_off(stores: Stores, swept: Swept) -> None:
    assert swept.put_off(stores, NOW) is None
    assert len(list(swept.find(stores, NOW + SECOND))) == 1
    first = swept.put_off(stores, NOW + SECOND)
    assert first is not None
    assert swept.put_off(stores, NOW + SECOND) is None


def test_a_put_off_is_forgotten_once_somebody_has_handled_the_row(
    stores: Stores, swept: Swept
) -> None:
    for now in (NOW + SECOND, NOW + LEASE + 2 * SECOND):
        swept.put_off(stores, now)
    swept.move(stores)
    again = swept.put_off(stores, FAR)
    assert again is None or again.times == 1


def test_what_has_left_the_index_is_not_put_off(stores: Stores, swept: Swept) -> None:
    swept.end(stores)
    assert swept.put_off(stores, FAR) is None
    assert list(swept.find(stores, FAR)) == []


def test_a_wake_up_that_a_message_carries_is_not_put_off(stores: Stores) -> None:
    attempt = stores.attempt(KEY, wake_at=NOW + SECOND)
    assert stores.jobs.put_off_wake_up("r1", KEY, FAR) is None
    assert stores.row(attempt) == attempt


@pytest.mark.parametrize("swept", SWEPT.values(), ids=SWEPT)
def test_what_somebody_handles_just_before_it_is_put_off_stays_as_it_then_is(
    aws: Aws, swept: Swept
) -> None:
    stores = aws.stores()
    swept.make(stores)
    handled = Overtaken(aws.dynamodb, others=[lambda: swept.end(stores)])
    assert swept.put_off(aws.stores(handled), FAR) is None
    assert handled.others == []
    assert list(swept.find(stores, FAR)) == []


def test_what_is_deleted_just_before_it_is_put_off_does_not_come_back(aws: Aws) -> None:
    stores = aws.stores()
    row = stores.workers.save(WATCHED).row
    assert row is not None
    deleted = Overtaken(aws.dynamodb, others=[lambda: stores.workers.delete(row)])
    assert aws.stores(deleted).workers.put_off("host-1", FAR) is None
    assert stores.workers.get("host-1") is None


def test_what_is_not_there_is_not_put_off(stores: Stores) -> None:
    assert stores.requests.put_off("gone", FAR) is None
    assert stores.jobs.put_off_wake_up("gone", KEY, FAR) is None
    assert stores.workers.put_off("gone", FAR) is None
    assert stores.requests.get("gone") is None


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
    assert list(stores.jobs.attempts_to_wake(hours_2)) == [("r1", AttemptKey(1, 1, 2))]
    found = [key.job for _, key in stores.jobs.attempts_to_wake(FAR)]
    assert found == [1, 2, 0]


@pytest.mark.usefixtures("inprogress")
@pytest.mark.parametrize(
    ("delay", "is_polled"), [(MAX_DELAY, False), (SECOND, False), (LONG, True)]
)
def test_other_retries_are_not_found(stores: Stores, delay: timedelta, is_polled: bool) -> None:
    waiting(stores, 0, delay, is_polled=is_polled)
    assert list(stores.jobs.attempts_to_wake(FAR)) == []


@pytest.mark.usefixtures("inprogress")
def test_a_retry_is_not_found_once_it_is_claimed(stores: Stores) -> None:
    attempt = waiting(stores, 0, LONG)
    assert len(list(stores.jobs.attempts_to_wake(FAR))) == 1
    stores.claim("r1", attempt.key)
    assert list(stores.jobs.attempts_to_wake(FAR)) == []


@pytest.mark.usefixtures("inprogress")
def test_a_retry_is_not_found_once_it_is_cancelled(stores: Stores) -> None:
    attempt = waiting(stores, 0, LONG)
    stores.jobs.cancel([attempt], NOW)
    assert list(stores.jobs.attempts_to_wake(FAR)) == []


@pytest.mark.usefixtures("inprogress")
def test_a_retry_whose_message_was_sent_leaves_the_index_and_does_not_change(
    stores: Stores,
) -> None:
    attempt, other = waiting(stores, 0, LONG), waiting(stores, 1, LONG)
    for _ in range(2):
        stores.jobs.forget_wake_up("r1", attempt.key)
        assert list(stores.jobs.attempts_to_wake(FAR)) == [("r1", other.key)]
        assert stores.row(attempt) == attempt


def test_forgetting_an_unknown_wake_up_makes_no_row(stores: Stores) -> None:
    stores.jobs.forget_wake_up("r1", KEY)
    assert stores.jobs.get("r1", KEY) is None
    stores.attempt(KEY, wake_at=NOW + LONG)
    assert list(stores.jobs.attempts_to_wake(FAR)) == [("r1", KEY)]
