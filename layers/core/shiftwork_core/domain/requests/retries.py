"""What a request remembers of its ends that a user's retry followed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.times import from_iso, to_iso

#: A request keeps the times of so many; of those before only how many there were.
MAX_KEPT = 10


@dataclass(frozen=True, slots=True)
class Retried:
    """An end of a request, and the retry after it; or `count` of them, without their times."""

    status: RequestStatus
    ended_at: datetime | None
    retried_at: datetime | None
    count: int = 1


def with_retry(before: Iterable[Retried], retry: Retried) -> tuple[Retried, ...]:
    """Return the ends with another one; the oldest lose their times if there are too many."""
    older: Counter[RequestStatus] = Counter()
    kept: list[Retried] = []
    for one in before:
        if one.ended_at is None:
            older[one.status] += one.count
        else:
            kept.append(one)
    kept.append(retry)
    while len(kept) > MAX_KEPT:
        older[kept.pop(0).status] += 1
    return *(Retried(status, None, None, count) for status, count in older.items()), *kept


def retries_to_text(retries: Iterable[Retried]) -> str | None:
    """Return them as the request's row keeps them."""
    kept = [[r.status, _text_of(r.ended_at), _text_of(r.retried_at), r.count] for r in retries]
    return to_json(kept) if kept else None


def retries_from_text(text: str | None) -> tuple[Retried, ...]:
    """Return what the row keeps."""
    return tuple(
        Retried(RequestStatus(status), _time_of(ended_at), _time_of(retried_at), count)
        for status, ended_at, retried_at, count in json.loads(text or "[]")
    )


def _text_of(time: datetime | None) -> str | None:
    return None if time is None else to_iso(time)


def _time_of(text: str | None) -> datetime | None:
    return None if text is None else from_iso(text)
