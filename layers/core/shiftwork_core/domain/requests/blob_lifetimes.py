"""How long the blobs of a request are kept: longer than the rows that name them.

A request's row expires a retention after its end, and nobody knows when that will be. So whenever a
request ends, each of its blobs must be kept for at least a retention more, and `GRACE`.

- A blob is stored for two retentions and `GRACE`, from the time at which its request begins. So a
  request that ends within a retention, or is retried within one, needs nothing more.
- Whoever advances an older request, or cleans up after its end, renews those of its blobs that
  would expire before that. A request in progress is advanced at least once a day.
- A retry near the end of a retention, again and again, is nothing special by that; neither is a
  retention that was raised since a blob was stored.
"""

from __future__ import annotations

from datetime import datetime, timedelta

#: The lifetimes on offer, in days. The bucket has a rule for each, as a template cannot compute
#: them from its parameters; the longest holds for a retention of 5 years and a year's delay.
LIFETIMES_DAYS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
#: For a platform that is switched off for a while, and for rows that DynamoDB deletes late.
GRACE = timedelta(days=30)
#: No younger request is looked at: nothing of it can be near its end yet, unless the retention is
#: short, or was raised to a multiple since.
_YOUNG = timedelta(days=7)


def lifetime_days(retention: timedelta, delay: timedelta = timedelta(0)) -> int:
    """Return the lifetime of a blob that is stored now, of a request that begins after a delay."""
    needed = 2 * retention + GRACE + max(delay, timedelta(0))
    return next((d for d in LIFETIMES_DAYS if timedelta(days=d) >= needed), LIFETIMES_DAYS[-1])


def needed_until(retention: timedelta, now: datetime) -> datetime:
    """Return until when the blobs of a request that may end now must be kept."""
    return now + retention + GRACE


def is_young(age: timedelta, retention: timedelta) -> bool:
    """Return whether nothing of a request of that age is looked at yet."""
    return age < min(_YOUNG, retention / 2)
