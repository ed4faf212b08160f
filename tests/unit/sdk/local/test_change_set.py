"""What a deployment changes: in words, and carried out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from shiftwork.local import LocalStackError
from shiftwork.local.change_set import ChangeSets, words_of

STACK_ID = "arn:aws:cloudformation:eu-west-1:1:stack/billing-prod/1"


def change(
    name: str, kind: str = "AWS::Lambda::Function", action: str = "Modify", **more: Any
) -> dict[str, Any]:
    return {"LogicalResourceId": name, "ResourceType": kind, "Action": action, **more}


def detail(name: str = "", evaluation: str = "Static", source: str = "DirectModification") -> Any:
    target = {"Attribute": "Properties", "Name": name} if name else {"Attribute": "Tags"}
    return {"Target": target, "Evaluation": evaluation, "ChangeSource": source}


def test_resources_that_change_alike_share_a_line_that_says_how() -> None:
    code = [detail("Code"), detail("Layers")]
    changes = [change("B", Details=code), change("A", Details=code), change("C", action="Add")]
    assert [*words_of(changes)] == ["  adds        C", "  changes     A, B (code, layers)"]


def test_what_begins_anew_without_its_data_comes_first_and_loudly() -> None:
    changes = [
        change("New", action="Add"),
        change("Jobs", "AWS::DynamoDB::Table", Replacement="True", Details=[detail("KeySchema")]),
        change("Blobs", "AWS::S3::Bucket", "Remove"),
    ]
    first, second = words_of(changes)
    assert first.startswith("  REPLACES    Blobs, Jobs: new and empty")
    assert second == "  adds        New"


def test_data_that_is_retained_is_not_lost() -> None:
    kept = change("Blobs", "AWS::S3::Bucket", "Remove", PolicyAction="Retain")
    assert [*words_of([kept])] == ["  removes     Blobs"]


def test_what_may_change_because_it_refers_to_another_is_only_counted() -> None:
    follows = [detail("Role", "Dynamic", "ResourceAttribute")]
    changes = [change("A", Details=[detail("Code")]), change("B", Details=follows)]
    assert [*words_of(changes)] == [
        "  changes     A (code)",
        "  may follow  1 resources that refer to these",
    ]


def test_many_that_change_alike_are_counted_by_kind() -> None:
    tables = [change(f"T{n}", "AWS::DynamoDB::Table", "Add") for n in range(12)]
    changes = [*tables, change("F", action="Add")]
    assert [*words_of(changes)] == ["  adds        13 resources: 12 Table, 1 Function"]


@pytest.fixture
def stub() -> Iterator[tuple[Stubber, ChangeSets]]:
    client = boto3.client(
        "cloudformation", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        yield stub, ChangeSets(client, "billing-prod", lambda seconds: None)


def is_now(stub: Stubber, status: str) -> None:
    stack = {
        "StackName": "billing-prod",
        "StackId": STACK_ID,
        "CreationTime": "2026-01-01T00:00:00Z",
        "StackStatus": status,
    }
    stub.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "billing-prod"})


def test_a_stack_that_does_not_exist_has_no_change_sets(stub: tuple[Stubber, ChangeSets]) -> None:
    answers, changes = stub
    answers.add_client_error("list_change_sets", "ValidationError", "does not exist", 400)
    assert changes.ids() == set()


def test_only_change_sets_that_can_be_carried_out_count(stub: tuple[Stubber, ChangeSets]) -> None:
    answers, changes = stub
    summaries = [
        {"ChangeSetId": "a", "ExecutionStatus": "AVAILABLE"},
        {"ChangeSetId": "b", "ExecutionStatus": "EXECUTE_COMPLETE"},
    ]
    answers.add_response("list_change_sets", {"Summaries": summaries})
    assert changes.ids() == {"a"}


def test_carrying_out_returns_once_the_stack_is_as_it_says(
    stub: tuple[Stubber, ChangeSets],
) -> None:
    answers, changes = stub
    answers.add_response("execute_change_set", {}, {"ChangeSetName": "a"})
    for status in ("REVIEW_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"):
        is_now(answers, status)
    lines: list[str] = []
    changes.carry_out("a", lines.append)
    assert lines == ["billing-prod: create in progress", "billing-prod: create complete"]
    answers.assert_no_pending_responses()


def test_what_failed_first_is_told_and_what_was_cancelled_for_it_is_not(
    stub: tuple[Stubber, ChangeSets],
) -> None:
    answers, changes = stub
    answers.add_response("execute_change_set", {}, {"ChangeSetName": "a"})
    is_now(answers, "UPDATE_ROLLBACK_COMPLETE")
    event = {"StackId": STACK_ID, "StackName": "billing-prod", "Timestamp": "2026-01-01T00:00:00Z"}
    failed = {**event, "ResourceStatus": "CREATE_FAILED"}
    answers.add_response(
        "describe_stack_events",
        {
            "StackEvents": [
                failed
                | {
                    "EventId": "2",
                    "LogicalResourceId": "B",
                    "ResourceStatusReason": "Resource creation cancelled",
                },
                failed
                | {
                    "EventId": "1",
                    "LogicalResourceId": "A",
                    "ResourceStatusReason": "no permission",
                },
            ]
        },
    )
    with pytest.raises(LocalStackError, match=r"(?s)went back.*A: no permission$"):
        changes.carry_out("a", lambda line: None)
