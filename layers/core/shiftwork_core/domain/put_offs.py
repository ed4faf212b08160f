"""Decide for how long sweeps leave a row that they cannot handle.

Whatever a sweep raises on is due again later and later, up to an hour: it neither takes the place
of others nor is forgotten, and works again soon after its cause is mended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shiftwork_core.domain.backoff import doubled
from shiftwork_core.domain.times import from_iso, to_iso

_FIRST = timedelta(minutes=1)
_LONGEST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PutOff:
    """How often in a row a find was put off, and until when."""

    times: int
    until: datetime


def put_off_again(known: PutOff | None, due_at: datetime, before: datetime) -> PutOff:
    """Return the put-off of a find that a sweep of what is due before a time cannot handle.

    What is known of earlier ones counts only if the row is still due when they said: else somebody
    has handled it since.
    """
    times = known.times + 1 if known is not None and known.until == due_at else 1
    wait_s = min(doubled(_FIRST.total_seconds(), times), _LONGEST.total_seconds())
    return PutOff(times, before + timedelta(seconds=wait_s))


def put_off_to_text(put_off: PutOff) -> str:
    """Return a put-off as a row keeps it."""
    return f"{put_off.times} {to_iso(put_off.until)}"


def put_off_from_text(text: str | None) -> PutOff | None:
    """Return the put-off that a row keeps."""
    if text is None:
        return None
    times, until = text.split()
    return PutOff(int(times), from_iso(until))
