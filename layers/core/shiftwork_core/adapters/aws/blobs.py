"""Store JSON that is too large for a row in S3."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from shiftwork_core.adapters.aws.calls import translated_errors
from shiftwork_core.adapters.blob_keys import blob_key, blob_prefix, is_key_of, places_of
from shiftwork_core.domain.requests.blob_lifetimes import LIFETIMES_DAYS
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.world import BlobStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: One call renews so many, which takes some 20 s.
MAX_RENEWED = 2000
#: As many as a client has connections.
_MOST_AT_ONCE = 10
#: So many texts are read ahead before any has told its size, and then so many bytes.
_FIRST_AHEAD = 2
_AHEAD_BYTES = 16 * 1024 * 1024


class S3BlobStore(BlobStore):
    """Objects under their lifetime, their request, and the hash of their content.

    The bucket lets an object expire its lifetime after it was written, by a rule for each prefix.
    A renewed object may lie under another lifetime than its reference says: then `get` finds it
    there, once the object under the reference has expired.

    A missing key is known by S3's answer NoSuchKey, which only those get who may list the bucket:
    others get AccessDenied. That stays an error, since it can mean a permission that is missing.
    `client` is called when it is needed, so that a process without large JSON builds no client.
    """

    def __init__(self, client: Callable[[], S3Client], bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, request_id: str, text: str, days: int) -> str:
        body = text.encode()
        ref = blob_key(request_id, body, days)
        with translated_errors():
            self._client().put_object(
                Bucket=self._bucket, Key=ref, Body=body, ContentType="application/json"
            )
        return ref

    def publish(self, request_id: str, text: str, days: int) -> dict[str, str]:
        return {"bucket": self._bucket, "key": self.put(request_id, text, days)}

    def get(self, ref: str) -> str:
        """Read it back.

        Raises
        ------
        NotFound
            If the object has expired.
        """
        return self._read(ref).decode()

    def get_many(self, refs: Iterable[str]) -> Iterator[str]:
        """Read them back by some threads.

        How many are read ahead depends on how large those before were: in memory they take several
        times their size once they are parsed.
        """
        with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
            rest, ahead = iter(refs), deque[Future[bytes]]()
            most, largest = _FIRST_AHEAD, 1
            while True:
                room = max(most - len(ahead), 0)
                ahead.extend(pool.submit(self._read, ref) for ref in islice(rest, room))
                if not ahead:
                    return
                data = ahead.popleft().result()
                largest = max(largest, len(data))
                most = min(max(_AHEAD_BYTES // largest, 1), _MOST_AT_ONCE)
                yield data.decode()

    def put_bytes(self, request_id: str, data: bytes, days: int) -> str:
        ref = blob_key(request_id, data, days, "part")
        with translated_errors():
            self._client().put_object(Bucket=self._bucket, Key=ref, Body=data)
        return ref

    def get_bytes(self, request_id: str, ref: str, start: int, end: int) -> bytes:
        if not is_key_of(request_id, ref):
            raise NotFound(f"{ref} is of no part of request {request_id}")
        return self._read(ref, Range=f"bytes={start}-{end - 1}")

    def _read(self, ref: str, **wanted: Any) -> bytes:
        client = self._client()
        for key in places_of(ref):
            try:
                with translated_errors():
                    return client.get_object(Bucket=self._bucket, Key=key, **wanted)["Body"].read()
            except client.exceptions.NoSuchKey:
                continue
        raise NotFound(f"{ref} is not stored any more")

    def renew(self, request_id: str, until: datetime, days: int) -> bool:
        """Copy objects: that is a write, from which their lifetime counts.

        It takes a LIST for each lifetime on offer (and each 1,000 objects), and a COPY an object.
        """
        client = self._client()
        with translated_errors(), ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
            expiring = self._expiring(client, request_id, until)
            copy = partial(self._copy, client, request_id, days)
            list(pool.map(copy, expiring[:MAX_RENEWED]))
        return len(expiring) <= MAX_RENEWED

    def _expiring(self, client: S3Client, request_id: str, until: datetime) -> list[str]:
        """Return the keys of what would expire before; of several copies the one kept longest."""
        copies: dict[str, tuple[datetime, str]] = {}
        pages = client.get_paginator("list_objects_v2")
        for days in LIFETIMES_DAYS:
            for page in pages.paginate(Bucket=self._bucket, Prefix=blob_prefix(request_id, days)):
                for found in page.get("Contents", []):
                    # S3 rounds up to the next midnight.
                    copy = (found["LastModified"] + timedelta(days=days), found["Key"])
                    name = _name_of(found["Key"])
                    copies[name] = max(copies.get(name, copy), copy)
        return [key for expires_at, key in copies.values() if expires_at < until]

    def _copy(self, client: S3Client, request_id: str, days: int, key: str) -> None:
        try:
            client.copy_object(
                Bucket=self._bucket,
                Key=blob_prefix(request_id, days) + _name_of(key),
                CopySource={"Bucket": self._bucket, "Key": key},
                # S3 refuses a copy onto itself that replaces nothing.
                MetadataDirective="REPLACE",
                ContentType="application/json",
            )
        except client.exceptions.NoSuchKey:
            return  # It expired after it was listed.


def _name_of(key: str) -> str:
    return key.rpartition("/")[2]
