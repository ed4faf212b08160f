"""Store workspaces in DynamoDB.

by_due has `due_lane` (a shard) and `due_at` of those that the scheduler has to check. by_id has
all under one `list_lane`, for lists in order: only keys, so that only creating and deleting a
workspace write it.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import namespaces
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import (
    Action,
    Item,
    Value,
    from_wire,
    put,
    remove,
    to_wire,
)
from shiftwork_core.adapters.dynamodb.shards import ShardedIndex, due_lane
from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.times import from_iso, to_iso
from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    Operation,
    Override,
    Pending,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.ports.stores import Page, Write
from shiftwork_core.ports.workspaces import WorkspaceStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: The one value of by_id's partition key.
_LIST = "workspaces"
_TIMES = (
    "created_at",
    "updated_at",
    "changed_at",
    "looked_at",
    "deadline",
    "max_deadline",
    "blocked_until",
    "due_at",
)


class DynamoWorkspaceStore(WorkspaceStore):
    """The workspaces table."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(client, sleep, draw, {table: namespaces.WORKSPACES})
        self._table = table
        self._by_due = ShardedIndex(self._database, table, "by_due", "due_lane", "due_at")

    def get(self, workspace_id: str) -> Workspace | None:
        item = self._database.read(self._table, _key(workspace_id))
        return None if item is None else workspace_from(item)

    def save(self, workspace: Workspace) -> Write[Workspace | None]:
        action = workspace_put(self._table, workspace)
        outcome = self._database.write(action)
        row = None if outcome.item is None else workspace_from(outcome.item)
        return Write(outcome.item == action.parameters["Item"], row)

    def delete(self, workspace: Workspace) -> bool:
        action = remove(
            self._table,
            _key(workspace.workspace_id),
            c.IS_WORKSPACE_SEEN,
            _seen(workspace),
        )
        return self._database.write(action).item is None

    def find(self, limit: int, next_token: str | None) -> Page[Workspace]:
        """Read ids from an index, rows from the table."""
        condition, values = "#list_lane = :list", {"list": _LIST}
        if next_token:  # DynamoDB takes no empty key; an empty token comes before every id.
            condition += " AND #workspace_id > :after"
            values["after"] = next_token
        keys = self._database.query(
            self._table, condition, values, index="by_id", page_size=limit + 1
        )
        found = [key["workspace_id"]["S"] for key in islice(keys, limit + 1)]
        listed = found[:limit]
        rows = map(workspace_from, self._database.read_many(self._table, [*map(_key, listed)]))
        page = sorted(rows, key=lambda row: row.workspace_id)
        return Page(page, listed[-1] if len(found) > limit else None)

    def due(self, before: datetime, limit: int) -> list[str]:
        rows = self._by_due.of_all("#due_at <= :before", {"before": before}, page_size=limit)
        return [row["workspace_id"]["S"] for row in islice(rows, limit)]


def workspace_put(table: str, workspace: Workspace) -> Action:
    """Return the write of a workspace, its revision one up, if its row is as it was seen."""
    item = _item(replace(workspace, revision=workspace.revision + 1))
    if not workspace.revision:
        return put(table, item, ("workspace_id",), c.IS_WORKSPACE_ABSENT)
    return put(table, item, ("workspace_id",), c.IS_WORKSPACE_SEEN, _seen(workspace))


def _seen(workspace: Workspace) -> dict[str, Value]:
    return {"seen_revision": workspace.revision, "seen_created_at": workspace.created_at}


def workspace_from(item: Item) -> Workspace:
    """Return the workspace of an item."""
    values = from_wire(item)
    times: dict[str, Any] = {name: from_iso(values[name]) for name in _TIMES if name in values}
    return Workspace(
        workspace_id=values["workspace_id"],
        body=json.loads(values["body"]),
        state=WorkspaceState(values["state"]),
        detail=values.get("detail", ""),
        started_by=Cause(values["started_by"]) if "started_by" in values else None,
        override=_override_in(values),
        pending={
            Operation(operation): Pending(job_id, from_iso(at), Cause(cause))
            for operation, (job_id, at, cause) in json.loads(values.get("pending", "{}")).items()
        },
        failures=values.get("failures", 0),
        skipped={
            Operation(operation): from_iso(until)
            for operation, until in json.loads(values.get("skipped", "{}")).items()
        },
        error=values.get("error"),
        memory=json.loads(values.get("memory", "{}")),
        revision=values["revision"],
        **times,
    )


def _key(workspace_id: str) -> Item:
    return to_wire({"workspace_id": workspace_id})


def _item(workspace: Workspace) -> Item:
    return to_wire(
        {
            "workspace_id": workspace.workspace_id,
            "list_lane": _LIST,
            "body": to_json(workspace.body),
            "state": workspace.state,
            "detail": workspace.detail or None,
            "started_by": workspace.started_by,
            "override": _override_text(workspace.override),
            "pending": _pending_text(workspace),
            "failures": workspace.failures or None,
            "skipped": _skipped_text(workspace),
            "error": workspace.error,
            "memory": to_json(workspace.memory) if workspace.memory else None,
            **{name: getattr(workspace, name) for name in _TIMES},
            "due_lane": due_lane(workspace.workspace_id, workspace.due_at),
            "revision": workspace.revision,
        }
    )


def _override_text(override: Override | None) -> str | None:
    if override is None:
        return None
    since, until = to_iso(override.since), to_iso(override.until)
    return to_json([override.desired, since, until, override.reason])


def _override_in(values: dict[str, Any]) -> Override | None:
    if "override" not in values:
        return None
    desired, since, until, reason = json.loads(values["override"])
    return Override(Desired(desired), from_iso(since), from_iso(until), reason)


def _pending_text(workspace: Workspace) -> str | None:
    if not workspace.pending:
        return None
    return to_json(
        {
            operation: [pending.job_id, to_iso(pending.at), pending.cause]
            for operation, pending in workspace.pending.items()
        }
    )


def _skipped_text(workspace: Workspace) -> str | None:
    if not workspace.skipped:
        return None
    return to_json({operation: to_iso(until) for operation, until in workspace.skipped.items()})
