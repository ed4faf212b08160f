"""In DynamoDB: what a row costs, which indexes have it, when it expires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.adapters.dynamodb import items
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.queue_order import MAX_LAPSED
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, LogLine, StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.shards import SHARDS
from shiftwork_core.ports.stores import IdempotencyKey, Recorded
from shiftwork_core.ports.world import MAX_DELAY
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Interfering, Overtaken
from tests.contract.store.rows import (
    BROKEN,
    EXTRAS,
    FATAL,
    KEY,
    LEASE,
    NOW,
    RETENTION,
    SECOND,
    a_request,
    a_step,
    an_attempt,
    queued_of,
    sent_twice,
    successor_of,
)

DUE = NOW + 2 * LEASE
INPROGRESS = RequestStatus.INPROGRESS


def size_bytes(item: dict[str, Any]) -> int:
    """Return an item's size as DynamoDB bills it: names and values."""

    def of(wrapped: dict[str, Any]) -> int:
        ((kind, value),) = wrapped.items()
        if kind == "N":
            return len(value) // 2 + 2
        return 1 if kind == "BOOL" else len(value.encode())

    return sum(len(name.encode()) + of(wrapped) for name, wrapped in item.items())


def test_a_requests_row_is_one_unit_whatever_its_payload(aws: Aws) -> None:
    request = a_request(
        "0b6f6f0e-3c4e-4d0b-8f5e-5a1f0d9a7c11",
        type="documents.index-and-analyse-and-report",
        job_types={f"documents.analyse-{number}": number for number in range(9)},
        correlation_id="order-" + "7" * 30,
        params=Payload("x" * 192),
        extras=Payload("x" * 192),
    )
    stores = aws.stores()
    stores.requests.create(request, None)
    stores.requests.start(request.request_id, NOW, DUE)
    assert size_bytes(aws.request_item(request.request_id)) <= 1024


def test_a_joined_job_costs_three_plain_writes_of_one_unit_and_touches_no_index(
    aws: Aws,
) -> None:
    client = Interfering(aws.dynamodb)
    stores = aws.stores(client)
    request_id = "0b6f6f0e-3c4e-4d0b-8f5e-5a1f0d9a7c11"
    stores.jobs.insert(
        [
            an_attempt(
                KEY,
                request_id,
                name="analyse[9999]",
                item=Payload(
                    text='{"bucket":"shiftwork-local","key":"documents/%s"}' % ("x" * 150)
                ),
            )
        ]
    )
    lanes = {"wake_lane", "queue"}
    items = [aws.attempt_item(KEY, request_id)]
    attempt = stores.claim(request_id, KEY, "a1b2c3d4e5f6")
    assert attempt is not None
    items.append(aws.attempt_item(KEY, request_id))
    output = Payload(text='{"pages":3,"words":["%s"]}' % ("w" * 200))
    assert stores.jobs.complete(attempt, output, NOW) is Recorded.WON
    items.append(aws.attempt_item(KEY, request_id))
    assert client.calls == {"put_item": 1, "update_item": 2}
    assert not any(lanes & set(item) for item in items)
    assert max(size_bytes(item) for item in items) <= 1024
    # The size of a job's row without input or output of its own.
    bare = size_bytes(items[-1]) - len(output.text or "") - len(items[0]["item"]["S"])
    assert bare <= 500


def test_a_polled_job_costs_eight_write_units_and_one_of_many_little_more_than_seven(
    aws: Aws,
) -> None:
    client = Interfering(aws.dynamodb)
    stores = aws.stores(client)
    request_id = "0b6f6f0e-3c4e-4d0b-8f5e-5a1f0d9a7c11"
    stores.requests.add_step(a_step(request_id=request_id))
    client.calls.clear()
    items: list[dict[str, Any]] = [{}]
    index_units = 0

    def look(key: AttemptKey = KEY) -> None:
        """See what the last write has changed in the index of queues, the only one it may be in."""
        nonlocal index_units
        items.append(aws.attempt_item(key, request_id))
        assert not {"wake_lane", "lane"} & set(items[-1])
        index_units += units_of_move(*(item.get("queue_at") for item in items[-2:]))

    def units_of_move(before: object, after: object) -> int:
        """An entry is deleted in one place, and written in another."""
        return 0 if before == after else (before is not None) + (after is not None)

    attempt = an_attempt(
        KEY, request_id, name="render[9999]", type="gpu.render", is_polled=True, priority=5
    )
    stores.jobs.insert([attempt])
    look()
    [held] = stores.jobs.claim_queued(
        [queued_of(attempt)], claim_id="a1b2c3d4e5f6", worker_id="w" * 60, now=NOW, leases=[NOW]
    )
    look()
    assert held is not None
    stores.jobs.complete(held, Payload('{"pages":3}'), NOW)
    look()
    stores.requests.count_arrivals(request_id, 1, 1)
    assert client.calls == {"put_item": 1, "update_item": 3}
    # Each write is of a row of one unit, and none is a transaction.
    assert max(size_bytes(item) for item in items) <= 1024
    assert size_bytes(aws.request_item(request_id, "step#0001")) <= 1024
    assert client.calls.total() + index_units == 8
    # A renewal is one write, and moves the entry: three units.
    key = AttemptKey(1, 1, 1)
    other = stores.claim_queued(stores.attempt(key, request_id=request_id, is_polled=True))
    assert other is not None
    look(key)
    client.calls.clear()
    index_units = 0
    stores.jobs.renew(other, NOW + 2 * LEASE)
    look(key)
    assert client.calls == {"update_item": 1}
    assert index_units == 2


def test_a_renewal_of_a_job_that_no_worker_does_touches_no_index(aws: Aws) -> None:
    stores = aws.stores()
    held = stores.claimed()
    before = aws.attempt_item(KEY)
    stores.jobs.renew(held, NOW + 2 * LEASE)
    assert set(aws.attempt_item(KEY)) == set(before)


@pytest.mark.parametrize(
    ("held", "lapsed", "queries"),
    [(0, 0, 2), (3, 0, 2), (3, 3, 2), (MAX_LAPSED, MAX_LAPSED, 2), (MAX_LAPSED + 1, MAX_LAPSED, 3)],
)
def test_a_queue_is_read_with_two_queries_unless_many_leases_are_over(
    aws: Aws, held: int, lapsed: int, queries: int
) -> None:
    client = Interfering(aws.dynamodb)
    stores = aws.stores(client)
    for job in range(held):
        key = AttemptKey(1, job, 1)
        assert stores.claim_queued(stores.attempt(key, is_polled=True)) is not None
    client.calls.clear()
    now = NOW + 2 * LEASE if lapsed else NOW
    assert len(stores.jobs.queued("documents.list", now, 1).lapsed) == lapsed
    assert client.calls == {"query": queries}


def test_an_attempt_stores_no_defaults(aws: Aws) -> None:
    aws.stores().attempt()
    assert set(aws.attempt_item(KEY)) == {
        "lot",
        "key",
        "request_id",
        "name",
        "type",
        "type_version",
        "created_at",
        "status",
    }


def test_a_request_stores_no_defaults(aws: Aws) -> None:
    aws.stores().request(due_at=None)
    assert set(aws.request_item()) == {
        "request_id",
        "part",
        "type",
        "type_version",
        "job_types",
        "params",
        "extras",
        "created_at",
        "status",
        "status_lane",
        "current_step",
        "execution",
        "generation",
        "priority",
    }


def test_a_step_stores_no_defaults(aws: Aws) -> None:
    aws.stores().requests.add_step(a_step())
    assert set(aws.request_item(part=items.step_part(1))) == {
        "request_id",
        "part",
        "name",
        "job_count",
        "started_at",
        "status",
        "counts",
        "settles",
    }


# -- sparse indexes ------------------------------------------------------------------------------


def test_an_attempt_that_has_ended_has_no_index_attributes_of_its_queue(aws: Aws) -> None:
    stores = aws.stores()
    stores.request(status=INPROGRESS)
    queue = {"queue", "queue_at"}

    def complete(held: Attempt | None) -> None:
        assert held is not None
        stores.jobs.complete(held, Payload("{}"), NOW)

    ends: list[Callable[[Any], Any]] = [
        lambda a: stores.claim("r1", a.key),
        lambda a: complete(stores.claim_queued(a)),
        lambda a: stores.jobs.cancel([a], NOW),
        lambda a: stores.jobs.retry(a, BROKEN, successor_of(a), NOW, lapsed=True),
        lambda a: stores.jobs.fail(a, BROKEN, NOW, request=None, lapsed=True),
    ]
    for job, end in enumerate(ends):
        attempt = stores.attempt(AttemptKey(1, job, 1), is_polled=True)
        assert queue <= set(aws.attempt_item(attempt.key))
        end(attempt)
        assert not queue & set(aws.attempt_item(attempt.key))


def test_a_woken_attempt_has_no_index_attributes_of_its_wait(aws: Aws) -> None:
    stores = aws.stores()
    stores.request(status=INPROGRESS)
    ends: list[Callable[[Any], Any]] = [
        lambda a: stores.claim("r1", a.key),
        lambda a: stores.jobs.cancel([a], NOW),
        lambda a: stores.jobs.forget_wake_up("r1", a.key),
    ]
    for job, end in enumerate(ends):
        attempt = stores.claimed(AttemptKey(1, job, 1))
        successor = successor_of(attempt, MAX_DELAY + SECOND)
        stores.jobs.retry(attempt, BROKEN, successor, NOW)
        assert {"wake_lane", "wake_at"} <= set(aws.attempt_item(successor.key))
        end(successor)
        assert "wake_lane" not in aws.attempt_item(successor.key)


def test_a_request_that_is_not_due_has_no_index_attributes(aws: Aws) -> None:
    stores = aws.stores()
    stores.request(status=INPROGRESS)
    stores.requests.finish("r1", RequestStatus.FAILED, NOW, due_at=DUE)
    assert {"lane", "due_at"} <= set(aws.request_item())
    stores.requests.set_due(stores.request_row(), None)
    assert not {"lane", "due_at"} & set(aws.request_item())
    stores.request("r2", status=INPROGRESS)
    stores.requests.finish("r2", RequestStatus.COMPLETED, NOW)
    assert not {"lane", "due_at"} & set(aws.request_item("r2"))


def test_rows_that_change_at_once_lie_in_many_partitions_of_each_index(aws: Aws) -> None:
    stores = aws.stores()
    for number in range(40):
        request = stores.request(f"r{number}", status=INPROGRESS)
        attempt = stores.claimed(request_id=request.request_id)
        successor = successor_of(attempt, MAX_DELAY + SECOND)
        stores.jobs.retry(attempt, BROKEN, successor, NOW)
    for table, index, key in (
        (aws.requests_table, "by_status", "status_lane"),
        (aws.requests_table, "by_due", "lane"),
        (aws.jobs_table, "by_wake", "wake_lane"),
    ):
        rows = aws.rows.scan(TableName=table, IndexName=index)["Items"]
        assert len({row[key]["S"] for row in rows}) == len(SHARDS), index


def test_a_step_and_a_key_are_in_no_index_of_requests(aws: Aws) -> None:
    stores = aws.stores()
    stores.requests.create(a_request(), IdempotencyKey("order 7", "digest"))
    stores.requests.add_step(a_step())
    for index in ("by_status", "by_due"):
        rows = aws.rows.scan(TableName=aws.requests_table, IndexName=index)["Items"]
        assert [row["part"]["S"] for row in rows] == ["request"]


# -- time to live --------------------------------------------------------------------------------


def expiry_of(item: dict[str, Any]) -> int | None:
    return int(item["expires_at"]["N"]) if "expires_at" in item else None


def epoch_s(days: timedelta) -> int:
    return int((NOW + days).timestamp())


@pytest.mark.parametrize("end", ["finish", "fail"])
def test_a_request_expires_its_retention_after_its_end_and_not_when_retried(
    aws: Aws, end: str
) -> None:
    stores = aws.stores()
    stores.request(status=INPROGRESS)
    assert expiry_of(aws.request_item()) is None
    if end == "finish":
        stores.requests.finish("r1", RequestStatus.FAILED, NOW)
    else:
        stores.jobs.fail(stores.claimed(), BROKEN, NOW, request=FATAL)
    assert expiry_of(aws.request_item()) == epoch_s(RETENTION)
    stores.requests.reopen(stores.request_row(), 1, EXTRAS, NOW, DUE)
    assert expiry_of(aws.request_item()) is None


def test_a_step_outlives_the_time_in_which_its_request_may_be_retried(aws: Aws) -> None:
    stores = aws.stores()
    stores.requests.add_step(a_step())
    assert expiry_of(aws.request_item(part="step#0001")) is None
    stores.requests.close_step(a_step(), StepStatus.FAILED, {}, NOW)
    assert expiry_of(aws.request_item(part="step#0001")) == epoch_s(2 * RETENTION)
    stores.requests.close_step(stores.step_row(), StepStatus.RUNNING, {}, None)
    assert expiry_of(aws.request_item(part="step#0001")) is None


def test_an_attempt_outlives_the_time_in_which_its_request_may_be_retried(aws: Aws) -> None:
    stores = aws.stores()
    stores.attempt(KEY)
    assert expiry_of(aws.attempt_item(KEY)) is None
    stores.claim("r1", KEY)
    assert expiry_of(aws.attempt_item(KEY)) == epoch_s(2 * RETENTION)
    cancelled = stores.attempt(AttemptKey(1, 1, 1))
    stores.jobs.cancel([cancelled], NOW)
    assert expiry_of(aws.attempt_item(cancelled.key)) == epoch_s(2 * RETENTION)
    inserted = stores.attempt(AttemptKey(1, 2, 1), status=AttemptStatus.CANCELLED, completed_at=NOW)
    assert expiry_of(aws.attempt_item(inserted.key)) == epoch_s(2 * RETENTION)


def test_rows_of_a_step_that_goes_on_for_long_are_prolonged(aws: Aws) -> None:
    stores = aws.stores()
    waiting = stores.attempt(AttemptKey(1, 1, 1))
    other = stores.claimed(AttemptKey(2, 0, 1))
    stores.claimed(KEY)
    client = Interfering(aws.dynamodb)
    aws.stores(client).jobs.prolong("r1", 1, NOW + RETENTION / 2)
    assert client.calls == {"query": 1}
    assert expiry_of(aws.attempt_item(KEY)) == epoch_s(2 * RETENTION)
    before = aws.attempt_item(KEY)
    sent_twice(lambda: stores.jobs.prolong("r1", 1, NOW + RETENTION))
    assert aws.attempt_item(KEY) == {**before, "expires_at": {"N": str(epoch_s(3 * RETENTION))}}
    assert expiry_of(aws.attempt_item(waiting.key)) is None
    assert expiry_of(aws.attempt_item(other.key)) == epoch_s(2 * RETENTION)


def test_a_row_that_expires_while_it_is_prolonged_does_not_come_back_empty(aws: Aws) -> None:
    aws.stores().claimed(KEY)
    key = items.attempt_key("r1", KEY)

    def expire() -> None:
        aws.rows.delete_item(TableName=aws.jobs_table, Key=key)

    aws.stores(Overtaken(aws.dynamodb, others=[expire])).jobs.prolong("r1", 1, NOW + RETENTION)
    assert aws.items(aws.jobs_table) == []


def test_a_row_that_is_kept_for_long_enough_by_another_meanwhile_is_not_written(aws: Aws) -> None:
    aws.stores().claimed(KEY)
    soon = {"N": str(epoch_s(2.5 * RETENTION))}

    def prolong() -> None:
        aws.rows.update_item(
            TableName=aws.jobs_table,
            Key=items.attempt_key("r1", KEY),
            UpdateExpression="SET expires_at = :soon",
            ExpressionAttributeValues={":soon": soon},
        )

    aws.stores(Overtaken(aws.dynamodb, others=[prolong])).jobs.prolong("r1", 1, NOW + RETENTION)
    assert aws.attempt_item(KEY)["expires_at"] == soon


def test_a_line_that_is_logged_again_stays_as_it_was(aws: Aws) -> None:
    jobs = aws.stores().jobs
    for later in (0, 1):
        jobs.add_logs("r1", KEY, [LogLine(NOW, "line")], NOW + later * LEASE)
    [item] = aws.items(aws.jobs_table)
    assert int(item["expires_at"]["N"]) == (NOW + 2 * RETENTION).timestamp()


def test_a_key_expires_with_the_retention_period(aws: Aws) -> None:
    aws.stores().requests.create(a_request(), IdempotencyKey("order 7", "digest"))
    rows = aws.rows.scan(TableName=aws.requests_table)["Items"]
    (row,) = [row for row in rows if row["part"]["S"] == "key"]
    assert row["request_id"]["S"].startswith("key#")
    assert "order 7" not in str(row)
    assert expiry_of(row) == epoch_s(RETENTION)


def test_a_key_whose_request_is_deleted_early_is_a_transient_error(aws: Aws) -> None:
    stores = aws.stores()
    key = IdempotencyKey("order 7", "digest")
    stores.requests.create(a_request(), key)
    row_key = {"request_id": {"S": "r1"}, "part": {"S": "request"}}
    aws.rows.delete_item(TableName=aws.requests_table, Key=row_key)
    with pytest.raises(Unavailable):
        stores.requests.create(replace(a_request(), request_id="r2"), key)
