"""Refuse a deployment that makes new, empty tables while requests are open in the old ones.

A release whose tables' keys are made otherwise has another schema number: CloudFormation makes new
tables then, and keeps the old ones beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from shiftwork.api.client import ShiftworkClient
from shiftwork.local.errors import LocalStackError
from shiftwork.local.reporting import Report

#: What a stack has that was deployed before there were numbers.
_FIRST = "1"
_OPEN = ("Queuing", "Inprogress")
#: So many open requests are named.
_MOST_NAMED = 3


def check_schema(
    deployed: Mapping[str, str],
    template: Mapping[str, Any],
    connect: Callable[[], ShiftworkClient],
    report: Report,
) -> None:
    """Let an update pass that keeps the tables, or that no open request would be lost by.

    `deployed` has the stack's outputs. Requests that are submitted after this are not seen.

    Raises
    ------
    LocalStackError
        If the update would make new tables, and requests are open.
    """
    new = str(template["Outputs"]["Schema"]["Value"])
    old = deployed.get("Schema", _FIRST)
    if new == old:
        return
    with connect() as client:
        found = [
            request["request_id"]
            for status in _OPEN
            for request in islice(client.list_all(status=status), _MOST_NAMED + 1)
        ]
    change = f"This release makes its keys by schema {new}, and the stack has schema {old}"
    if found:
        named = ", ".join(found[:_MOST_NAMED]) + (", ..." if len(found) > _MOST_NAMED else "")
        raise LocalStackError(
            f"{change}: its tables will be new and empty, and requests are open: {named}.",
            "submit no more, wait until they have ended or cancel them (shiftwork requests"
            " --status Inprogress), and deploy again",
        )
    report(
        f"{change}: its tables will be new and empty. The old ones are kept. Submit nothing until"
        " it is deployed: it would be in the old tables. Failed requests cannot be retried"
        " afterwards. Apply your definitions and workspaces again then; workers register by"
        " themselves."
    )
