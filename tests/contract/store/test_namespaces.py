"""Every partition key on the wire begins with a namespace, and stores never see that."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from shiftwork_core.adapters.dynamodb import namespaces
from shiftwork_core.adapters.dynamodb.namespaces import (
    PARTITION,
    SCHEMA,
    NamespacedClient,
    TableKeys,
)
from shiftwork_core.domain.names import KEY_SEPARATOR, name_fault
from shiftwork_core.domain.requests.records import AttemptKey
from tests.contract.store.conftest import Aws
from tests.contract.store.tables import declared
from tests.template import load_template

TABLES = {
    "RequestsTable": namespaces.REQUESTS,
    "PayloadsTable": namespaces.PAYLOADS,
    "BatchesTable": namespaces.BATCHES,
    "JobsTable": namespaces.JOBS,
    "LimitsTable": namespaces.LIMITS,
    "DefinitionsTable": namespaces.DEFINITIONS,
    "WorkersTable": namespaces.WORKERS,
    "TokensTable": namespaces.TOKENS,
    "WorkspacesTable": namespaces.WORKSPACES,
    "WorkspaceLifecycleJobsTable": namespaces.LIFECYCLE_JOBS,
    "WorkspaceLifecycleJobLogsTable": namespaces.LIFECYCLE_LOGS,
    "CountersTable": namespaces.COUNTERS,
}


def partition_of(schema: list[dict[str, str]]) -> str:
    [found] = [part["AttributeName"] for part in schema if part["KeyType"] == "HASH"]
    return found


@pytest.mark.parametrize(("table", "keys"), TABLES.items())
def test_each_partition_key_of_the_template_has_a_namespace(table: str, keys: TableKeys) -> None:
    properties = declared(table)
    indexes = properties.get("GlobalSecondaryIndexes", [])
    assert partition_of(properties["KeySchema"]) == PARTITION
    assert {partition_of(index["KeySchema"]) for index in indexes} == keys.of_indexes


def test_each_table_has_the_schemas_number_and_the_stack_shows_it() -> None:
    tags = [declared(table)["Tags"] for table in TABLES]
    assert tags == [[{"Key": "shiftwork:schema", "Value": SCHEMA}]] * len(TABLES)
    assert load_template()["Outputs"]["Schema"]["Value"] == SCHEMA


@pytest.mark.parametrize("place", range(3))
def test_no_name_has_the_separator(place: int) -> None:
    """So where the namespace ends is told by the key alone."""
    name = "ab"[:place] + KEY_SEPARATOR + "ab"[place:]
    assert name_fault(name) is not None
    assert name_fault(namespaces.DEFAULT) is None


def test_two_namespaces_in_one_table_do_not_see_each_other(aws: Aws) -> None:
    one, other = (NamespacedClient(aws.dynamodb, aws.keys, name) for name in ("one", "other"))
    row: dict[str, Any] = {
        "request_id": {"S": "r"},
        "part": {"S": "request"},
        "lane": {"S": "new#0"},
        "due_at": {"S": "2026"},
    }
    one.put_item(TableName=aws.requests_table, Item=row)
    [stored] = aws.stored(aws.requests_table)
    assert (stored["pk"], stored["lane"]) == ({"S": "one#r"}, {"S": "one#new#0"})
    due: dict[str, Any] = {
        "TableName": aws.requests_table,
        "IndexName": "by_due",
        "KeyConditionExpression": "#lane = :lane",
        "ExpressionAttributeNames": {"#lane": "lane"},
        "ExpressionAttributeValues": {":lane": {"S": "new#0"}},
    }
    assert [found["request_id"] for found in one.query(**due)["Items"]] == [{"S": "r"}]
    assert other.query(**due)["Items"] == []
    key = {name: row[name] for name in ("request_id", "part")}
    assert one.get_item(TableName=aws.requests_table, Key=key)["Item"] == row
    assert "Item" not in other.get_item(TableName=aws.requests_table, Key=key)


def test_a_loser_sees_the_row_as_stores_know_it(aws: Aws) -> None:
    row = {"request_id": {"S": "r"}, "part": {"S": "request"}}
    write: dict[str, Any] = {
        "TableName": aws.requests_table,
        "Item": row,
        "ConditionExpression": "attribute_not_exists(#request_id)",
        "ExpressionAttributeNames": {"#request_id": "request_id"},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    aws.rows.put_item(**write)
    with pytest.raises(ClientError) as alone:
        aws.rows.put_item(**write)
    answer: Any = alone.value.response
    assert answer["Item"] == row
    with pytest.raises(ClientError) as together:
        aws.rows.transact_write_items(TransactItems=[{"Put": write}], ClientRequestToken="t")
    [reason] = together.value.response["CancellationReasons"]
    assert reason["Item"] == row


def test_a_scan_goes_on_behind_what_a_page_ended_with(aws: Aws) -> None:
    stores = aws.stores()
    for job in range(3):
        stores.attempt(AttemptKey(1, job, 1))
    first = aws.rows.scan(TableName=aws.jobs_table, Limit=2)
    rest = aws.rows.scan(TableName=aws.jobs_table, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert [len(page["Items"]) for page in (first, rest)] == [2, 1]


@pytest.mark.parametrize(
    "condition",
    ["#queue = :q", "#queue <> :q", "#queue < :q", "begins_with(#queue, :q)", "#queue >= :q"],
)
def test_what_an_expression_compares_with_a_partition_key_has_a_namespace(condition: str) -> None:
    sent: list[dict[str, Any]] = []

    class Client:
        def update_item(self, **given: Any) -> dict[str, Any]:
            sent.append(given)
            return {}

    client = NamespacedClient(Client(), {"t": namespaces.JOBS})  # type: ignore[arg-type]
    client.update_item(
        TableName="t",
        Key={"lot": {"S": "r#0001#0000"}, "key": {"S": "k"}},
        ConditionExpression=condition,
        UpdateExpression="SET #queue = :to_queue, #key = :other REMOVE #wake_lane",
        ExpressionAttributeNames={n: n[1:] for n in ("#queue", "#key", "#wake_lane")},
        ExpressionAttributeValues={n: {"S": n[1:]} for n in (":q", ":to_queue", ":other")},
    )
    assert sent[0]["ExpressionAttributeValues"] == {
        ":q": {"S": "default#q"},
        ":to_queue": {"S": "default#to_queue"},
        ":other": {"S": "other"},
    }
    assert sent[0]["Key"] == {"pk": {"S": "default#r#0001#0000"}, "key": {"S": "k"}}
