"""The stores ask DynamoDB for no more than they need, and consistently where it matters."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.times import to_iso
from shiftwork_core.ports.stores import MOST_LOOKED_AT
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Interfering
from tests.contract.store.rows import ALL_STEPS, KEY, NOW, SECOND, Stores


@pytest.fixture
def client(aws: Aws) -> Interfering:
    return Interfering(aws.dynamodb)


@pytest.fixture
def asked(aws: Aws, client: Interfering) -> Stores:
    return aws.stores(client)


def test_what_decides_is_read_strongly_consistent(asked: Stores, client: Interfering) -> None:
    asked.requests.get("r1")
    asked.requests.get_step("r1", 1)
    asked.requests.steps("r1")
    asked.jobs.get("r1", KEY)
    list(asked.jobs.of_step("r1", 1))
    asked.definitions.get(Kind.JOB_TYPE, "j")
    asked.definitions.get(Kind.JOB_TYPE, "j", 1)
    asked.workspaces.get("w1")
    asked.lifecycle_jobs.get("j1")
    asked.lifecycle_jobs.logs("j1")
    asked.jobs.logs("r1", KEY)
    asked.limits.slots("j")
    asked.limits.used("j", NOW)
    asked.workers.get("w")
    list(asked.workers.all())
    assert len(client.sent) == 15
    assert all(call["ConsistentRead"] is True for call in client.sent)
    client.sent.clear()
    asked.jobs.get_many([("r1", KEY)])
    asked.requests.tally("r1", 1)
    of_many = [call["RequestItems"] for call in client.sent]
    assert len(of_many) == 2
    for [of_table] in map(list, map(dict.values, of_many)):
        assert of_table["ConsistentRead"] is True


@pytest.mark.parametrize(("type", "limits"), [(None, {4}), ("index", {MOST_LOOKED_AT // 8 + 1})])
def test_a_page_of_requests_reads_no_more_than_it_needs(
    asked: Stores, client: Interfering, type: str | None, limits: set[Any]
) -> None:
    """With a filter it is not known how many rows make a page, but how many it looks at."""
    asked.requests.find(RequestStatus.FAILED, type, 3, None)
    assert {call.get("Limit") for call in client.sent} == limits


def test_a_later_page_of_requests_does_not_read_the_earlier_ones(
    asked: Stores, client: Interfering
) -> None:
    for number in range(3):
        asked.request(f"r{number}", created_at=NOW + number * SECOND)
    first = asked.requests.find(RequestStatus.QUEUING, None, 1, None)
    client.sent.clear()
    asked.requests.find(RequestStatus.QUEUING, None, 1, first.next_token)
    assert client.sent
    for call in client.sent:
        assert call["KeyConditionExpression"] == "#status_lane = :shard AND #created_at <= :until"
        assert call["ExpressionAttributeValues"][":until"] == {"S": to_iso(NOW + 2 * SECOND)}


@pytest.mark.parametrize(
    ("status", "limits"), [(None, {4}), (AttemptStatus.NEW, {MOST_LOOKED_AT + 1})]
)
def test_a_page_of_attempts_reads_no_more_than_it_needs(
    asked: Stores, client: Interfering, status: AttemptStatus | None, limits: set[Any]
) -> None:
    asked.jobs.find("r1", ALL_STEPS, status, 3, None)
    assert {call.get("Limit") for call in client.sent} == limits


def test_a_queue_is_counted_to_its_last_page(aws: Aws) -> None:
    """DynamoDB ends a page after 1 MB."""

    class TwoRowsAPage(Interfering):
        def __getattr__(self, name: str) -> Any:
            call = super().__getattr__(name)
            return lambda **given: call(**given, Limit=2)

    for job in range(5):
        aws.stores().attempt(AttemptKey(1, job, 1), is_polled=True)
    client = TwoRowsAPage(aws.dynamodb)
    assert aws.stores(client).jobs.queue_size("documents.list") == 5
    assert client.calls == {"query": 4}


def test_a_window_that_is_full_is_written_once_to_see_that(
    asked: Stores, client: Interfering
) -> None:
    asked.limits.reserve("j", NOW, 4, 4, NOW + SECOND)
    client.calls.clear()
    assert asked.limits.reserve("j", NOW, 3, 4, NOW + SECOND) == (0, 4)
    assert client.calls == {"update_item": 1}


def test_a_page_that_begins_after_its_step_asks_nothing(asked: Stores, client: Interfering) -> None:
    """DynamoDB refuses a range that ends before it begins; moto does not."""
    assert asked.jobs.find("r1", range(1, 2), None, 9, AttemptKey(2, 0, 1)).items == []
    assert client.sent == []
