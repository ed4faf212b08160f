"""Store the slots and rates of limited job types in DynamoDB."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items, limit_items, namespaces
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import remove, update
from shiftwork_core.ports.jobs import LimitStore, Slot

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: A reservation that does not fit is sent again for what is left. Others reserve at the same time,
#: so it may take this many attempts.
_MAX_TRIES = 3


class DynamoLimitStore(LimitStore):
    """The limits table. `DynamoJobQueues.claim_limited` writes its slots."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(client, sleep, draw, {table: namespaces.LIMITS})
        self._table = table

    def slots(self, type: str) -> list[Slot]:
        rows = self._database.query(self._table, "#name = :name", {"name": f"slots#{type}"})
        return [limit_items.slot_from(type, row) for row in rows]

    def free(self, slot: Slot) -> None:
        key = limit_items.slot_key(slot.type, slot.number)
        seen = {"seen_holder": slot.holder, "seen_claim_id": slot.claim_id}
        self._database.write(remove(self._table, key, c.IS_SLOT_AS_SEEN, seen))

    def reserve(
        self, type: str, window: datetime, count: int, limit: int, expires_at: datetime
    ) -> tuple[int, int]:
        key = limit_items.rate_key(type, window)
        used = 0
        for _ in range(_MAX_TRIES):
            count = min(count, limit - used)
            if count <= 0:
                break
            outcome = self._database.write(
                update(
                    self._table,
                    key,
                    c.IS_ROOM,
                    {"expires_at": items.epoch_s(expires_at)},
                    {"room": limit - count},
                    adds={"used": count},
                )
            )
            used = int(outcome.item["used"]["N"]) if outcome.item else 0
            if outcome.held:
                return count, used
        return 0, used

    def used(self, type: str, window: datetime) -> int:
        item = self._database.read(self._table, limit_items.rate_key(type, window))
        return 0 if item is None else int(item["used"]["N"])

    def give_back(self, type: str, window: datetime, count: int, used: int) -> None:
        self._database.write(
            update(
                self._table,
                limit_items.rate_key(type, window),
                c.IS_USED_AS_SEEN,
                {"used": used - count},
                {"seen_used": used},
            )
        )
