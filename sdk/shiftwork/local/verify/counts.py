"""What counts the work of a request on a deployed stack: on AWS CloudWatch, locally the streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

#: Build a client of an AWS service.
Clients = Callable[[str], Any]
#: The functions that work for a request.
FUNCTIONS = ("AuthorizeFunction", "ApiFunction", "AdvanceRequestFunction", "RunJobsFunction")
#: More events than the history of an execution can have.
_MAX_EVENTS = 25_000


class CountSource(Protocol):
    """Counts what is used between two moments. The stack does nothing else meanwhile.

    Attributes
    ----------
    title
        What it is, for the report.
    hidden
        The keys of the figures that it never shows.
    """

    title: str
    hidden: frozenset[str]

    def begin(self) -> None:
        """Begin to count."""

    def take(self, jobs: int) -> Mapping[str, float | None]:
        """Return the figures by their keys; None for one that has not been shown in time."""


def resources_of(cloudformation: Any, stack_name: str) -> dict[str, str]:
    """Return the physical ids of a stack's resources by their logical ids."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_name)
    return {
        one["LogicalResourceId"]: one["PhysicalResourceId"]
        for page in pages
        for one in page["StackResourceSummaries"]
        if one.get("PhysicalResourceId")
    }


def transitions_of(stepfunctions: Any, execution: str) -> int:
    """Return how many state transitions an execution is billed.

    These are the states that were entered, and each retry. An emulator may not show the states
    within a Map, but it shows the tasks that they scheduled: those are added.
    """
    pages = stepfunctions.get_paginator("get_execution_history").paginate(
        executionArn=execution, includeExecutionData=False
    )
    return count_transitions(event["type"] for page in pages for event in page["events"])


def count_transitions(types: Iterable[str]) -> int:
    """Count the transitions in the types of a history's events."""
    found: Iterator[str] = islice(types, _MAX_EVENTS)
    entered = tasks = scheduled = 0
    for name in found:
        entered += name.endswith("StateEntered")
        tasks += name == "TaskStateEntered"
        scheduled += name == "TaskScheduled"
    return entered + scheduled - tasks
