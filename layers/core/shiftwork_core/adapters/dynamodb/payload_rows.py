"""Keep a request's JSON apart from its row: small texts in a table, large ones as objects.

A request's row is written whenever the request moves, and each write costs a unit for each KiB.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from shiftwork_core.adapters.blob_keys import MAX_ROW_BYTES, row_key_of, row_ref
from shiftwork_core.adapters.dynamodb import conditions as c
from shiftwork_core.adapters.dynamodb import items, namespaces
from shiftwork_core.adapters.dynamodb.database import Database
from shiftwork_core.adapters.dynamodb.expressions import Item, put, to_wire, update
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.world import BlobStore, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY = ("request_id", "part")


class TieredBlobStore(BlobStore):
    """Texts of up to `MAX_ROW_BYTES` in a table, larger ones in another store."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        large: BlobStore,
        clock: Clock,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = Database(client, sleep, draw, {table: namespaces.PAYLOADS})
        self._table = table
        self._large = large
        self._clock = clock

    def put(self, request_id: str, text: str, days: int) -> str:
        """Write the text; what is written again lives from then on."""
        body = text.encode()
        if len(body) > MAX_ROW_BYTES:
            return self._large.put(request_id, text, days)
        ref = row_ref(request_id, body)
        row = to_wire({"text": text, "expires_at": self._expiry(days)})
        self._database.write(put(self._table, _key_of(ref) | row, _KEY, None))
        return ref

    def publish(self, request_id: str, text: str, days: int) -> dict[str, str]:
        return self._large.publish(request_id, text, days)

    def get(self, ref: str) -> str:
        """Read it back.

        Raises
        ------
        NotFound
            If it has expired.
        """
        if row_key_of(ref) is None:
            return self._large.get(ref)
        row = self._database.read(self._table, _key_of(ref))
        if row is None:
            raise NotFound(f"{ref} is not stored any more")
        return str(row["text"]["S"])

    def get_many(self, refs: Iterable[str]) -> Iterator[str]:
        for is_row, some in groupby(refs, key=lambda ref: row_key_of(ref) is not None):
            read = partial(map, self.get) if is_row else self._large.get_many
            yield from read(some)

    def put_bytes(self, request_id: str, data: bytes, days: int) -> str:
        return self._large.put_bytes(request_id, data, days)

    def get_bytes(self, request_id: str, ref: str, start: int, end: int) -> bytes:
        return self._large.get_bytes(request_id, ref, start, end)

    def renew(self, request_id: str, until: datetime, days: int) -> bool:
        """Let the rows live on, all of them, and what is in the other store up to its bound.

        A request has a row for its params and one for each step's extras, and more only by retries.
        """
        soon = items.epoch_s(until)
        rows = self._database.query(
            self._table,
            "#request_id = :request_id",
            {"request_id": request_id, "soon": soon},
            where="#expires_at < :soon",
        )
        for row in rows:
            key = {name: row[name] for name in _KEY}
            expiry = {"expires_at": self._expiry(days)}
            # A row that has expired since must not come back without its text.
            self._database.write(update(self._table, key, c.EXPIRES_SOON, expiry, {"soon": soon}))
        return self._large.renew(request_id, until, days)

    def _expiry(self, days: int) -> int:
        return items.epoch_s(self._clock() + timedelta(days=days))


def _key_of(ref: str) -> Item:
    return to_wire(dict(zip(_KEY, row_key_of(ref) or (), strict=True)))
