"""Store the steps of requests in DynamoDB: rows of the requests table."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items, namespaces
from shiftwork_core.adapters.dynamodb.database import Database, Outcome
from shiftwork_core.adapters.dynamodb.expressions import Item, from_wire, put, update
from shiftwork_core.adapters.dynamodb.shards import ShardedIndex
from shiftwork_core.domain.payloads import Payload, to_json
from shiftwork_core.domain.requests.records import (
    AttemptKey,
    Stall,
    Step,
    StepStatus,
    attempt_id_of,
)
from shiftwork_core.domain.requests.stalls import stall_to_text
from shiftwork_core.domain.requests.step_state import TALLIED
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.shards import SHARDS, shard_of
from shiftwork_core.ports.stores import Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: The key of the requests table.
KEY = ("request_id", "part")


@dataclass(frozen=True, slots=True)
class RequestTables:
    """The names of the tables of requests, and of what their batches note."""

    requests: str
    batches: str


class DynamoSteps:
    """The requests table, and the rows of its steps."""

    def __init__(
        self,
        client: DynamoDBClient,
        tables: RequestTables,
        *,
        retention: timedelta,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(
            client,
            sleep,
            draw,
            {tables.requests: namespaces.REQUESTS, tables.batches: namespaces.BATCHES},
        )
        self._table = table = tables.requests
        self._batches_table = tables.batches
        self._retention = retention
        self._by_status = ShardedIndex(
            self._database, table, "by_status", "status_lane", "created_at"
        )
        self._by_due = ShardedIndex(self._database, table, "by_due", "lane", "due_at")

    def add_step(self, step: Step) -> Write[Step]:
        outcome = self._database.write(put(self._table, items.step_item(step), KEY, c.IS_ABSENT))
        row = items.step_from(item_of(outcome))
        is_ours = _plan_of(row) == _plan_of(step)
        return Write(is_ours, row)

    def get_step(self, request_id: str, index: int) -> Step | None:
        item = self._database.read(self._table, items.step_key(request_id, index))
        return None if item is None else items.step_from(item)

    def steps(self, request_id: str) -> list[Step]:
        rows = self._database.query(
            self._table,
            "#request_id = :request_id AND begins_with(#part, :prefix)",
            {"request_id": request_id, "prefix": "step#"},
        )
        return [items.step_from(row) for row in rows]

    def close_step(
        self,
        seen: Step,
        status: StepStatus,
        counts: dict[str, int],
        now: datetime | None,
        tolerated: int = 0,
        extras: Payload | None = None,
    ) -> bool:
        is_as_seen = c.IS_STEP_STILL_RUNNING if seen.completed_at is None else c.IS_STEP_END_AS_SEEN
        completed_at = seen.completed_at if seen.status is StepStatus.COMPLETED else now
        seen_extras = (seen.extras.text or seen.extras.ref) if seen.extras else None
        outcome = self._database.write(
            update(
                self._table,
                items.step_key(seen.request_id, seen.index),
                c.IS_STEP_OPEN_OR_AS_SEEN if status is StepStatus.COMPLETED else is_as_seen,
                {
                    "status": status,
                    "counts": to_json(counts),
                    "completed_at": completed_at,
                    "tolerated": tolerated or None,
                    "expires_at": None if now is None else items.epoch_s(now + 2 * self._retention),
                    **({} if extras is None else items.payload_values("extras", extras)),
                },
                {
                    "seen_completed_at": seen.completed_at or "",
                    "seen_counts": to_json(seen.counts),
                    "seen_extras": seen_extras or "",
                },
            )
        )
        if outcome.item is None:
            return False
        row = items.step_from(outcome.item)
        ours = (status, counts, None if completed_at is None else items.kept(completed_at))
        return (row.status, row.counts, row.completed_at) == ours

    def register_waiter(self, seen: Step, token: str, target: int) -> Write[Step]:
        outcome = self._database.write(
            update(
                self._table,
                items.step_key(seen.request_id, seen.index),
                c.IS_UNAWAITED if seen.token is None else c.IS_WAITER_AS_SEEN,
                {"token": token, "target": target},
                {"seen_token": seen.token or ""},
            )
        )
        row = items.step_from(item_of(outcome))
        return Write(row.token == token, row)

    def note_stall(self, request_id: str, index: int, stall: Stall | None) -> None:
        key = items.step_key(request_id, index)
        self._database.write(update(self._table, key, c.EXISTS, {"stall": stall_to_text(stall)}))

    def count_arrivals(self, request_id: str, index: int, count: int) -> Step | None:
        key = items.step_key(request_id, index)
        outcome = self._database.write(
            update(self._table, key, c.EXISTS, {}, adds={"settles": count})
        )
        return items.step_from(outcome.item) if outcome.held and outcome.item else None

    # -- tallies -------------------------------------------------------------------------------

    def add_tally(
        self, request_id: str, key: AttemptKey, left: Mapping[str, int], now: datetime
    ) -> None:
        """Add to one of the step's shards: a thousand batches may end in the same second."""
        shard = shard_of(attempt_id_of(request_id, key))
        tally_key = items.tally_key(request_id, key.step, shard)
        expires_at = items.epoch_s(now + 2 * self._retention)
        changes = {"expires_at": expires_at}
        self._database.write(update(self._batches_table, tally_key, None, changes, adds=left))

    def tally(self, request_id: str, index: int) -> dict[str, int]:
        keys = [items.tally_key(request_id, index, shard) for shard in SHARDS]
        total: Counter[str] = Counter()
        for row in self._database.read_many(self._batches_table, keys):
            values = from_wire(row)
            total.update({status: values.get(status, 0) for status in TALLIED})
        return {status: count for status, count in total.items() if count}


def item_of(outcome: Outcome) -> Item:
    """Return the item that a write has left or found.

    Raises
    ------
    NotFound
        If there is none.
    """
    if outcome.item is None:
        raise NotFound("the request, or step, has no row")
    return outcome.item


def _plan_of(step: Step) -> tuple[str, int, datetime]:
    return step.name, step.job_count, items.kept(step.started_at)
