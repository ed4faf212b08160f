"""Turn polled attempts into entries of the index by_queue, and back.

A queue, and each shard of a queue that has several, has two partitions. `ready#...` is sorted by
priority and age. `later#...` has first what is held, by the end of its lease, the latest first;
then what is delayed, by the time from which it may be claimed. So one range of it has all of both
whose time has come, and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shiftwork_core.adapters.dynamodb.expressions import Item, Value, from_wire
from shiftwork_core.adapters.dynamodb.lots import request_of
from shiftwork_core.domain.requests.queue_order import Queued
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN
from shiftwork_core.domain.times import from_iso, to_iso

#: The partitions of a queue.
READY = "ready#"
LATER = "later#"
#: Held attempts' sort keys begin with this, which text order puts before every digit; then follow
#: milliseconds, inverted, always as many digits.
_HELD = "!"
#: The greatest sort key that a held attempt may have, and the least that a delayed one has.
BEHIND_HELD = "!~"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_MS = 999_999_999_999_999
#: Priorities are inverted in a queue's sort key, so that the highest comes first.
_HIGHEST_PRIORITY = 99


def queue_values(attempt: Attempt) -> dict[str, Value | None]:
    """Return the values that put an attempt into the queue of its type and domain, or take it out.

    A held attempt is hidden in its queue until its lease is over.
    """
    if attempt.status not in ATTEMPT_OPEN:
        return OUT_OF_QUEUE
    if attempt.lease_until is not None:
        return held_values(attempt.queue, attempt.lease_until)
    rank = f"{_HIGHEST_PRIORITY - attempt.priority:02d}"
    if attempt.wake_at is None:
        return {"queue": READY + attempt.queue, "queue_at": f"{rank}#{to_iso(attempt.created_at)}"}
    return {"queue": LATER + attempt.queue, "queue_at": f"{to_iso(attempt.wake_at)}#{rank}"}


def held_values(queue: str, lease_until: datetime) -> dict[str, Value | None]:
    """Return the values that hide an attempt in a queue until its lease is over."""
    return {"queue": LATER + queue, "queue_at": _held_at(lease_until)}


def _held_at(lease_until: datetime) -> str:
    """Return a sort key before those of all delayed attempts, a later lease before an earlier."""
    milliseconds = (from_iso(to_iso(lease_until)) - _EPOCH) // _MILLISECOND
    return f"{_HELD}{_LAST_MS - milliseconds}"


#: The values that take an attempt out of its queue.
OUT_OF_QUEUE: dict[str, Value | None] = {"queue": None, "queue_at": None}


def until_in_later(now: datetime) -> str:
    """Return the greatest sort key of an attempt that may be claimed by now."""
    return f"{to_iso(now)}#~"


def lapsed_in_later(now: datetime) -> str:
    """Return the least sort key of an attempt that is held under a lease that is over by now."""
    return _held_at(now)


def past_priority(priority: int) -> str:
    """Return a sort key behind every attempt of a priority that is ready."""
    return f"{_HIGHEST_PRIORITY - priority:02d}#~"


def is_held(item: Item) -> bool:
    """Whether an item of the index of queues is held by a worker, rather than waiting for one."""
    return str(item["queue_at"]["S"]).startswith(_HELD)


def queued_from(item: Item) -> Queued:
    """Return the queued attempt that an item of the index of queues describes."""
    values = from_wire(item)
    partition, place = values["queue"], values["queue_at"]
    priority = 0
    if is_held(item):
        at = _EPOCH + (_LAST_MS - int(place.removeprefix(_HELD))) * _MILLISECOND
    else:
        first, second = place.split("#")
        rank, text = (first, second) if partition.startswith(READY) else (second, first)
        at, priority = from_iso(text), _HIGHEST_PRIORITY - int(rank)
    return Queued(
        queue=partition.removeprefix(READY).removeprefix(LATER),
        request_id=request_of(item),
        key=AttemptKey.parse(values["key"]),
        type_version=values["type_version"],
        at=at,
        priority=priority,
        fence=values.get("fence", 0),
        started_at=from_iso(values["started_at"]) if "started_at" in values else None,
    )
