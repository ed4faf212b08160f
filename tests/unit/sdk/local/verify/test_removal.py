"""A throw-away stack is removed with all that it keeps; what is left is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from shiftwork.local import LocalStackError
from shiftwork.local.verify.removal import PREFIX, Commands, Left, Removal, Uploads
from tests.template import load_template

NAME = f"{PREFIX}1a2b3c4d"
COMMANDS = Commands(f"shiftwork verify dev --remove {NAME}", "--region eu-west-1")
SCHEMA: dict[str, Any] = {
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}

Clients = Callable[[str], Any]


class CloudFormation:
    """One stack: under way for its first statuses, then as the last one says; it keeps its data."""

    def __init__(self, resources: dict[str, str], *statuses: str) -> None:
        self.resources = resources
        self.statuses = [*statuses]

    def describe_stacks(self, StackName: str) -> Any:
        if StackName != NAME or not self.statuses:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no"}}, "Describe")
        status = self.statuses[0]
        if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            del self.statuses[0]
        return {"Stacks": [{"StackName": NAME, "StackStatus": status}]}

    def get_paginator(self, operation: str) -> CloudFormation:
        assert operation == "list_stack_resources"
        return self

    def paginate(self, StackName: str) -> Iterator[Any]:
        assert StackName == NAME
        assert not self.statuses[0].startswith("CREATE_IN"), "what comes later would be left"
        for physical, kind in self.resources.items():
            yield {
                "StackResourceSummaries": [{"ResourceType": kind, "PhysicalResourceId": physical}]
            }
        yield {"StackResourceSummaries": [{"ResourceType": "AWS::S3::Bucket"}]}

    def delete_stack(self, StackName: str) -> None:
        assert StackName == NAME
        self.statuses = ["DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS"]


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """An account with a throw-away stack, data in it, and others' things."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    resources = {f"{NAME}-jobs": "AWS::DynamoDB::Table", f"{NAME}-blobs": "AWS::S3::Bucket"}
    stack = CloudFormation(resources, "CREATE_IN_PROGRESS", "CREATE_COMPLETE")
    with mock_aws():

        def client(service: str) -> Any:
            if service == "cloudformation":
                return stack
            return boto3.client(service, "us-east-1")  # type: ignore[call-overload]

        client("dynamodb").create_table(TableName=f"{NAME}-jobs", **SCHEMA)
        s3 = client("s3")
        for bucket in ("uploads", f"{NAME}-blobs"):
            s3.create_bucket(Bucket=bucket)
            versioning = {"Status": "Enabled"}
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
        for key in (f"{NAME}/code", "shiftwork-dev/code"):
            s3.put_object(Bucket="uploads", Key=key, Body=b"x")
        for body in (b"1", b"2"):
            s3.put_object(Bucket=f"{NAME}-blobs", Key="requests/1", Body=body)
        for group in (f"/aws/lambda/{NAME}-api", "/aws/lambda/shiftwork-dev-api"):
            client("logs").create_log_group(logGroupName=group)
        yield client


def removed(clients: Clients, name: str = NAME) -> list[Left]:
    said: list[str] = []
    removal = Removal(clients, name, COMMANDS, said.append, lambda seconds: None)
    return removal.run(Uploads("uploads", name))


def everything(clients: Clients) -> dict[str, list[str]]:
    s3 = clients("s3")
    uploads = s3.list_objects_v2(Bucket="uploads").get("Contents", [])
    groups = clients("logs").describe_log_groups()["logGroups"]
    stack: Any = clients("cloudformation")
    return {
        "tables": clients("dynamodb").list_tables()["TableNames"],
        "buckets": [b["Name"] for b in s3.list_buckets()["Buckets"]],
        "uploads": [one["Key"] for one in uploads],
        "logs": [group["logGroupName"] for group in groups],
        "stacks": [*stack.statuses[-1:]],
    }


#: What is there once the stack is removed: what others have.
OTHERS = {
    "tables": [],
    "buckets": ["uploads"],
    "uploads": ["shiftwork-dev/code"],
    "logs": ["/aws/lambda/shiftwork-dev-api"],
    "stacks": [],
}


class Refusing:
    """A client some of whose operations are refused, the first times or always."""

    def __init__(self, client: Any, code: str, times: dict[str, float]) -> None:
        self._client = client
        self._code = code
        self._times = times

    def __getattr__(self, name: str) -> Any:
        if self._times.get(name, 0) <= 0:
            return getattr(self._client, name)

        def refuse(**arguments: Any) -> Any:
            self._times[name] -= 1
            raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, name)

        return refuse


def refusing(clients: Clients, code: str, **times: float) -> Clients:
    return lambda service: Refusing(clients(service), code, times)


def test_stack_tables_bucket_logs_and_uploads_go_and_nothing_else(clients: Clients) -> None:
    before = everything(clients)
    assert all(len(before[kind]) > len(OTHERS[kind]) for kind in OTHERS)
    assert removed(clients) == []
    assert everything(clients) == OTHERS


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS", "DELETE_FAILED"])
def test_a_stack_that_was_never_whole_is_removed_too(clients: Clients, status: str) -> None:
    clients("cloudformation").statuses = [status]
    assert removed(clients) == []
    assert everything(clients) == OTHERS


def test_a_stack_that_cannot_be_deleted_is_left_with_its_status(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack: Any = clients("cloudformation")

    def delete(StackName: str) -> None:
        stack.statuses = ["DELETE_FAILED"]

    monkeypatch.setattr(stack, "delete_stack", delete)
    [left] = removed(clients)
    assert (left.what, left.why) == (f"the stack {NAME}", "it is DELETE_FAILED")


def test_a_removal_can_be_repeated(clients: Clients) -> None:
    removed(clients)
    assert removed(clients) == []


@pytest.mark.parametrize(
    ("operation", "what", "command"),
    [
        ("delete_table", "the table", "aws dynamodb delete-table"),
        ("delete_bucket", "the bucket", "aws s3 rb --force"),
        ("delete_stack", "the stack", "aws cloudformation delete-stack"),
        ("delete_log_group", "the log group", "aws logs delete-log-group"),
    ],
)
def test_what_cannot_be_removed_is_named_and_the_rest_goes(
    clients: Clients, operation: str, what: str, command: str
) -> None:
    [left] = removed(refusing(clients, "AccessDenied", **{operation: 99}))
    assert left.what.startswith(what)
    assert left.command.startswith(command)
    assert left.command.endswith(" --region eu-west-1")
    kept = everything(clients)
    [[kind, names]] = [(kind, kept[kind]) for kind in OTHERS if kept[kind] != OTHERS[kind]]
    assert kind == "stacks" or any(name in left.what for name in names)


@pytest.mark.parametrize(
    ("operation", "code"),
    [("delete_table", "ResourceInUseException"), ("delete_bucket", "BucketNotEmpty")],
)
def test_what_is_busy_for_a_moment_is_removed_later(
    clients: Clients, operation: str, code: str
) -> None:
    assert removed(refusing(clients, code, **{operation: 2})) == []
    assert everything(clients) == OTHERS


def test_recovery_is_switched_off_or_a_table_would_leave_a_backup(clients: Clients) -> None:
    asked: list[str] = []

    class Watching(Refusing):
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return super().__getattr__(name)

    removed(lambda service: Watching(clients(service), "", {}))
    assert asked.index("update_continuous_backups") < asked.index("delete_table")


@pytest.mark.parametrize(
    "name",
    [
        *("shiftwork-dev", "shiftwork-prod", "shiftwork-verify"),
        *(PREFIX, f"{PREFIX}prod", NAME[:-1], f"{NAME}0"),
    ],
)
def test_no_other_stack_is_ever_removed(clients: Clients, name: str) -> None:
    before = everything(clients)
    with pytest.raises(LocalStackError, match="is no throw-away stack"):
        removed(clients, name)
    assert everything(clients) == before


def test_a_removal_knows_every_kind_of_resource_that_the_template_keeps() -> None:
    resources = load_template()["Resources"].values()
    kept = {one["Type"] for one in resources if one.get("DeletionPolicy") == "Retain"}
    assert kept == {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}


def test_a_removal_knows_where_every_log_group_of_the_template_begins() -> None:
    groups = [
        one["Properties"]["LogGroupName"]
        for one in load_template()["Resources"].values()
        if one["Type"] == "AWS::Logs::LogGroup"
    ]
    begins = ("/aws/lambda/", "/aws/vendedlogs/states/", "/aws/apigateway/")
    texts = [json.dumps(group) for group in groups]
    assert texts
    for text in texts:
        assert any(f'"{begin}${{AWS::StackName}}' in text for begin in begins), text
