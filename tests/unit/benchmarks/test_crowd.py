"""The client of a million rows refuses writes and pages lists as DynamoDB does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from benchmarks.crowd import Crowd, CrowdedClient, Table
from benchmarks.ticks import Counting
from benchmarks.units import Item
from shiftwork_core.adapters.dynamodb.expressions import to_wire
from shiftwork_core.adapters.dynamodb.namespaces import WORKSPACES, to_stored
from shiftwork_core.adapters.dynamodb.workspaces import DynamoWorkspaceStore
from shiftwork_core.domain.times import to_iso
from shiftwork_core.ports.shards import SHARDS, shard_of
from tests.contract.store.lifecycle_rows import a_workspace
from tests.contract.store.rows import NOW, SECOND

MANY = 1000


def due_at(number: int) -> str:
    return to_iso(NOW + number * SECOND)


def row(number: int) -> Item:
    name = f"w{number}"
    texts = {"workspace_id": name, "due_lane": shard_of(name), "due_at": due_at(number)}
    return to_stored(WORKSPACES, to_wire({**texts, "state": "stopped"}))


@pytest.fixture
def client() -> Counting:
    crowd = Crowd(MANY, lambda number: shard_of(f"w{number}"), due_at, row)
    return Counting(CrowdedClient({"table": Table("WorkspacesTable", crowd)}))


@pytest.fixture
def store(client: Any) -> DynamoWorkspaceStore:
    return DynamoWorkspaceStore(client, "table")


def test_only_due_rows_of_a_crowd_are_read(client: Counting, store: DynamoWorkspaceStore) -> None:
    assert store.due(NOW - SECOND, MANY) == []
    assert (client.calls, client.rows_read) == ({"query": len(SHARDS)}, 0)
    assert store.due(NOW + 4 * SECOND, MANY) == [f"w{number}" for number in range(5)]
    assert client.rows_read == 5


def test_a_crowd_is_listed_page_by_page(client: Counting, store: DynamoWorkspaceStore) -> None:
    assert len(store.due(NOW + MANY * SECOND, MANY)) == MANY
    assert client.rows_read == MANY
    client.calls.clear()
    assert store.due(NOW + MANY * SECOND, 3) == ["w0", "w1", "w2"]
    assert client.rows_read < MANY + 3 * 2 * len(SHARDS)


def test_an_index_of_keys_shows_nothing_else(client: Counting) -> None:
    page = client.query(
        TableName="table",
        IndexName="by_due",
        KeyConditionExpression="#due_lane = :shard AND #due_at <= :before",
        ExpressionAttributeValues={
            ":shard": {"S": f"default#{shard_of('w0')}"},
            ":before": {"S": due_at(0)},
        },
        Limit=9,
    )
    assert [set(item) for item in page["Items"]] == [{"pk", "due_lane", "due_at"}]


def test_rows_are_listed_among_the_crowd_in_order_of_time(store: DynamoWorkspaceStore) -> None:
    between = a_workspace("new", due_at=NOW + timedelta(milliseconds=1500))
    assert store.save(between).won
    assert store.due(NOW + 2 * SECOND, MANY) == ["w0", "w1", "new", "w2"]


def test_a_revision_is_written_once(store: DynamoWorkspaceStore) -> None:
    first = store.save(a_workspace()).row
    assert first is not None
    winner = store.save(replace(first, failures=1))
    loser = store.save(replace(first, failures=2))
    assert (winner.won, loser.won) == (True, False)
    assert store.get("w1") == loser.row == winner.row


@pytest.mark.parametrize(
    "more", [{"FilterExpression": "#a = :a"}, {"IndexName": "by_id"}, {"IndexName": None}]
)
def test_an_unknown_call_is_not_answered(client: Counting, more: Any) -> None:
    known = {
        "TableName": "table",
        "IndexName": "by_due",
        "KeyConditionExpression": "#due_lane = :shard AND #due_at <= :before",
        "ExpressionAttributeValues": {":shard": {"S": "default#0"}, ":before": {"S": due_at(0)}},
        "Limit": 9,
    }
    with pytest.raises(NotImplementedError):
        client.query(**(known | more))
