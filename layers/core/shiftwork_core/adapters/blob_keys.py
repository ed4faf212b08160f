"""Name the objects in which large JSON is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from shiftwork_core.domain.requests.blob_lifetimes import LIFETIMES_DAYS


def blob_key(request_id: str, body: bytes, days: int) -> str:
    """Return the key of an object that is kept for so many days."""
    return f"{blob_prefix(request_id, days)}{hashlib.sha256(body).hexdigest()}.json"


def blob_prefix(request_id: str, days: int) -> str:
    """Return what the keys of such objects of the request begin with."""
    return f"requests/{days}/{request_id}/"


def places_of(ref: str) -> Iterator[str]:
    """Yield the key under which a text was stored, then those under which it may be renewed."""
    yield ref
    folder, days, *rest = ref.split("/")
    for other in LIFETIMES_DAYS:
        if str(other) != days:
            yield "/".join([folder, str(other), *rest])
