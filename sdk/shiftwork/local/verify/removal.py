"""Remove a throw-away stack with all that it keeps, and say what is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from shiftwork.local.errors import LocalStackError
from shiftwork.local.reporting import Report
from shiftwork.local.verify.counts import Clients

#: How the names of throw-away stacks begin. No other stack is ever removed.
PREFIX = "shiftwork-verify-"
_POLL_S = 5.0
_MAX_POLLS = 360
_TRIES = 5
#: What S3 deletes in one call.
_MAX_KEYS = 1000
#: Where the SAM CLI keeps what it uploads, unless it is told another bucket.
_SAM_STACK = "aws-sam-cli-managed-default"
_GONE = {
    "404",
    "NoSuchBucket",
    "ResourceNotFoundException",
    "ValidationError",  # CloudFormation's, of a stack that does not exist.
}


@dataclass(frozen=True, slots=True)
class Left:
    """Something that could not be removed.

    Attributes
    ----------
    command
        What removes it by hand.
    """

    what: str
    why: str
    command: str


@dataclass(frozen=True, slots=True)
class Uploads:
    """What was uploaded for a stack: all below `prefix` in a bucket; None: SAM's own bucket."""

    bucket: str | None
    prefix: str


@dataclass(frozen=True, slots=True)
class Commands:
    """What a person types to remove what is left.

    Attributes
    ----------
    again
        The command that removes the stack once more.
    options
        What the AWS CLI must be told to find the account and region.
    """

    again: str
    options: str

    def aws(self, command: str) -> str:
        """Return a command of the AWS CLI."""
        return f"aws {command} {self.options}".strip()


@dataclass
class Removal:
    """Removes one stack. What fails is noted, and the rest goes on.

    What the template keeps goes first: as long as the stack is there, it says what that is. So a
    removal that was interrupted can be begun again.
    """

    clients: Clients
    stack_name: str
    commands: Commands
    report: Report
    sleep: Callable[[float], None]
    left: list[Left] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse to remove what is no throw-away stack.

        Raises
        ------
        LocalStackError
            If its name is not as `verify` makes them. Part of one would fit the logs of others.
        """
        if not re.fullmatch(rf"{PREFIX}[0-9a-f]{{8}}", self.stack_name):
            raise LocalStackError(
                f"{self.stack_name} is no throw-away stack: those are named {PREFIX} and eight"
                " digits or letters from a to f.",
                "to remove another stack, read docs/how-to/deploy.md",
            )

    def run(self, uploads: Uploads | None) -> list[Left]:
        """Remove everything; return what is left."""
        self._remove_stack()
        self._remove_logs()
        if uploads is not None:
            self._remove_uploads(uploads)
        return self.left

    def _remove_stack(self) -> None:
        name = self.stack_name
        delete = self.commands.aws(f"cloudformation delete-stack --stack-name {name}")
        with self._noting(f"the stack {name}", delete):
            if self._settled() is None:
                return
            for kind, physical in self._kept():
                if kind == "AWS::DynamoDB::Table":
                    self._remove_table(physical)
                else:
                    self._remove_bucket(physical)
            self.report(f"deleting the stack {name}")
            self._client("cloudformation").delete_stack(StackName=name)
            if (status := self._settled()) is not None:
                self.left.append(Left(f"the stack {name}", f"it is {status}", delete))

    def _kept(self) -> list[tuple[str, str]]:
        """Return type and id of what the template keeps: tables and the bucket."""
        client = self._client("cloudformation")
        pages = client.get_paginator("list_stack_resources").paginate(StackName=self.stack_name)
        return [
            (one["ResourceType"], one["PhysicalResourceId"])
            for page in pages
            for one in page["StackResourceSummaries"]
            if one["ResourceType"] in ("AWS::DynamoDB::Table", "AWS::S3::Bucket")
            and one.get("PhysicalResourceId")
        ]

    def _settled(self) -> str | None:
        """Wait until nothing is under way; return the stack's status, None if it does not exist."""
        client, status = self._client("cloudformation"), ""
        for _ in range(_MAX_POLLS):
            try:
                [stack] = client.describe_stacks(StackName=self.stack_name)["Stacks"]
            except Exception as error:
                if _code(error) in _GONE:
                    return None
                raise
            status = stack["StackStatus"]
            # Of a change set that was never executed.
            if not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
                return status if status != "DELETE_COMPLETE" else None
            self.sleep(_POLL_S)
        return status

    def _remove_table(self, name: str) -> None:
        delete = self.commands.aws(f"dynamodb delete-table --table-name {name}")
        with self._noting(f"the table {name}", delete):
            client = self._client("dynamodb")
            # A table with recovery leaves a backup behind for 35 days.
            with suppress(*_aws_errors()):
                client.update_continuous_backups(
                    TableName=name,
                    PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
                )
            self._repeat(lambda: client.delete_table(TableName=name), "ResourceInUseException")

    def _remove_bucket(self, name: str) -> None:
        delete = self.commands.aws(f"s3 rb --force s3://{name}")
        with self._noting(f"the bucket {name}", delete):

            def remove() -> None:
                self._empty(name, "")
                self._client("s3").delete_bucket(Bucket=name)

            # A function may still write while the bucket is emptied.
            self._repeat(remove, "BucketNotEmpty")

    def _empty(self, bucket: str, prefix: str) -> None:
        """Delete all versions of the objects below a prefix."""
        client = self._client("s3")
        pages = client.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": _MAX_KEYS}
        )
        for page in pages:
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            keys = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            if keys:
                client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})

    def _remove_logs(self) -> None:
        """Delete log groups: a function that still runs makes its own again after the stack."""
        for begin in ("/aws/lambda/", "/aws/vendedlogs/states/", "/aws/apigateway/"):
            begins = f"{begin}{self.stack_name}"
            with self._noting(f"log groups {begins}*", self.commands.again):
                for name in self._log_groups(begins):
                    self._remove_log_group(name)

    def _log_groups(self, begins: str) -> list[str]:
        pages = self._client("logs").get_paginator("describe_log_groups")
        found = pages.paginate(logGroupNamePrefix=begins)
        return [group["logGroupName"] for page in found for group in page["logGroups"]]

    def _remove_log_group(self, name: str) -> None:
        delete = self.commands.aws(f"logs delete-log-group --log-group-name {name}")
        with self._noting(f"the log group {name}", delete):
            self._client("logs").delete_log_group(logGroupName=name)

    def _remove_uploads(self, uploads: Uploads) -> None:
        with self._noting(f"uploads below {uploads.prefix}/", self.commands.again):
            bucket = uploads.bucket or self._bucket_of_sam()
            if bucket is None:
                return
            command = self.commands.aws(f"s3 rm --recursive s3://{bucket}/{uploads.prefix}/")
            with self._noting(f"uploads in s3://{bucket}/{uploads.prefix}/", command):
                self._empty(bucket, f"{uploads.prefix}/")

    def _bucket_of_sam(self) -> str | None:
        try:
            answer = self._client("cloudformation").describe_stacks(StackName=_SAM_STACK)
        except Exception as error:
            if _code(error) in _GONE:
                return None
            raise
        outputs = answer["Stacks"][0].get("Outputs", [])
        return next((o["OutputValue"] for o in outputs if o["OutputKey"] == "SourceBucket"), None)

    def _client(self, service: str) -> Any:
        return self.clients(service)

    def _repeat(self, call: Callable[[], object], passing: str) -> None:
        """Call again a few times while it is refused for a reason that passes."""
        for number in range(1, _TRIES + 1):
            try:
                call()
                return
            except Exception as error:
                if _code(error) != passing or number == _TRIES:
                    raise
            self.sleep(_POLL_S)

    @contextmanager
    def _noting(self, what: str, command: str) -> Iterator[None]:
        """Note what fails in the block, and go on; what is gone already is no failure."""
        try:
            yield
        except _aws_errors() as error:
            if _code(error) not in _GONE:
                self.left.append(Left(what, str(error), command))


def _aws_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def _code(error: Exception) -> str:
    """Return AWS's code of an error; empty if it is none of AWS's answers."""
    answer: dict[str, Any] = getattr(error, "response", {})
    return str(answer.get("Error", {}).get("Code", ""))
