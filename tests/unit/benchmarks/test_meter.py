"""The units that the recording proxy counts for each AWS call."""

from typing import Any

import pytest

from benchmarks.meter import Call, priced

JOBS = "jobs"


def price(
    operation: str, request: dict[str, Any], answer: dict[str, Any], status: int = 200
) -> Call:
    def read_again(wider: dict[str, Any]) -> dict[str, Any]:
        reread.append(wider)
        return {"Items": [{"n": {"S": "x" * 5000}}], "Item": {"n": {"S": "x" * 5000}}}

    reread: list[dict[str, Any]] = []
    call = Call("RunJobsFunction", "dynamodb", operation, status=status)
    return priced(call, {"TableName": JOBS, **request}, answer, read_again)


def test_a_write_costs_what_was_consumed_indexes_apart() -> None:
    consumed = {
        "TableName": JOBS,
        "CapacityUnits": 3.0,
        "GlobalSecondaryIndexes": {"by_due": {"CapacityUnits": 2.0}},
    }

    call = price("UpdateItem", {}, {"ConsumedCapacity": consumed})

    assert (call.table, call.write_units, call.index_units) == (JOBS, 1, 2)


def test_a_transaction_costs_the_sum_of_its_tables() -> None:
    actions = [{"Put": {"TableName": JOBS}}, {"ConditionCheck": {"TableName": "requests"}}]
    consumed = [{"CapacityUnits": 2.0}, {"CapacityUnits": 4.0}]

    call = price(
        "TransactWriteItems",
        {"TableName": "", "TransactItems": actions},
        {"ConsumedCapacity": consumed},
    )

    assert (call.table, call.write_units) == ("jobs,requests", 6)


def test_a_failed_condition_costs_its_write() -> None:
    answer = {
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "Item": {"n": {"S": "x" * 1500}},
    }

    assert price("UpdateItem", {}, answer, status=400).write_units == 2


def test_a_cancelled_transaction_costs_all_of_its_writes_twice() -> None:
    answer = {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "CancellationReasons": [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}],
    }
    actions = [
        {"Put": {"TableName": JOBS, "Item": {"n": {"S": "x" * 1500}}}},
        {"Update": {"TableName": JOBS}},
    ]

    call = price("TransactWriteItems", {"TransactItems": actions}, answer, status=400)

    assert call.write_units == 4 + 2


def test_a_call_that_is_refused_costs_nothing() -> None:
    answer = {"__type": "com.amazon.coral.validate#ValidationException"}

    assert price("PutItem", {}, answer, status=400).write_units == 0


def test_a_consistent_read_costs_twice_an_eventual_one() -> None:
    answer = {"Item": {"n": {"S": "x"}}}

    assert price("GetItem", {"ConsistentRead": True}, answer).read_units == 1
    assert price("GetItem", {}, answer).read_units == 0.5


def test_a_filter_does_not_make_a_query_cheaper() -> None:
    request = {
        "KeyConditionExpression": "#a = :a",
        "FilterExpression": "#b = :b",
        "ExpressionAttributeNames": {"#a": "name", "#b": "status"},
        "ExpressionAttributeValues": {":a": {"S": "x"}, ":b": {"S": "new"}},
        "ConsistentRead": True,
    }

    assert price("Query", request, {"Items": []}).read_units == 2


def test_each_item_of_a_batch_is_priced_by_itself() -> None:
    items = [{"n": {"S": "x"}}, {"n": {"S": "x" * 5000}}]
    request = {"TableName": "", "RequestItems": {JOBS: {"Keys": [], "ConsistentRead": True}}}

    call = price("BatchGetItem", request, {"Responses": {JOBS: items}})

    assert (call.table, call.read_units) == (JOBS, 3)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("PutItem", {"Item": {"status": {"S": "new"}}}),
        (
            "UpdateItem",
            change := {
                "UpdateExpression": "SET #status = :to_status REMOVE #queue",
                "ExpressionAttributeValues": {":to_status": {"S": "new"}, ":status": {"S": "old"}},
            },
        ),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"ConditionCheck": {"TableName": JOBS}},
                    {"Update": {"TableName": JOBS, **change}},
                ]
            },
        ),
    ],
)
def test_the_new_status_of_a_write_is_noted(operation: str, request_: dict[str, Any]) -> None:
    call = price(operation, request_, {"ConsumedCapacity": {"CapacityUnits": 1.0}})

    assert call.new_status == "new"


def test_a_write_of_something_else_has_no_new_status() -> None:
    request = {"UpdateExpression": "ADD #arrivals :add_arrivals"}
    consumed = {"ConsumedCapacity": {"CapacityUnits": 1.0}}

    assert price("UpdateItem", request, consumed).new_status == ""


def test_an_operation_without_a_price_does_not_count_as_free() -> None:
    call = price("ExecuteStatement", {}, {})

    assert call.read_units != call.read_units  # Not a number.
