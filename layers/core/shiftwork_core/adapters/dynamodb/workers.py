"""Store workers' records and used tokens in DynamoDB.

The index by_liveness has those workers that a sweep must check, by `watch_lane` (a shard) and
`watch_at`; by_id has all, for lists. A heartbeat changes neither, so that it costs one write of one
small row.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import namespaces
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import Item, from_wire, put, remove, to_wire
from shiftwork_core.adapters.dynamodb.items import epoch_s
from shiftwork_core.adapters.dynamodb.shards import ShardedIndex, due_lane
from shiftwork_core.adapters.pages import page_of
from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.times import from_iso
from shiftwork_core.domain.workers.workers import Poll, Worker, WorkerKind, WorkerStatus
from shiftwork_core.ports.stores import Page, Write
from shiftwork_core.ports.workers import TokenStore, WorkerStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TIMES = (
    "last_seen_at",
    "last_status_update_at",
    "last_build_started_at",
    "last_build_finished_at",
    "last_checked_in",
    "lapsed_at",
    "watch_at",
)


#: The one value of by_id's partition key.
_LIST = "workers"
_READ_AT_ONCE = 100


class DynamoWorkerStore(WorkerStore):
    """The workers table. A row expires `kept` after the worker was last seen."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        kept: timedelta,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(client, sleep, draw, {table: namespaces.WORKERS})
        self._table = table
        self._kept = kept
        self._by_liveness = ShardedIndex(
            self._database, table, "by_liveness", "watch_lane", "watch_at"
        )

    def get(self, worker_id: str) -> Worker | None:
        item = self._database.read(self._table, to_wire({"worker_id": worker_id}))
        return None if item is None else _worker(item)

    def save(self, worker: Worker) -> Write[Worker | None]:
        item = self._item(replace(worker, revision=worker.revision + 1))
        condition = c.IS_REVISION_SEEN if worker.revision else c.IS_WORKER_ABSENT
        outcome = self._database.write(
            put(self._table, item, ("worker_id",), condition, {"seen_revision": worker.revision})
        )
        row = None if outcome.item is None else _worker(outcome.item)
        return Write(outcome.item == item, row)

    def delete(self, worker: Worker) -> bool:
        action = remove(
            self._table,
            to_wire({"worker_id": worker.worker_id}),
            c.IS_REVISION_SEEN,
            {"seen_revision": worker.revision},
        )
        return self._database.write(action).item is None

    def find(
        self, is_wanted: Callable[[Worker], bool], limit: int, next_token: str | None
    ) -> Page[Worker]:
        """Read ids from an index, rows from the table, no chunk of them before it is needed."""
        return page_of(self._listed(next_token), limit, lambda row: row.worker_id, is_wanted)

    def _listed(self, after: str | None) -> Iterator[Worker]:
        condition, values = "#list_lane = :list", {"list": _LIST}
        if after:  # DynamoDB takes no empty key; an empty token comes before every id.
            condition += " AND #worker_id > :after"
            values["after"] = after
        keys = self._database.query(
            self._table, condition, values, index="by_id", page_size=_READ_AT_ONCE
        )
        while chunk := list(islice(keys, _READ_AT_ONCE)):
            ids = [{"worker_id": key["worker_id"]} for key in chunk]
            rows = map(_worker, self._database.read_many(self._table, ids))
            yield from sorted(rows, key=lambda row: row.worker_id)

    def all(self) -> Iterator[Worker]:
        yield from map(_worker, self._database.scan(self._table))

    def watched(self, before: datetime, shard: str | None = None) -> Iterator[str]:
        for row in self._by_liveness.due(before, shard):
            yield row["worker_id"]["S"]

    def put_off(self, worker_id: str, before: datetime) -> PutOff | None:
        return self._by_liveness.put_off(to_wire({"worker_id": worker_id}), before)

    def _item(self, worker: Worker) -> Item:
        return to_wire(
            {
                "worker_id": worker.worker_id,
                "hostname": worker.hostname,
                "kind": worker.kind,
                "address": worker.address or None,
                "routes": to_json(list(worker.routes)),
                "active": worker.active,
                "is_drained": worker.is_drained or None,
                "drained_for": to_json(list(worker.drained_for)) if worker.drained_for else None,
                "status": worker.status,
                "running_build_ids": to_json(list(worker.running_build_ids)),
                "build_limit": worker.build_limit,
                "error": worker.error,
                **{name: getattr(worker, name) for name in _TIMES},
                "polls": to_json(
                    {q: [_epoch_ms(poll.at), poll.count] for q, poll in worker.polls.items()}
                ),
                "list_lane": _LIST,
                "watch_lane": due_lane(worker.worker_id, worker.watch_at),
                "generation": worker.generation or None,
                "revision": worker.revision,
                "expires_at": epoch_s(worker.last_seen_at + self._kept),
            }
        )


def _worker(item: Item) -> Worker:
    values = from_wire(item)
    times: dict[str, Any] = {name: from_iso(values[name]) for name in _TIMES if name in values}
    return Worker(
        worker_id=values["worker_id"],
        hostname=values["hostname"],
        kind=WorkerKind(values["kind"]),
        address=values.get("address", ""),
        routes=tuple(json.loads(values["routes"])),
        active=values["active"],
        is_drained=values.get("is_drained", False),
        drained_for=tuple(json.loads(values.get("drained_for", "[]"))),
        status=WorkerStatus(values["status"]),
        running_build_ids=tuple(json.loads(values["running_build_ids"])),
        build_limit=values["build_limit"],
        error=values.get("error"),
        polls={
            queue: Poll(datetime.fromtimestamp(at_ms / 1000, UTC), count)
            for queue, (at_ms, count) in json.loads(values["polls"]).items()
        },
        generation=values.get("generation", ""),
        revision=values["revision"],
        **times,
    )


def _epoch_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


class DynamoTokenStore(TokenStore):
    """The tokens table."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(client, sleep, draw, {table: namespaces.TOKENS})
        self._table = table

    def use(self, token_id: str, user: str, expires_at: datetime) -> bool:
        item = to_wire({"token_id": token_id, "used_by": user, "expires_at": epoch_s(expires_at)})
        row = self._database.write(put(self._table, item, ("token_id",), c.IS_TOKEN_UNUSED)).item
        return row is not None and row["used_by"] == item["used_by"]
