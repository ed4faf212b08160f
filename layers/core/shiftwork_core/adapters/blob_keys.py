"""Name the rows and objects in which JSON is kept apart from the row that it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from shiftwork_core.domain.requests.blob_lifetimes import LIFETIMES_DAYS

#: Larger texts are objects: above this, one S3 PUT ($5 per million) costs less than the write units
#: of the bytes in a row ($0.625 per million and KiB).
MAX_ROW_BYTES = 8 * 1024

#: References of rows begin with this, which no object's key does.
_ROW = "row/"


def row_ref(request_id: str, body: bytes) -> str:
    """Return the reference of a row."""
    return f"{_ROW}{request_id}/{hashlib.sha256(body).hexdigest()}"


def row_key_of(ref: str) -> tuple[str, str] | None:
    """Return the request and the part that a reference of a row names; None for an object's."""
    if not ref.startswith(_ROW):
        return None
    request_id, _, part = ref.removeprefix(_ROW).rpartition("/")
    return request_id, part


def blob_key(request_id: str, body: bytes, days: int, ending: str = "json") -> str:
    """Return the key of an object that is kept for so many days."""
    return f"{blob_prefix(request_id, days)}{hashlib.sha256(body).hexdigest()}.{ending}"


def is_key_of(request_id: str, ref: str) -> bool:
    """Whether a reference is the key of an object of the request."""
    return any(ref.startswith(blob_prefix(request_id, days)) for days in LIFETIMES_DAYS)


def blob_prefix(request_id: str, days: int) -> str:
    """Return what the keys of such objects of the request begin with."""
    return f"requests/{days}/{request_id}/"


def places_of(ref: str) -> Iterator[str]:
    """Yield the key under which a text was stored, then those under which it may be renewed."""
    yield ref
    if row_key_of(ref) is not None:
        return
    folder, days, *rest = ref.split("/")
    for other in LIFETIMES_DAYS:
        if str(other) != days:
            yield "/".join([folder, str(other), *rest])
