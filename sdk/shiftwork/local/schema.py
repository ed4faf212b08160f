"""Refuse a deployment that the tables could not bear.

A release whose tables' keys are made otherwise has another schema number: CloudFormation makes new
tables then, and keeps the old ones beside them, so no request may be open. And a release reads no
rows that a later one has written in a way that it does not know.
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
    """Let an update pass that reads what the tables hold, and by which no open request is lost.

    `deployed` has the stack's outputs. Requests that are submitted after this are not seen.

    Raises
    ------
    LocalStackError
        If the update would make new tables while requests are open, or is a downgrade that would
        misread rows.
    """
    rows, written = (int(one) for one in (_value(template, "Rows"), deployed.get("Rows", "0")))
    if written > rows:
        raise LocalStackError(
            f"The stack holds rows of a later release (format {written}): this one reads them up to"
            f" format {rows} and would misread them.",
            "install the release that was deployed last, or a later one:"
            " pip install -U 'shiftwork[platform]'",
        )
    new = _value(template, "Schema")
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


def _value(template: Mapping[str, Any], output: str) -> str:
    return str(template["Outputs"][output]["Value"])
