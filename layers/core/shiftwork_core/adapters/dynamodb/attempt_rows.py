"""Write rows of the jobs table: under the fence of an attempt's holder, or many side by side."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items, namespaces
from shiftwork_core.adapters.dynamodb.database import Database, Outcome
from shiftwork_core.adapters.dynamodb.expressions import Action, Changes, Item, Value, update
from shiftwork_core.adapters.dynamodb.shards import ShardedIndex
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import AttemptEvent
from shiftwork_core.ports.jobs import is_unclaimed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: Conditional writes have no batch, so rows are written side by side. More threads than this gain
#: little in a function of one processor.
_MAX_WRITERS = 16


@dataclass(frozen=True, slots=True)
class JobTables:
    """The names of the tables that one transaction with an attempt may write."""

    jobs: str
    requests: str
    limits: str


class AttemptRows:
    """The jobs table, and the writes that the parts of its store share.

    Rows expire by DynamoDB's time to live twice the retention after they were claimed or
    cancelled, which costs no write of its own: a step needs its attempts until it has settled, and
    a user may retry a request until the retention after its end. What is needed for longer is
    prolonged.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        tables: JobTables,
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
                tables.jobs: namespaces.JOBS,
                tables.requests: namespaces.REQUESTS,
                tables.limits: namespaces.LIMITS,
            },
        )
        self._table = tables.jobs
        self._requests_table = tables.requests
        self._limits_table = tables.limits
        self._retention = retention
        self._by_wake = ShardedIndex(self._database, self._table, "by_wake", "wake_lane", "wake_at")

    def _read(self, request_id: str, key: AttemptKey) -> Item | None:
        return self._database.read(self._table, items.attempt_key(request_id, key))

    def _write_side_by_side(self, actions: list[Action]) -> list[Outcome]:
        with ThreadPoolExecutor(max(1, min(len(actions), _MAX_WRITERS))) as pool:
            return list(pool.map(self._database.write, actions))

    def _of_holder(
        self,
        attempt: Attempt,
        event: AttemptEvent,
        changes: Changes,
        *,
        lapsed: bool = False,
    ) -> Action:
        """Return a change that only the holder of the attempt's fence can make.

        With `lapsed` only while the lease is as seen, unless no worker had claimed the attempt.
        """
        condition = c.both(c.ATTEMPT_ADMITS[event], is_fence_seen(attempt.fence))
        values: dict[str, Value] = {"seen_fence": attempt.fence}
        if lapsed and not is_unclaimed(attempt, lapsed=lapsed):
            condition = c.both(condition, c.IS_LEASE_AS_SEEN)
            values["seen_lease_until"] = attempt.lease_until or ""
        key = items.attempt_key(attempt.request_id, attempt.key)
        return update(self._table, key, condition, changes, values)

    def _expiry(self, now: datetime) -> int:
        return items.epoch_s(now + 2 * self._retention)


def is_fence_seen(fence: int) -> str:
    """Return the condition that nobody has claimed the attempt since it had this fence."""
    return c.IS_FENCE_HELD if fence else c.IS_NEVER_HELD
