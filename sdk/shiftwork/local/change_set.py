"""Say in words what a deployment would change, and carry it out once that is agreed to."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shiftwork.local.errors import LocalStackError
from shiftwork.local.reporting import Report
from shiftwork.local.target import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

#: Resources are named if no more than this change in the same way.
_MOST_NAMED = 12
#: So many failures are told.
_MOST_FAILURES = 10
_POLL_S = 3.0
#: Resources whose replacement begins with empty ones.
_HOLD_DATA = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret")


@dataclass(frozen=True)
class ChangeSets:
    """The change sets of one stack."""

    client: CloudFormationClient
    stack_name: str
    sleep: Callable[[float], None] = time.sleep

    def ids(self) -> set[str]:
        """Return those that can be carried out; none if there is no such stack yet."""
        from botocore.exceptions import ClientError

        with aws_errors():
            try:
                pages = [*self._pages("list_change_sets", StackName=self.stack_name)]
            except ClientError as error:
                # That is how CloudFormation says that a stack does not exist.
                if error.response["Error"]["Code"] == "ValidationError":
                    return set()
                raise
        return {
            one["ChangeSetId"]
            for page in pages
            for one in page.get("Summaries", [])
            if one.get("ExecutionStatus") == "AVAILABLE"
        }

    def changes(self, change_set: str) -> list[Mapping[str, Any]]:
        """Return the changes of its resources."""
        with aws_errors():
            pages = [*self._pages("describe_change_set", ChangeSetName=change_set)]
        return [
            one["ResourceChange"]
            for page in pages
            for one in page.get("Changes", [])
            if "ResourceChange" in one
        ]

    def discard(self, change_set: str) -> None:
        """Forget it."""
        with aws_errors():
            self.client.delete_change_set(ChangeSetName=change_set)

    def carry_out(self, change_set: str, report: Report) -> None:
        """Carry it out, and return once the stack is as it says.

        Raises
        ------
        LocalStackError
            If CloudFormation fails and goes back; the error has the first causes.
        """
        with aws_errors():
            self.client.execute_change_set(ChangeSetName=change_set)
        status = last = ""
        while not status.endswith(("_COMPLETE", "_FAILED")):
            self.sleep(_POLL_S)
            with aws_errors():
                [stack] = self.client.describe_stacks(StackName=self.stack_name)["Stacks"]
            # The stack itself is reviewed until its first change set begins.
            status = str(stack["StackStatus"]).replace("REVIEW_IN_PROGRESS", "")
            if status != last:
                report(f"{self.stack_name}: {status.lower().replace('_', ' ')}")
            last = status
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            causes = "".join(f"\n  {one}" for one in self._failures(stack["StackId"]))
            raise LocalStackError(
                f"CloudFormation could not do it, and went back ({status}).{causes}",
                "correct what it names, and deploy again"
                + ("; delete the stack first" if status == "ROLLBACK_COMPLETE" else ""),
            )

    def _failures(self, stack_id: str) -> list[str]:
        """Return the newest failures; cancellations follow from others."""
        with aws_errors():
            events = self.client.describe_stack_events(StackName=stack_id)["StackEvents"]
        return [
            f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason', 'no reason given')}"
            for one in events
            if str(one.get("ResourceStatus")).endswith("_FAILED")
            and "cancelled" not in one.get("ResourceStatusReason", "")
        ][:_MOST_FAILURES]

    def _pages(self, operation: str, **arguments: str) -> Iterator[Mapping[str, Any]]:
        untyped: Any = self.client
        yield from untyped.get_paginator(operation).paginate(**arguments)


def words_of(changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield lines that say what changes, what loses its data first."""
    lost = [one for one in changes if _loses_data(one)]
    if lost:
        yield f"  REPLACES    {_named(lost)}: new and empty; the old data stays in the old resource"
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for one in changes:
        if one not in lost and not _follows(one):
            groups[_verb(one), _parts(one)].append(one)
    for verb in ("adds", "changes", "may replace", "replaces", "removes"):
        for (of, parts), ones in sorted(groups.items()):
            if of == verb:
                yield f"  {verb:11} {_named(ones)}{f' ({parts})' if parts else ''}"
    if following := [one for one in changes if one not in lost and _follows(one)]:
        yield f"  may follow  {len(following)} resources that refer to these"


def _verb(change: Mapping[str, Any]) -> str:
    match change["Action"], change.get("Replacement"):
        case "Modify", "True":
            return "replaces"
        case "Modify", "Conditional":
            return "may replace"
        case "Modify", _:
            return "changes"
        case "Remove", _:
            return "removes"
        case _:
            return "adds"


def _parts(change: Mapping[str, Any]) -> str:
    """Return which parts of a resource change."""
    if change["Action"] != "Modify":
        return ""
    targets = [one.get("Target", {}) for one in change.get("Details", [])]
    names = {str(one.get("Name") or one.get("Attribute", "")).lower() for one in targets}
    return ", ".join(sorted(names - {""}))


def _follows(change: Mapping[str, Any]) -> bool:
    """Whether it changes only if another resource, which it refers to, turns out to."""
    details = change.get("Details", [])
    return bool(details) and all(
        one.get("Evaluation") == "Dynamic"
        and one.get("ChangeSource") in ("ResourceReference", "ResourceAttribute")
        for one in details
    )


def _loses_data(change: Mapping[str, Any]) -> bool:
    return change["ResourceType"] in _HOLD_DATA and (
        _verb(change) == "replaces"
        or (change["Action"] == "Remove" and change.get("PolicyAction") != "Retain")
    )


def _named(changes: Sequence[Mapping[str, Any]]) -> str:
    """Return the resources' names, or how many there are of each kind if they are many."""
    if len(changes) <= _MOST_NAMED:
        return ", ".join(sorted(str(one["LogicalResourceId"]) for one in changes))
    kinds = Counter(str(one["ResourceType"]).rpartition("::")[2] for one in changes)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{len(changes)} resources: {counts}"
