"""Pack JSON values for rows, small ones inline, large ones in the blob store; unpack them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from shiftwork_core.domain.payloads import Json, JsonObject, Payload, to_json
from shiftwork_core.domain.requests.blob_lifetimes import (
    is_young,
    lifetime_days,
    needed_until,
)
from shiftwork_core.domain.requests.records import Request
from shiftwork_core.ports.world import BlobStore

#: What an attempt's row holds of each value at most. Above this, one S3 PUT ($5 per million) costs
#: less than the write units of the bytes in a row ($0.625 per million and KiB), and later writes of
#: the row need not carry them.
INLINE_LIMIT_BYTES = 8 * 1024
#: What a request's row holds of its params and extras at most: it is written many times.
SMALL_BYTES = 192

#: So many payloads are looked at together, to fetch some of them side by side.
_READ_AHEAD = 100

_EMPTY = Payload(text="{}")


class ResultsTooLarge(Exception):
    """What an entry's jobs have returned does not fit into its manifest."""


class Payloads:
    """Keeps small values in the rows that they belong to, and others in the blob store."""

    def __init__(self, blobs: BlobStore, retention: timedelta) -> None:
        self._blobs = blobs
        self._retention = retention

    def pack(self, request_id: str, value: Json) -> Payload:
        """Return a payload for a row of an attempt; a large value is stored in the blob store.

        There it is kept as `blob_lifetimes` says.

        Raises
        ------
        ValueError
            If `value` is not JSON.
        """
        return self._pack(request_id, value, INLINE_LIMIT_BYTES, timedelta(0))

    def pack_apart(self, request_id: str, value: Json, delay: timedelta = timedelta(0)) -> Payload:
        """Return a payload for the request's own row, which holds only a very small value itself.

        `delay` is the time until the request begins.

        Raises
        ------
        ValueError
            If `value` is not JSON.
        """
        return self._pack(request_id, value, SMALL_BYTES, delay)

    def _pack(self, request_id: str, value: Json, most: int, delay: timedelta) -> Payload:
        text = to_json(value)
        if len(text.encode()) <= most:
            return Payload(text=text)
        days = lifetime_days(self._retention, delay)
        return Payload(ref=self._blobs.put(request_id, text, days))

    def is_young(self, request: Request, now: datetime) -> bool:
        """Return whether nothing of the request can have come near its expiry yet."""
        return is_young(now - request.created_at, self._retention)

    def renew(self, request: Request, now: datetime) -> bool:
        """Renew what the request has stored, so that it outlives the request, should that end now.

        Return whether nothing is left to renew: a call has a bound.
        """
        return self._blobs.renew(
            request.request_id,
            needed_until(self._retention, now),
            lifetime_days(self._retention),
        )

    def store_manifest(self, request_id: str, value: Json) -> dict[str, str]:
        """Store a value where the state machine reads it; return `{"bucket", "key"}`."""
        return self._blobs.publish(request_id, to_json(value), lifetime_days(self._retention))

    def fetch(self, payload: Payload) -> Payload:
        """Return the payload with its text at hand, so that unpacking it again costs no call."""
        if payload.ref is None or payload.text is not None:
            return payload
        return Payload(text=self._blobs.get(payload.ref), ref=payload.ref)

    def unpack(self, payload: Payload | None) -> Json:
        """Return the value, fetched if need be; None for no payload."""
        if payload is None:
            return None
        text = self.fetch(payload).text
        return None if text is None else json.loads(text)

    def unpack_many(self, payloads: Iterable[Payload | None]) -> Iterator[Json]:
        """Yield the values in order; those that must be fetched are fetched several at once."""
        rest = iter(payloads)
        while some := list(islice(rest, _READ_AHEAD)):
            texts = self._blobs.get_many(filter(None, map(_ref_to_fetch, some)))
            for payload in some:
                if _ref_to_fetch(payload) is not None:
                    payload = Payload(text=next(texts))
                yield self.unpack(payload)

    def keep_part(self, request_id: str, data: bytes) -> str:
        """Keep bytes with the request, for as long; return their reference."""
        return self._blobs.put_bytes(request_id, data, lifetime_days(self._retention))

    def read_part(self, request_id: str, ref: str, start: int, end: int) -> bytes:
        """Return such bytes, from `start` to before `end`.

        Raises
        ------
        NotFound
            If the request has kept none under this reference.
        """
        return self._blobs.get_bytes(request_id, ref, start, end)

    def unpack_object(self, payload: Payload | None) -> JsonObject:
        """Return the JSON object; empty for no payload."""
        value: JsonObject = self.unpack(payload or _EMPTY)
        return value


def _ref_to_fetch(payload: Payload | None) -> str | None:
    return payload.ref if payload is not None and payload.text is None else None
