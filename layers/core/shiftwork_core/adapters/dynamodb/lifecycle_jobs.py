"""Store lifecycle jobs and their logs in DynamoDB: list, claim, write them.

The indexes of the jobs' table:

by_due         `due_lane` (a shard) and `due_at` of jobs that have not ended. It has whole rows, so
               that a job found there can be claimed without reading it first.
by_workspace   `workspace_id` and `listed_at`
by_created     `list_lane` (a shard) and `listed_at`

The last two are for lists, newest first. They have only keys, which never change: a job writes them
once, not with every change. `listed_at` is the time of creation and the id, so each place in a list
belongs to one job.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import namespaces
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import Item, from_wire, put, to_wire
from shiftwork_core.adapters.dynamodb.items import epoch_s
from shiftwork_core.adapters.dynamodb.namespaces import to_row
from shiftwork_core.adapters.dynamodb.shards import ShardedIndex, due_lane
from shiftwork_core.adapters.dynamodb.workspaces import workspace_from, workspace_put
from shiftwork_core.adapters.lifecycle_pages import jobs_to_look_at, page_of_jobs
from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.times import from_iso, to_iso
from shiftwork_core.domain.workspaces.records import (
    Cause,
    JobState,
    LifecycleJob,
    LifecycleLog,
    LogLevel,
    Operation,
    Workspace,
    claimed,
)
from shiftwork_core.page_tokens import lifecycle_position, read_lifecycle_token
from shiftwork_core.ports.shards import SHARDS, shard_of
from shiftwork_core.ports.stores import Page
from shiftwork_core.ports.workspaces import LifecycleJobStore, LifecycleWrite

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TIMES = (
    "deadline",
    "created_at",
    "updated_at",
    "started_at",
    "cancelled_at",
    "completed_at",
    "due_at",
    "asked_at",
    "drain_until",
)
#: Greater than every `listed_at`, which begins with a year.
_NEWEST = "~"
#: A claimant reads so many due jobs at once, and claims the first that it can.
_CANDIDATES = 10


@dataclass(frozen=True, slots=True)
class LifecycleTables:
    """The tables' names. A job and its workspace are written in one transaction."""

    jobs: str
    logs: str
    workspaces: str


class DynamoLifecycleJobStore(LifecycleJobStore):
    """The tables of lifecycle jobs and of their logs.

    A job expires `retention` after it has ended, a line of its log after it was written.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        tables: LifecycleTables,
        *,
        retention: timedelta,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(
            client,
            sleep,
            draw,
            {
                tables.jobs: namespaces.LIFECYCLE_JOBS,
                tables.logs: namespaces.LIFECYCLE_LOGS,
                tables.workspaces: namespaces.WORKSPACES,
            },
        )
        self._table = tables.jobs
        self._logs_table = tables.logs
        self._workspaces_table = tables.workspaces
        self._retention = retention
        self._draw = draw
        self._by_due = ShardedIndex(self._database, tables.jobs, "by_due", "due_lane", "due_at")
        self._by_created = ShardedIndex(
            self._database, tables.jobs, "by_created", "list_lane", "listed_at"
        )

    # -- reading -------------------------------------------------------------------------------

    def get(self, job_id: str) -> LifecycleJob | None:
        item = self._database.read(self._table, _key(job_id))
        return None if item is None else lifecycle_job_from(item)

    def find(
        self,
        workspace_id: str | None,
        state: JobState | None,
        limit: int,
        next_token: str | None,
    ) -> Page[LifecycleJob]:
        """Read places from an index, rows from the table."""
        before = _NEWEST if next_token is None else read_lifecycle_token(next_token)
        keys = self._listed(workspace_id, before, jobs_to_look_at(state, limit) + 1)
        return page_of_jobs((key["listed_at"]["S"] for key in keys), self._read, state, limit)

    def _listed(self, workspace_id: str | None, before: str, count: int) -> Iterator[Item]:
        older, values = "#listed_at < :before", {"before": before}
        if workspace_id is None:
            return self._by_created.of_all(older, values, count, is_descending=True)
        return self._database.query(
            self._table,
            f"#workspace_id = :workspace_id AND {older}",
            {**values, "workspace_id": workspace_id},
            index="by_workspace",
            is_descending=True,
            page_size=count,
        )

    def _read(self, ids: list[str]) -> dict[str, LifecycleJob]:
        rows = self._database.read_many(self._table, [_key(job_id) for job_id in ids])
        return {job.id: job for job in map(lifecycle_job_from, rows)}

    def upcoming(self, after: datetime, before: datetime, limit: int) -> list[LifecycleJob]:
        # BETWEEN includes both ends: begin a millisecond later.
        first, last = to_iso(after + timedelta(milliseconds=1)), to_iso(before)
        if first > last:
            return []
        rows = self._by_due.of_all(
            "#due_at BETWEEN :first AND :last", {"first": first, "last": last}, limit
        )
        return [lifecycle_job_from(row) for row in islice(rows, limit)]

    # -- claiming ------------------------------------------------------------------------------

    def acquire_workspace_lifecycle_job(
        self,
        now: datetime,
        claim_id: str,
        lease_until: datetime,
        *,
        job_id: str | None = None,
        seen: LifecycleJob | None = None,
    ) -> LifecycleJob | None:
        if seen is not None:
            return self._claim(seen, now, claim_id, lease_until)
        if job_id is not None:
            return self._claim(self.get(job_id), now, claim_id, lease_until)
        for candidate in self._due(now):
            job = self._claim(candidate, now, claim_id, lease_until)
            if job is not None:
                return job
        return None

    def _due(self, now: datetime) -> Iterator[LifecycleJob]:
        """Yield due jobs as the index has them, shard by shard from a random one."""
        begin = int(self._draw() * len(SHARDS))
        for shard in (*SHARDS[begin:], *SHARDS[:begin]):
            rows = self._by_due.of_shard(shard, "#due_at <= :now", {"now": now}, _CANDIDATES)
            yield from map(lifecycle_job_from, rows)

    def _claim(
        self, seen: LifecycleJob | None, now: datetime, claim_id: str, lease_until: datetime
    ) -> LifecycleJob | None:
        """Claim a job as it was seen, or, if it has been written since, as it is while due.

        A claimant that loses a round has seen another writer win it, so the rounds end. The
        revision is condition enough: nothing changes `due_at` without it.
        """
        while seen is not None and not seen.is_held(claim_id, now):
            if not seen.is_due(now):
                return None
            written = self.update_workspace_lifecycle_job_by_id(
                claimed(seen, claim_id, now, lease_until)
            )
            if written.won:
                return written.job
            seen = written.job
        return seen

    # -- writing -------------------------------------------------------------------------------

    def insert_workspace_lifecycle_job(
        self, job: LifecycleJob, workspace: Workspace
    ) -> LifecycleWrite:
        return self._write(job, workspace, c.IS_LIFECYCLE_JOB_ABSENT)

    def update_workspace_lifecycle_job_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        return self._write(job, workspace, c.IS_REVISION_SEEN)

    def update_workspace_lifecycle_job_with_cancel_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        return self._write(job, workspace, c.IS_REVISION_SEEN)

    def update_workspace_lifecycle_job_with_complete_by_id(
        self, job: LifecycleJob, workspace: Workspace | None = None
    ) -> LifecycleWrite:
        return self._write(job, workspace, c.IS_REVISION_SEEN)

    def _write(
        self, job: LifecycleJob, workspace: Workspace | None, condition: str
    ) -> LifecycleWrite:
        item = self._item(replace(job, revision=job.revision + 1))
        row = put(self._table, item, ("id",), condition, {"seen_revision": job.revision})
        if workspace is None:
            found = self._database.write(row).item
            return LifecycleWrite(
                found == item, None if found is None else lifecycle_job_from(found), None
            )
        actions = [row, workspace_put(self._workspaces_table, workspace)]
        written = [action.parameters["Item"] for action in actions]
        outcomes = self._database.transact(actions)
        if all(outcome.held for outcome in outcomes):
            rows = written
        else:
            # The row whose own condition held was not written either: read it.
            rows = [
                self._database.read(action.table, action.key) if outcome.held else outcome.item
                for action, outcome in zip(actions, outcomes, strict=True)
            ]
        # Both rows must be this call's: a cancel and a completion in the same millisecond may leave
        # the same workspace.
        job_row, workspace_row = rows
        return LifecycleWrite(
            rows == written,
            None if job_row is None else lifecycle_job_from(job_row),
            None if workspace_row is None else workspace_from(workspace_row),
        )

    def _item(self, job: LifecycleJob) -> Item:
        ended_at = job.completed_at or job.cancelled_at
        return to_wire(
            {
                "id": job.id,
                "workspace_id": job.workspace_id,
                "list_lane": shard_of(job.id),
                "listed_at": lifecycle_position(job),
                "operation": job.operation,
                "cause": job.cause,
                "reason": job.reason or None,
                "error": job.error,
                "attempt": job.attempt or None,
                "claim_id": job.claim_id,
                "drained": to_json(list(job.drained)) if job.drained else None,
                **{name: getattr(job, name) for name in _TIMES},
                "due_lane": due_lane(job.id, job.next_at),
                "revision": job.revision,
                "expires_at": None if ended_at is None else self._expiry(ended_at),
            }
        )

    def _expiry(self, moment: datetime) -> int:
        return epoch_s(moment + self._retention)

    # -- logs ----------------------------------------------------------------------------------

    def insert_workspace_lifecycle_job_logs(self, logs: Sequence[LifecycleLog]) -> None:
        for number, line in enumerate(logs):
            item = to_wire(
                {
                    "job_id": line.job_id,
                    "key": f"{to_iso(line.created_at)}#{line.id}",
                    "id": line.id,
                    "created_at": line.created_at,
                    "number": number,
                    "level": line.level,
                    "output": line.output,
                    "expires_at": self._expiry(line.created_at),
                }
            )
            self._database.write(put(self._logs_table, item, ("job_id", "key"), c.IS_LINE_ABSENT))

    def logs(self, job_id: str) -> list[LifecycleLog]:
        rows = self._database.query(self._logs_table, "#job_id = :job_id", {"job_id": job_id})
        return [_log(row) for row in sorted(rows, key=_place)]


def lifecycle_job_from(item: Item) -> LifecycleJob:
    """Return the job of an item, of a row in by_due, or of a new image in the table's stream."""
    values = from_wire(item)
    times: dict[str, Any] = {name: from_iso(values[name]) for name in _TIMES if name in values}
    return LifecycleJob(
        id=values["id"],
        workspace_id=values["workspace_id"],
        operation=Operation(values["operation"]),
        cause=Cause(values["cause"]),
        reason=values.get("reason", ""),
        error=values.get("error"),
        attempt=values.get("attempt", 0),
        claim_id=values.get("claim_id"),
        drained=tuple(json.loads(values.get("drained", "[]"))),
        revision=values["revision"],
        **times,
    )


def new_job_in(record: Mapping[str, Any]) -> str:
    """Return the id of the job that a record of the table's stream reports."""
    job_id: str = to_row(namespaces.LIFECYCLE_JOBS, record["dynamodb"]["Keys"])["id"]["S"]
    return job_id


def _key(job_id: str) -> Item:
    return to_wire({"id": job_id})


def _place(line: Item) -> tuple[str, int, str]:
    """Return the sort key of a log's line: lines of one time keep their writer's order."""
    return line["created_at"]["S"], int(line["number"]["N"]), line["id"]["S"]


def _log(item: Item) -> LifecycleLog:
    values = from_wire(item)
    return LifecycleLog(
        id=values["id"],
        job_id=values["job_id"],
        created_at=from_iso(values["created_at"]),
        level=LogLevel(values["level"]),
        output=values["output"],
    )
