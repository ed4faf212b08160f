"""DynamoDB in memory: units, pages, transactions. That rows are right, the stores' tests show."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from benchmarks.meter import check_accounting
from benchmarks.quotas.expressions import changes, condition
from benchmarks.quotas.limits import Partitions
from benchmarks.quotas.tables import Partition, Tables

SCHEMA: Any = {
    "KeySchema": [
        {"AttributeName": "id", "KeyType": "HASH"},
        {"AttributeName": "part", "KeyType": "RANGE"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_lane",
            "KeySchema": [{"AttributeName": "lane", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


class Clock:
    """A clock that only a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def partitions(clock: Clock) -> Partitions:
    return Partitions(clock)


@pytest.fixture
def tables(clock: Clock, partitions: Partitions) -> Tables:
    tables = Tables(partitions, clock)
    tables.create_table(TableName="t", **SCHEMA)
    return tables


def row(id: str, part: int, **more: str) -> dict[str, Any]:
    """Return a row of the table."""
    texts = {"id": id, "part": f"{part:04d}", **more}
    return {name: {"S": text} for name, text in texts.items()}


def code_of(failure: pytest.ExceptionInfo[ClientError]) -> str:
    return failure.value.response["Error"]["Code"]


def test_writes_cost_the_units_that_aws_bills() -> None:
    check_accounting(Tables())


def test_a_partition_gives_a_thousand_write_units_a_second_and_no_more(
    tables: Tables, partitions: Partitions, clock: Clock
) -> None:
    for part in range(1000):
        tables.put_item(TableName="t", Item=row("a", part))
    with pytest.raises(ClientError) as failure:
        tables.put_item(TableName="t", Item=row("a", 1000))
    assert code_of(failure) == "ProvisionedThroughputExceededException"
    tables.put_item(TableName="t", Item=row("b", 0))  # Another partition has its own.
    clock.now = 0.001
    tables.put_item(TableName="t", Item=row("a", 1000))
    [hot] = partitions.hottest(1)
    assert hot.partition == Partition("t", "", "a")
    assert hot.is_write
    assert (hot.peak, hot.throttled) == (1.002, 1)


def test_a_hot_partition_of_an_index_throttles_its_table_and_nothing_is_written(
    tables: Tables, partitions: Partitions
) -> None:
    for number in range(1000):
        tables.put_item(TableName="t", Item=row(f"{number}", 0, lane="all"))
    with pytest.raises(ClientError):
        tables.put_item(TableName="t", Item=row("last", 0, lane="all"))
    assert tables.get_item(TableName="t", Key=row("last", 0)) == {}
    assert partitions.hottest(1)[0].partition == Partition("t", "by_lane", "all")


def test_a_condition_that_fails_costs_its_write_too(tables: Tables, partitions: Partitions) -> None:
    tables.put_item(TableName="t", Item=row("a", 0, lane="x"))
    before = partitions.write_units
    with pytest.raises(ClientError) as failure:
        tables.put_item(
            TableName="t",
            Item=row("a", 0),
            ConditionExpression="attribute_not_exists(#id)",
            ExpressionAttributeNames={"#id": "id"},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert code_of(failure) == "ConditionalCheckFailedException"
    assert failure.value.response["Item"] == row("a", 0, lane="x")  # type: ignore[typeddict-item]  # DynamoDB adds it.
    assert partitions.write_units == before + 1


def test_the_token_of_a_transaction_is_good_for_ten_minutes(tables: Tables, clock: Clock) -> None:
    put = {"Put": {"TableName": "t", "Item": row("a", 0)}}
    tables.transact_write_items(TransactItems=[put], ClientRequestToken="k")
    tables.delete_item(TableName="t", Key=row("a", 0))
    clock.now = 599.0
    tables.transact_write_items(TransactItems=[put], ClientRequestToken="k")
    assert tables.get_item(TableName="t", Key=row("a", 0)) == {}
    clock.now = 600.0
    tables.transact_write_items(TransactItems=[put], ClientRequestToken="k")
    assert tables.get_item(TableName="t", Key=row("a", 0))["Item"] == row("a", 0)


def test_a_page_ends_at_its_limit_or_at_a_megabyte_and_says_where() -> None:
    tables = Tables()
    tables.create_table(TableName="t", **SCHEMA)
    for part in range(30):
        tables.put_item(TableName="t", Item=row("a", part, text="x" * 100_000))
    given: Any = {
        "TableName": "t",
        "KeyConditionExpression": "#id = :id",
        "ExpressionAttributeNames": {"#id": "id"},
        "ExpressionAttributeValues": {":id": {"S": "a"}},
    }
    first = tables.query(**given)
    assert first["Count"] == 11
    assert first["LastEvaluatedKey"] == {"id": {"S": "a"}, "part": {"S": "0010"}}
    seen = [item["part"]["S"] for item in first["Items"]]
    while "LastEvaluatedKey" in first:
        first = tables.query(**given, ExclusiveStartKey=first["LastEvaluatedKey"])
        seen += [item["part"]["S"] for item in first["Items"]]
    assert seen == [f"{part:04d}" for part in range(30)]
    assert "LastEvaluatedKey" not in tables.query(**given, ExclusiveStartKey=row("a", 28))
    assert "LastEvaluatedKey" in tables.query(**given, Limit=1, ExclusiveStartKey=row("a", 28))


@pytest.mark.parametrize("text", ["size(#a) > :b", "#a = :b XOR #c = :d", "NOT #a = :b", "#a ~ :b"])
def test_a_condition_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(NotImplementedError):
        condition(text)


@pytest.mark.parametrize("text", ["SET #a = if_not_exists(#a, :b)", "DELETE #a :b", "SET #a = #b"])
def test_an_update_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(NotImplementedError):
        changes(text)
